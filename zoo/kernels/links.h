// What lies between two layers in training, each part optional:
//
//     tanh or ReLU -> Dropout -> BatchNorm, or a factor and a summand -> tanh or ReLU -> pooling
//
// Forward, the first two are done in place, so that the layer's output is kept as it is after them: what was dropped
// is a negative zero, which nothing else is. The rest is done once BatchNorm knows the whole batch. Backward, gradients
// come back to before the pooling first; BatchNorm needs their sums over the whole batch before they go on.

#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "philox.h"
#include "pools.h"

namespace zoo::program {

typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));
inline Vector where(Integers condition, Vector value) { return (Vector)((Integers)value & condition); }

// The rows of an image, as f(y).
template <class F>
void each_row(const Layout& layout, int64_t count, F f) {
  for (int64_t n = 0; n < count; ++n)
    for (int64_t y = 0; y < layout.height; ++y) f(n, y);
}

// Blocks of channels, as f(vectors, first channel), where the number of vectors is a constant.
template <class F>
void each_block(int64_t channels, F f) {
  for (int64_t c = 0; c < channels; c += 4 * kLanes) {
    const int64_t vectors = (channels - c + kLanes - 1) / kLanes;
    if (vectors >= 4) f(std::integral_constant<int, 4>{}, c);
    if (vectors == 3) f(std::integral_constant<int, 3>{}, c);
    if (vectors == 2) f(std::integral_constant<int, 2>{}, c);
    if (vectors == 1) f(std::integral_constant<int, 1>{}, c);
  }
}

// The border of images, which products read as zeros.
inline void clear_border(const Images& images, int64_t count) {
  const Layout& layout = *images.layout;
  const int64_t above = layout.border_height * layout.row(), beside = layout.border_width * layout.pixel();
  if (above + beside == 0) return;
  for (int64_t n = 0; n < count; ++n) {
    float* const image = images.values + n * layout.image();
    std::fill_n(image, above, 0.0f);
    for (int64_t y = 0; y < layout.height; ++y) {
      std::fill_n(image + above + y * layout.row(), beside, 0.0f);
      std::fill_n(image + above + (y + 1) * layout.row() - beside, beside, 0.0f);
    }
    std::fill_n(image + above + layout.height * layout.row(), above, 0.0f);
  }
}

// The sums that a thread makes of its images, by channel.
struct Sums {
  double *first, *second, *bias;
};

// What a link does to a channel in this batch.
struct Norm {
  float *scale, *shift;                // of values
  float *by_gradient, *by_value, *by;  // of gradients: gradient * by_gradient + value * by_value + by
  float *mean, *inverse;
};

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
        words >> gamma_ >> beta_ >> moving_mean_ >> moving_variance_ >> epsilon_ >> momentum_;
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
  bool drops() const { return dropout_ > 0; }
  // Whether nothing follows the first activation.
  bool is_empty() const {
    return !is_norm_ && !drops() && factor_ == 1 && summand_ == 0 && after_ == Activation::none && pool_ == Pool::none;
  }
  Activation before() const { return before_; }
  // What comes out for values of that layout.
  Layout out(const Layout& in) const {
    Layout out{in.channels, in.height, in.width};
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

  // Adds images to the mean (first) and the squared deviations from it (second), of `seen` pixels so far: Chan's way.
  void add_moments(const Images& values, int64_t count, int64_t seen, const Sums& sums) const {
    constexpr int64_t most = 1024;
    const Layout& layout = *values.layout;
    auto add = [&](const float* first, int64_t pixels) {
      each_block(layout.channels, [&](auto vectors, int64_t c) {
        add_moments<vectors>(first + c, layout.pixel(), pixels, seen, sums.first + c, sums.second + c);
      });
      seen += pixels;
    };
    if (layout.border_height + layout.border_width > 0)
      return each_row(layout, count, [&](int64_t n, int64_t y) { add(values.at(n, y, 0), layout.width); });
    const int64_t pixels = count * layout.height * layout.width, parts = (pixels - 1) / most + 1;
    for (int64_t part = 0; part < parts; ++part) {
      const Share share{part, parts};
      const int64_t first = share.first(pixels);
      add(values.values + first * layout.pixel(), share.last(pixels) - first);
    }
  }

  // From the moments of all threads, in the order of their images, what the batch is multiplied by and added to.
  void settle(const Layout& layout, const std::vector<Sums>& sums, const std::vector<int64_t>& pixels,
              const std::vector<float*>& parameters, const Norm& norm) const {
    for (int64_t c = 0; c < layout.pixel(); ++c) {
      norm.scale[c] = c < layout.channels ? factor_ : 0.0f;
      norm.shift[c] = c < layout.channels ? summand_ : 0.0f;
      norm.by_gradient[c] = norm.scale[c];
      norm.by_value[c] = norm.by[c] = norm.mean[c] = norm.inverse[c] = 0.0f;
    }
    for (int64_t c = 0; is_norm_ && c < layout.channels; ++c) {
      double count = 0, mean = 0, squares = 0;
      for (size_t part = 0; part < sums.size(); ++part) {
        const double added = double(pixels[part]), difference = sums[part].first[c] - mean;
        if (added == 0) continue;
        squares += sums[part].second[c] + difference * difference * count * added / (count + added);
        count += added;
        mean += difference * added / count;
      }
      const auto variance = float(squares / count);
      float &moving_mean = parameters[moving_mean_][c], &moving_variance = parameters[moving_variance_][c];
      moving_mean = moving_mean * momentum_ + float(mean) * (1 - momentum_);
      moving_variance = moving_variance * momentum_ + variance * (1 - momentum_);
      norm.mean[c] = float(mean);
      norm.inverse[c] = 1 / std::sqrt(variance + epsilon_);
      norm.scale[c] = norm.by_gradient[c] = (gamma_ < 0 ? 1.0f : parameters[gamma_][c]) * norm.inverse[c];
      norm.shift[c] = parameters[beta_][c] - norm.mean[c] * norm.scale[c];
    }
  }

  // What comes out of the values.
  void forward(const Images& values, int64_t count, const Norm& norm, const Images& out) const {
    const int64_t pixel = out.layout->pixel(), row = values.layout->row();
    each_row(*out.layout, count, [&](int64_t n, int64_t y) {
      if (pool_ == Pool::none) {
        const float* from = values.at(n, y, 0);
        float* to = out.at(n, y, 0);
        for (int64_t x = 0; x < out.layout->width; ++x, from += pixel, to += pixel)
          for (int64_t c = 0; c < pixel; c += kLanes)
            store(to + c, activate(after_, load(from + c) * load(norm.scale + c) + load(norm.shift + c)));
        return;
      }
      const Extent rows = extent(y, 0, values.layout->height);
      const float* const from = values.at(n, rows.first, 0);
      float* to = out.at(n, y, 0);
      for (int64_t x = 0; x < out.layout->width; ++x, to += pixel) {
        const Extent columns = extent(x, 1, values.layout->width);
        const float share = 1.0f / float(rows.count * columns.count);
        for (int64_t c = 0; c < pixel; c += kLanes) {
          const Vector scale = load(norm.scale + c), shift = load(norm.shift + c);
          auto value = [&](int64_t i, int64_t j) {
            return load(from + i * row + (columns.first + j) * pixel + c) * scale + shift;
          };
          Vector result = pool_ == Pool::max ? value(0, 0) : Vector{};
          for (int64_t i = 0; i < rows.count; ++i)
            for (int64_t j = 0; j < columns.count; ++j)
              result = pool_ == Pool::max ? max_of(value(i, j), result) : result + activate(after_, value(i, j));
          store(to + c, pool_ == Pool::max ? activate(after_, result) : result * share);
        }
      }
    });
  }

  // The gradients of what comes out become those of what goes into the last activation.
  void bring(const Images& values, const Images& out, const Images& given, int64_t count, const Norm& norm,
             const Images& gradient) const {
    const int64_t pixel = out.layout->pixel(), width = out.layout->width;
    const int64_t row = values.layout->row(), gradient_row = gradient.layout->row();
    each_row(*gradient.layout, pool_ == Pool::none ? 0 : count,
             [&](int64_t n, int64_t y) { std::fill_n(gradient.at(n, y, 0), gradient.layout->width * pixel, 0.0f); });
    each_row(*out.layout, count, [&](int64_t n, int64_t y) {
      const float *d = given.at(n, y, 0), *result = out.at(n, y, 0);
      if (pool_ == Pool::none) {
        float* to = gradient.at(n, y, 0);
        for (int64_t i = 0; i < width * pixel; i += kLanes)
          store(to + i, derive(after_, load(result + i), load(d + i)));
        return;
      }
      const Extent rows = extent(y, 0, values.layout->height);
      const float* const from = values.at(n, rows.first, 0);
      float* const to = gradient.at(n, rows.first, 0);
      for (int64_t x = 0; x < width; ++x, d += pixel, result += pixel) {
        const Extent columns = extent(x, 1, values.layout->width);
        const float share = 1.0f / float(rows.count * columns.count);
        for (int64_t c = 0; c < pixel; c += kLanes) {
          const Vector scale = load(norm.scale + c), shift = load(norm.shift + c);
          auto value = [&](int64_t i, int64_t j) {
            return load(from + i * row + (columns.first + j) * pixel + c) * scale + shift;
          };
          auto add = [&](int64_t i, int64_t j, Vector g) {
            float* const at = to + i * gradient_row + (columns.first + j) * pixel + c;
            store(at, load(at) + g);
          };
          if (pool_ == Pool::mean) {
            const Vector g = load(d + c) * share;
            for (int64_t i = 0; i < rows.count; ++i)
              for (int64_t j = 0; j < columns.count; ++j)
                add(i, j, after_ == Activation::none ? g : derive(after_, activate(after_, value(i, j)), g));
            continue;
          }
          Vector best = value(0, 0);
          for (int64_t i = 0; i < rows.count; ++i)
            for (int64_t j = 0; j < columns.count; ++j) best = max_of(value(i, j), best);
          const Vector g = derive(after_, load(result + c), load(d + c));
          Integers open = ~Integers{};  // the first of the largest gets it
          for (int64_t i = 0; i < rows.count; ++i)
            for (int64_t j = 0; j < columns.count; ++j) {
              const Integers here = open & (Integers)(value(i, j) == best);
              add(i, j, where(here, g));
              open &= ~here;
            }
        }
      }
    });
  }

  // Adds the sums of the gradients (first), and of the gradients times the normalized values (second).
  void add_sums(const Images& values, const Images& gradient, int64_t count, const Norm& norm, const Sums& sums) const {
    const Layout& layout = *values.layout;
    each_block(layout.channels, [&](auto vectors, int64_t c) {
      Vector mean[vectors], inverse[vectors], sum[vectors] = {}, product[vectors] = {};
      for (int j = 0; j < vectors; ++j) {
        mean[j] = load(norm.mean + c + j * kLanes);
        inverse[j] = load(norm.inverse + c + j * kLanes);
      }
      for (int64_t n = 0; n < count; ++n) {
        for (int64_t y = 0; y < layout.height; ++y) {
          const float *v = values.at(n, y, 0) + c, *d = gradient.at(n, y, 0) + c;
          for (int64_t x = 0; x < layout.width; ++x, v += layout.pixel(), d += layout.pixel())
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) {
              const Vector given = load(d + j * kLanes);
              sum[j] += given;
              product[j] += given * ((load(v + j * kLanes) - mean[j]) * inverse[j]);
            }
        }
        if (n + 1 == count || is_large(layout)) {
          add<vectors>(sum, sums.first + c);
          add<vectors>(product, sums.second + c);
        }
      }
    });
  }

  // From the sums of all threads the gradients of gamma and beta, and what the gradients go on by.
  void settle_back(const Layout& layout, const std::vector<Sums>& sums, int64_t pixels,
                   const std::vector<float*>& gradients, const Norm& norm) const {
    for (int64_t c = 0; c < layout.channels; ++c) {
      double sum = 0, product = 0;
      for (const Sums& part : sums) {
        sum += part.first[c];
        product += part.second[c];
      }
      if (gradients[beta_]) gradients[beta_][c] = float(sum);
      if (gamma_ >= 0 && gradients[gamma_]) gradients[gamma_][c] = float(product);
      const float mean_sum = float(sum / double(pixels)), mean_product = float(product / double(pixels));
      norm.by_value[c] = -norm.scale[c] * norm.inverse[c] * mean_product;
      norm.by[c] = norm.scale[c] * (norm.mean[c] * norm.inverse[c] * mean_product - mean_sum);
    }
  }

  // Gradients in place, to before the first activation; adds their sums (bias).
  void undo(const Images& values, int64_t count, const Norm& norm, const Images& gradient, const Sums& sums) const {
    const Layout& layout = *values.layout;
    const float left = 1 - dropout_, kept = 1 / left;
    each_block(layout.channels, [&](auto vectors, int64_t c) {
      Vector sum[vectors] = {}, by_gradient[vectors], by_value[vectors], by[vectors];
      for (int j = 0; j < vectors; ++j) {
        by_gradient[j] = load(norm.by_gradient + c + j * kLanes);
        by_value[j] = load(norm.by_value + c + j * kLanes);
        by[j] = load(norm.by + c + j * kLanes);
      }
      for (int64_t n = 0; n < count; ++n) {
        for (int64_t y = 0; y < layout.height; ++y) {
          const float* v = values.at(n, y, 0) + c;
          float* d = gradient.at(n, y, 0) + c;
          for (int64_t x = 0; x < layout.width; ++x, v += layout.pixel(), d += layout.pixel())
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) {
              const Vector value = load(v + j * kLanes);
              Vector g = load(d + j * kLanes) * by_gradient[j] + value * by_value[j] + by[j];
              g = derive(before_, value * left, g);
              if (drops()) g = where((Integers)value != Integers{} + INT32_MIN, g * kept);
              store(d + j * kLanes, g);
              sum[j] += g;
            }
        }
        if (n + 1 == count || is_large(layout)) add<vectors>(sum, sums.bias + c);
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

  // Whether the sums over an image are worth being added to those in double precision by themselves.
  static bool is_large(const Layout& layout) { return layout.height * layout.width >= 128; }

  template <int vectors>
  static void add(Vector (&sum)[vectors], double* to) {
    for (int j = 0; j < vectors; ++j) {
      for (int lane = 0; lane < kLanes; ++lane) to[j * kLanes + lane] += sum[j][lane];
      sum[j] = Vector{};
    }
  }

  template <int vectors>
  static void add_moments(const float* from, int64_t pitch, int64_t added, int64_t seen, double* mean,
                          double* squares) {
    Vector sum[vectors] = {}, deviation[vectors] = {}, center[vectors];
    for (int64_t i = 0; i < added; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sum[j] += load(from + i * pitch + j * kLanes);
    for (int j = 0; j < vectors; ++j) center[j] = sum[j] / float(added);
    for (int64_t i = 0; i < added; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        const Vector difference = load(from + i * pitch + j * kLanes) - center[j];
        deviation[j] += difference * difference;
      }
    const double share = double(added) / double(seen + added);
    for (int j = 0; j < vectors; ++j)
      for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t c = j * kLanes + lane;
        const double difference = center[j][lane] - mean[c];
        squares[c] += deviation[j][lane] + difference * difference * double(seen) * share;
        mean[c] += difference * share;
      }
  }

  Activation before_ = Activation::none, after_ = Activation::none;
  float dropout_ = 0;  // probability to drop
  bool is_norm_ = false;
  int gamma_ = -1, beta_ = -1, moving_mean_ = -1, moving_variance_ = -1;  // parameters; gamma of -1 is 1
  float epsilon_ = 0, momentum_ = 0, factor_ = 1, summand_ = 0;
  Pool pool_ = Pool::none;
  Geometry geometry_{};
};

}  // namespace zoo::program
