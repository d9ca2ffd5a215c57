// BatchNorm in training: the statistics of a batch, which all threads add up, and their gradients.

#pragma once

#include <cmath>
#include <sstream>
#include <type_traits>
#include <vector>

#include "images.h"

namespace zoo::program {

// The rows of an image, as f(y).
template <class F>
void each_row(const Layout& layout, int64_t count, F f) {
  for (int64_t n = 0; n < count; ++n)
    for (int64_t y = 0; y < layout.height; ++y) f(n, y);
}

// The vectors of the pixels of a row in the order in which they lie, as f(x, number of the vector).
template <class F>
void each_vector(const Layout& layout, F f) {
  if (layout.is_stacked())
    for (int64_t v = 0; v < layout.channels; ++v)
      for (int64_t x = 0; x < layout.width; ++x) f(x, v);
  else
    for (int64_t x = 0; x < layout.width; ++x)
      for (int64_t v = 0; v < layout.vectors(); ++v) f(x, v);
}

// Blocks of the vectors of a pixel, as f(vectors, first one), where the number of vectors is a constant.
template <class F>
void each_block(const Layout& layout, F f) {
  for (int64_t first = 0; first < layout.vectors(); first += 4) {
    const int64_t vectors = layout.vectors() - first;
    if (vectors >= 4) f(std::integral_constant<int, 4>{}, first);
    if (vectors == 3) f(std::integral_constant<int, 3>{}, first);
    if (vectors == 2) f(std::integral_constant<int, 2>{}, first);
    if (vectors == 1) f(std::integral_constant<int, 1>{}, first);
  }
}

// Of a group of stacks: how many of the lanes of number `n` are images. A layout whose lanes are channels has no
// stacks.
inline int lanes_of(const Layout& layout, int64_t n, int64_t images) {
  return layout.is_stacked() ? int(std::min<int64_t>(kLanes, images - n * kLanes)) : kLanes;
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

// Whether the sums over an image are worth being added to those in double precision by themselves.
inline bool is_large(const Layout& layout) { return layout.height * layout.width >= 128; }

// To the sums by channel, from vector `first` of a pixel on. Lanes that are no image are zeros.
template <int vectors>
void add(const Layout& layout, Vector (&sum)[vectors], double* to, int64_t first) {
  for (int j = 0; j < vectors; ++j) {
    for (int lane = 0; lane < kLanes; ++lane)
      to[layout.is_stacked() ? first + j : (first + j) * kLanes + lane] += sum[j][lane];
    sum[j] = Vector{};
  }
}

class BatchNorm {
 public:
  BatchNorm() = default;
  explicit BatchNorm(std::istringstream& words) {
    words >> gamma_ >> beta_ >> moving_mean_ >> moving_variance_ >> epsilon_ >> momentum_;
  }

  // Adds images to the mean (first) and the squared deviations from it (second), of `seen` pixels so far: Chan's way.
  void add_moments(const Images& values, int64_t count, int64_t images, int64_t seen, const Sums& sums) const {
    constexpr int64_t most = 1024;
    const Layout& layout = *values.layout;
    if (layout.is_stacked()) {
      for (int64_t n = 0; n < count; ++n) {
        const int lanes = lanes_of(layout, n, images);
        each_block(layout, [&](auto vectors, int64_t first) {
          add_stacked_moments<vectors>(values.from(n), first, lanes, seen, sums.first + first, sums.second + first);
        });
        seen += lanes * layout.height * layout.width;
      }
      return;
    }
    auto add = [&](const float* first, int64_t pixels) {
      each_block(layout, [&](auto vectors, int64_t number) {
        const int64_t c = number * kLanes;
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
    for (int64_t c = 0; c < layout.channels; ++c) {
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

  // Adds the sums of the gradients (first), and of the gradients times the normalized values (second).
  void add_sums(const Images& values, const Images& gradient, int64_t count, const Norm& norm, const Sums& sums) const {
    const Layout& layout = *values.layout;
    const int64_t step = layout.vector(1), gradient_step = gradient.layout->vector(1);
    each_block(layout, [&](auto vectors, int64_t first) {
      Vector mean[vectors], inverse[vectors], sum[vectors] = {}, product[vectors] = {};
      for (int j = 0; j < vectors; ++j) {
        mean[j] = layout.of_channels(norm.mean, first + j);
        inverse[j] = layout.of_channels(norm.inverse, first + j);
      }
      for (int64_t n = 0; n < count; ++n) {
        for (int64_t y = 0; y < layout.height; ++y) {
          const float* v = values.at(n, y, 0) + first * step;
          const float* d = gradient.at(n, y, 0) + first * gradient_step;
          for (int64_t x = 0; x < layout.width; ++x, v += layout.pixel(), d += layout.pixel())
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) {
              const Vector given = load(d + j * gradient_step);
              sum[j] += given;
              product[j] += given * ((load(v + j * step) - mean[j]) * inverse[j]);
            }
        }
        if (n + 1 == count || is_large(layout)) {
          add<vectors>(layout, sum, sums.first, first);
          add<vectors>(layout, product, sums.second, first);
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

 private:
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

  // The same for some channels of one stack.
  template <int vectors>
  static void add_stacked_moments(const Images& values, int64_t channel, int lanes, int64_t seen, double* mean,
                                  double* squares) {
    const Layout& layout = *values.layout;
    auto each_pixel = [&](auto f) {
      for (int64_t y = 0; y < layout.height; ++y)
        for (int64_t x = 0; x < layout.width; ++x) f(values.at(0, y, x) + layout.channel(channel));
    };
    auto total = [&](const Vector& of) {
      double sum = 0;
      for (int lane = 0; lane < lanes; ++lane) sum += of[lane];
      return sum;
    };
    const double added = double(lanes * layout.height * layout.width), share = added / (double(seen) + added);
    Vector sum[vectors] = {}, deviation[vectors] = {}, center[vectors];
    each_pixel([&](const float* from) {
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sum[j] += load(from + layout.vector(j));
    });
    for (int j = 0; j < vectors; ++j) center[j] = broadcast(float(total(sum[j]) / added));
    each_pixel([&](const float* from) {
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        const Vector difference = load(from + layout.vector(j)) - center[j];
        deviation[j] += difference * difference;
      }
    });
    for (int j = 0; j < vectors; ++j) {
      const double difference = center[j][0] - mean[j];
      squares[j] += total(deviation[j]) + difference * difference * double(seen) * share;
      mean[j] += difference * share;
    }
  }

  int gamma_ = -1, beta_ = -1, moving_mean_ = -1, moving_variance_ = -1;  // parameters; gamma of -1 is 1
  float epsilon_ = 0, momentum_ = 0;
};

}  // namespace zoo::program
