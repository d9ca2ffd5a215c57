// What lies between two layers in training, each part optional:
//
//     tanh or ReLU -> Dropout -> BatchNorm, or a factor and a summand -> tanh or ReLU -> pooling
//
// Forward, the first two are done in place, so that the layer's output is kept as it is after them: what was dropped
// is a negative zero, which nothing else is. The rest is done once BatchNorm knows the whole batch. Backward, gradients
// come back to before the pooling first; BatchNorm needs their sums over the whole batch before they go on.

#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "norms.h"
#include "philox.h"
#include "pools.h"

namespace zoo::program {

typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));
inline Vector where(Integers condition, Vector value) { return (Vector)((Integers)value & condition); }

// The border of images, which products read as zeros.
inline void clear_border(const Images& images, int64_t count) {
  const Layout& layout = *images.layout;
  const int64_t above = layout.border_height * layout.row(), beside = layout.border_width * layout.pixel();
  if (above + beside == 0) return;
  for (int64_t n = 0; n < count * layout.image() / layout.plane(); ++n) {
    float* const image = images.values + n * layout.plane();
    std::fill_n(image, above, 0.0f);
    for (int64_t y = 0; y < layout.height; ++y) {
      std::fill_n(image + above + y * layout.row(), beside, 0.0f);
      std::fill_n(image + above + (y + 1) * layout.row() - beside, beside, 0.0f);
    }
    std::fill_n(image + above + layout.height * layout.row(), above, 0.0f);
  }
}

class Link {
 public:
  Link() = default;
  explicit Link(std::istringstream& words) {
    for (std::string word; words >> word && word != ";";) {
      if (word == "before" || word == "after") {
        std::string kind;
        words >> kind;
        (word == "before" ? before_ : after_) = kind == "tanh" ? Activation::tanh : Activation::relu;
      } else if (word == "dropout") {
        words >> dropout_;
      } else if (word == "norm") {
        is_norm_ = true;
        norm_ = BatchNorm(words);
      } else if (word == "affine") {
        words >> factor_ >> summand_;
      } else {
        pool_ = word == "max" ? Pool::max : Pool::mean;
        words >> geometry_.kernel_height >> geometry_.kernel_width >> geometry_.stride_height >>
            geometry_.stride_width >> geometry_.pad_height >> geometry_.pad_width;
      }
    }
  }

  bool is_norm() const { return is_norm_; }
  const BatchNorm& norm() const { return norm_; }
  bool drops() const { return dropout_ > 0; }
  // Whether nothing follows the first activation.
  bool is_empty() const {
    return !is_norm_ && !drops() && factor_ == 1 && summand_ == 0 && after_ == Activation::none && pool_ == Pool::none;
  }
  Activation before() const { return before_; }
  // What comes out for values of that layout.
  Layout out(const Layout& in) const {
    Layout out = in.bare();
    if (pool_ == Pool::none) return out;
    out.height = (in.height + 2 * geometry_.pad_height - geometry_.kernel_height) / geometry_.stride_height + 1;
    out.width = (in.width + 2 * geometry_.pad_width - geometry_.kernel_width) / geometry_.stride_width + 1;
    return out;
  }

  // Dropout in place, for images from number `first` of the batch on. Values have no border if anything is dropped.
  void drop(const Images& values, int64_t first, int64_t count, Key key) const {
    const int64_t size = values.layout->image();
    float* const mask = scratch<Link, float>(size);
    for (int64_t n = 0; n < count; ++n) {
      dropout_mask(key, first + n, dropout_, size, mask);
      float* const v = values.values + n * size;
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) v[i] = mask[i] > 0 ? (v[i] + 0.0f) * mask[i] : -0.0f;
    }
  }

  // What the batch is multiplied by and added to; `sums` and `pixels` are those of each thread.
  void settle(const Layout& layout, const std::vector<Sums>& sums, const std::vector<int64_t>& pixels,
              const std::vector<float*>& parameters, const Norm& norm) const {
    for (int64_t c = 0; c < layout.padded_channels(); ++c) {
      norm.scale[c] = c < layout.channels ? factor_ : 0.0f;
      norm.shift[c] = c < layout.channels ? summand_ : 0.0f;
      norm.by_gradient[c] = norm.scale[c];
      norm.by_value[c] = norm.by[c] = norm.mean[c] = norm.inverse[c] = 0.0f;
    }
    if (is_norm_) norm_.settle(layout, sums, pixels, parameters, norm);
  }

  // What comes out of the values.
  void forward(const Images& values, int64_t count, const Norm& norm, const Images& out) const {
    const Layout layout = *out.layout;
    const float *const scales = norm.scale, *const shifts = norm.shift;
    const int64_t pixel = layout.pixel(), row = values.layout->row(), step = values.layout->vector(1);
    each_row(layout, count, [&](int64_t n, int64_t y) {
      const Extent rows = pool_ == Pool::none ? Extent{y, 1} : extent(y, 0, values.layout->height);
      const float* const first = values.at(n, rows.first, 0);
      float* const result_row = out.at(n, y, 0);
      each_vector(layout, [&](int64_t x, int64_t v) {
        const Vector scale = layout.of_channels(scales, v), shift = layout.of_channels(shifts, v);
        const float* const from = first + v * step;
        float* const to = result_row + x * pixel + layout.vector(v);
        if (pool_ == Pool::none) return store(to, activate(after_, load(from + x * pixel) * scale + shift));
        const Extent columns = extent(x, 1, values.layout->width);
        auto value = [&](int64_t i, int64_t j) {
          return load(from + i * row + (columns.first + j) * pixel) * scale + shift;
        };
        Vector result = pool_ == Pool::max ? value(0, 0) : Vector{};
        for (int64_t i = 0; i < rows.count; ++i)
          for (int64_t j = 0; j < columns.count; ++j)
            result = pool_ == Pool::max ? max_of(value(i, j), result) : result + activate(after_, value(i, j));
        const float share = 1.0f / float(rows.count * columns.count);
        store(to, pool_ == Pool::max ? activate(after_, result) : result * share);
      });
    });
  }

  // The gradients of what comes out become those of what goes into the last activation.
  void bring(const Images& values, const Images& out, const Images& given, int64_t count, const Norm& norm,
             const Images& gradient) const {
    const Layout layout = *out.layout, gradient_layout = *gradient.layout;
    const float *const scales = norm.scale, *const shifts = norm.shift;
    const int64_t pixel = layout.pixel(), row = values.layout->row(), gradient_row = gradient_layout.row();
    const int64_t step = values.layout->vector(1), given_step = given.layout->vector(1);
    each_row(gradient_layout, pool_ == Pool::none ? 0 : count, [&](int64_t n, int64_t y) {
      float* const to = gradient.at(n, y, 0);
      each_vector(gradient_layout,
                  [&](int64_t x, int64_t v) { store(to + x * pixel + gradient_layout.vector(v), Vector{}); });
    });
    each_row(layout, count, [&](int64_t n, int64_t y) {
      const Extent rows = pool_ == Pool::none ? Extent{y, 1} : extent(y, 0, values.layout->height);
      const float *const given_row = given.at(n, y, 0), *const result_row = out.at(n, y, 0);
      const float* const first = values.at(n, rows.first, 0);
      float* const gradient_first = gradient.at(n, rows.first, 0);
      each_vector(layout, [&](int64_t x, int64_t v) {
        const Vector d = load(given_row + x * pixel + v * given_step);
        const Vector result = load(result_row + x * pixel + layout.vector(v));
        float* const to = gradient_first + gradient_layout.vector(v);
        if (pool_ == Pool::none) return store(to + x * pixel, derive(after_, result, d));
        const float* const from = first + v * step;
        const Vector scale = layout.of_channels(scales, v), shift = layout.of_channels(shifts, v);
        const Extent columns = extent(x, 1, values.layout->width);
        auto value = [&](int64_t i, int64_t j) {
          return load(from + i * row + (columns.first + j) * pixel) * scale + shift;
        };
        auto add = [&](int64_t i, int64_t j, Vector g) {
          float* const at = to + i * gradient_row + (columns.first + j) * pixel;
          store(at, load(at) + g);
        };
        if (pool_ == Pool::mean) {
          const Vector g = d * (1.0f / float(rows.count * columns.count));
          for (int64_t i = 0; i < rows.count; ++i)
            for (int64_t j = 0; j < columns.count; ++j)
              add(i, j, after_ == Activation::none ? g : derive(after_, activate(after_, value(i, j)), g));
          return;
        }
        Vector best = value(0, 0);
        for (int64_t i = 0; i < rows.count; ++i)
          for (int64_t j = 0; j < columns.count; ++j) best = max_of(value(i, j), best);
        const Vector g = derive(after_, result, d);
        Integers open = ~Integers{};  // the first of the largest gets it
        for (int64_t i = 0; i < rows.count; ++i)
          for (int64_t j = 0; j < columns.count; ++j) {
            const Integers here = open & (Integers)(value(i, j) == best);
            add(i, j, where(here, g));
            open &= ~here;
          }
      });
    });
  }

  // Gradients in place, to before the first activation; adds their sums (bias). What is no image of a stack has none.
  void undo(const Images& values, int64_t count, int64_t images, const Norm& norm, const Images& gradient,
            const Sums& sums) const {
    const Layout& layout = *values.layout;
    const float left = 1 - dropout_, kept = 1 / left;
    const int64_t step = layout.vector(1), gradient_step = gradient.layout->vector(1);
    each_block(layout, [&](auto vectors, int64_t first) {
      Vector sum[vectors] = {}, by_gradient[vectors], by_value[vectors], by[vectors];
      for (int j = 0; j < vectors; ++j) {
        by_gradient[j] = layout.of_channels(norm.by_gradient, first + j);
        by_value[j] = layout.of_channels(norm.by_value, first + j);
        by[j] = layout.of_channels(norm.by, first + j);
      }
      for (int64_t n = 0; n < count; ++n) {
        Integers is_image;
        for (int lane = 0; lane < kLanes; ++lane) is_image[lane] = -(lane < lanes_of(layout, n, images));
        for (int64_t y = 0; y < layout.height; ++y) {
          const float* v = values.at(n, y, 0) + first * step;
          float* d = gradient.at(n, y, 0) + first * gradient_step;
          for (int64_t x = 0; x < layout.width; ++x, v += layout.pixel(), d += layout.pixel())
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) {
              const Vector value = load(v + j * step);
              Vector g = load(d + j * gradient_step) * by_gradient[j] + value * by_value[j] + by[j];
              g = where(is_image, derive(before_, value * left, g));
              if (drops()) g = where((Integers)value != Integers{} + INT32_MIN, g * kept);
              store(d + j * gradient_step, g);
              sum[j] += g;
            }
        }
        if (n + 1 == count || is_large(layout)) add<vectors>(layout, sum, sums.bias, first);
      }
    });
  }

  static Vector activate(Activation activation, Vector x) {
    return activation == Activation::relu ? relu_of(x) : activation == Activation::tanh ? tanh_of(x) : x;
  }

 private:
  enum class Pool { none, max, mean };

  // The rows, or columns, of an image that a pixel of the output is made of.
  struct Extent {
    int64_t first, count;
  };
  Extent extent(int64_t place, int axis, int64_t size) const {
    const int64_t kernel = axis ? geometry_.kernel_width : geometry_.kernel_height;
    const int64_t stride = axis ? geometry_.stride_width : geometry_.stride_height;
    const int64_t first = place * stride - (axis ? geometry_.pad_width : geometry_.pad_height);
    return {std::max<int64_t>(first, 0), std::min(first + kernel, size) - std::max<int64_t>(first, 0)};
  }

  // The gradient of what goes into an activation, from what comes out of it and the gradient of that.
  static Vector derive(Activation activation, Vector result, Vector gradient) {
    if (activation == Activation::relu) return where((Integers)(result > Vector{}), gradient);
    return activation == Activation::tanh ? gradient * (1.0f - result * result) : gradient;
  }

  Activation before_ = Activation::none, after_ = Activation::none;
  float dropout_ = 0;  // probability to drop
  bool is_norm_ = false;
  BatchNorm norm_;
  float factor_ = 1, summand_ = 0;
  Pool pool_ = Pool::none;
  Geometry geometry_{};
};

}  // namespace zoo::program
