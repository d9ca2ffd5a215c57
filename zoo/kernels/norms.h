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

template <int vectors>
void add(Vector (&sum)[vectors], double* to) {
  for (int j = 0; j < vectors; ++j) {
    for (int lane = 0; lane < kLanes; ++lane) to[j * kLanes + lane] += sum[j][lane];
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

  int gamma_ = -1, beta_ = -1, moving_mean_ = -1, moving_variance_ = -1;  // parameters; gamma of -1 is 1
  float epsilon_ = 0, momentum_ = 0;
};

}  // namespace zoo::program
