// What lies between two convolutions while training, as one pass over each channel:
// activation -> Dropout -> BatchNorm -> ReLU -> 2x2 max pooling, every part but BatchNorm optional.
//
// A channel of a batch (a few hundred KiB) stays in the second-level cache of the core that works on
// it, so memory is read once and written once, where one operator after another reads and writes it all.
// Nothing but the input is kept for the backward pass: activation and Dropout are computed again.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "numbers.h"
#include "philox.h"
#include "pooling.h"

namespace zoo {

struct Chain {
  Activation activation = Activation::none;
  float dropout = 0;  // probability to drop
  float epsilon = 1e-5f, momentum = 0.9f;
  bool fix_gamma = false, relu = false, pool = false;
};

struct Shape {
  int64_t images, channels, height, width;
  int64_t plane() const { return height * width; }
  int64_t size() const { return images * channels * plane(); }
};

// One channel of a batch in float32: its values after activation and Dropout, what was dropped a negative zero. Small
// images are worked on many at once, as a piece.
class Channel {
 public:
  Channel(const Chain& chain, const Shape& shape)
      : chain_(chain),
        shape_(shape),
        plane_(shape.plane()),
        size_(shape.images * plane_),
        values_(size_ + kSlack),
        at_once_(plane_ < 2048 ? 2048 / plane_ : 1),
        mask_(chain.dropout > 0 ? at_once_ * plane_ : 0) {}

  template <class T>
  void load(const T* data, int64_t channel, Key key) {
    for (int64_t first = 0; first < shape_.images; first += at_once_) {
      for (int64_t n = first; n < end_of(first); ++n) {
        const T* from = data + (n * shape_.channels + channel) * plane_;
        float* v = values(n);
#pragma omp simd
        for (int64_t i = 0; i < plane_; ++i) v[i] = widen(from[i]);
      }
      const int64_t count = count_of(first);
      float* v = values(first);
      if (chain_.activation == Activation::tanh) {
        apply_tanh<T>(v, count);
      } else if (chain_.activation == Activation::relu) {
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) v[i] = relu_of(v[i]);
      }
      if (chain_.dropout > 0) {
        const float* m = mask_.data();
        const int64_t stream = first / at_once_ * shape_.channels + channel;
        dropout_mask(key, stream, chain_.dropout, int64_t(mask_.size()), mask_.data());
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) v[i] = m[i] > 0 ? (v[i] + 0.0f) * m[i] : -0.0f;
      }
    }
  }

  // gradient *= derivative of activation and Dropout, of a piece. The values tell what was dropped: nothing else is a
  // negative zero.
  void undo(int64_t first, float* gradient) const {
    const int64_t count = count_of(first);
    const float* v = values(first);
    const bool drops = chain_.dropout > 0;
    const float left = 1 - chain_.dropout, kept = 1 / left;
    auto is_dropped = [drops](float value) {
      uint32_t bits;
      __builtin_memcpy(&bits, &value, 4);
      return drops && bits == 0x80000000u;
    };
    if (chain_.activation == Activation::tanh) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) {
        const float result = v[i] * left;
        gradient[i] = is_dropped(v[i]) ? 0.0f : gradient[i] * kept * (1 - result * result);
      }
    } else if (chain_.activation == Activation::relu) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) gradient[i] *= v[i] > 0 ? kept : 0.0f;
    } else if (drops) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) gradient[i] = is_dropped(v[i]) ? 0.0f : gradient[i] * kept;
    }
  }

  // Mean and biased variance.
  void moments(float* mean, float* variance) const {
    double sum = 0, squares = 0;
    for (int64_t first = 0; first < shape_.images; first += at_once_) {
      const int64_t count = count_of(first);
      const float* v = values(first);
      float part = 0;
#pragma omp simd reduction(+ : part)
      for (int64_t i = 0; i < count; ++i) part += v[i];
      sum += part;
    }
    const float center = *mean = float(sum / size_);
    for (int64_t first = 0; first < shape_.images; first += at_once_) {
      const int64_t count = count_of(first);
      const float* v = values(first);
      float part = 0;
#pragma omp simd reduction(+ : part)
      for (int64_t i = 0; i < count; ++i) part += (v[i] - center) * (v[i] - center);
      squares += part;
    }
    *variance = float(squares / size_);
  }

  float* values(int64_t n) { return values_.data() + n * plane_; }
  const float* values(int64_t n) const { return values_.data() + n * plane_; }
  int64_t size() const { return size_; }
  // A piece begins with every at_once()-th image; where its images end, and how many values they have.
  int64_t at_once() const { return at_once_; }
  int64_t end_of(int64_t first) const { return std::min(first + at_once_, shape_.images); }
  int64_t count_of(int64_t first) const { return (end_of(first) - first) * plane_; }

 private:
  const Chain chain_;
  const Shape shape_;
  const int64_t plane_, size_;
  std::vector<float> values_;
  int64_t at_once_;
  std::vector<float> mask_;
};

struct NormWeights {
  const float *gamma, *beta;
  float *moving_mean, *moving_variance;
};

// What BatchNorm does to a channel: value * scale + shift, and not below floor where a ReLU follows.
struct Affine {
  float mean, inverse, scale, shift, floor;
  Affine(const Chain& chain, const NormWeights& weights, int64_t channel, float mean, float inverse)
      : mean(mean),
        inverse(inverse),
        scale((chain.fix_gamma ? 1.0f : weights.gamma[channel]) * inverse),
        shift(weights.beta[channel] - mean * scale),
        floor(chain.relu ? 0.0f : -INFINITY) {}
};

// statistics: (2, channels), mean and 1 / standard deviation of the batch, for the backward pass.
template <class T>
void chain_forward(const Chain& chain, const Shape& shape, Key key, const T* data, NormWeights weights, T* out,
                   float* statistics) {
  const int64_t plane = shape.plane();
  Queue channels(shape.channels);
  parallel(threads_for(double(shape.size())), [&](const Share&) {
    Channel channel(chain, shape);
    Pooling pooling(shape.height, shape.width);
    std::vector<float> line(channel.at_once() * plane);
    const int64_t out_plane = chain.pool ? pooling.size() : plane;
    channels.each([&](int64_t c) {
      channel.load(data, c, key);
      float mean, variance;
      channel.moments(&mean, &variance);
      const Affine norm(chain, weights, c, mean, 1 / std::sqrt(variance + chain.epsilon));
      statistics[c] = norm.mean;
      statistics[shape.channels + c] = norm.inverse;
      weights.moving_mean[c] = weights.moving_mean[c] * chain.momentum + mean * (1 - chain.momentum);
      weights.moving_variance[c] = weights.moving_variance[c] * chain.momentum + variance * (1 - chain.momentum);
      for (int64_t first = 0; first < shape.images; first += channel.at_once()) {
        const float* v = channel.values(first);
        float* z = line.data();
        if (!chain.pool) {
#pragma omp simd
          for (int64_t i = 0; i < channel.count_of(first); ++i) {
            const float value = v[i] * norm.scale + norm.shift;
            z[i] = value < norm.floor ? norm.floor : value;
          }
        }
        for (int64_t n = first; n < channel.end_of(first); ++n) {
          if (chain.pool) pooling.forward(channel.values(n), norm.scale, norm.shift, norm.floor);
          const float* from = chain.pool ? pooling.result().data() : z + (n - first) * plane;
          T* to = out + (n * shape.channels + c) * out_plane;
#pragma omp simd
          for (int64_t i = 0; i < out_plane; ++i) narrow(from[i], to + i);
        }
      }
    });
  });
}

template <class T>
void chain_backward(const Chain& chain, const Shape& shape, Key key, const T* data, NormWeights weights,
                    const float* statistics, const T* out_gradient, T* data_gradient, float* gamma_gradient,
                    float* beta_gradient) {
  const int64_t plane = shape.plane();
  Queue channels(shape.channels);
  parallel(threads_for(double(shape.size())), [&](const Share&) {
    Channel channel(chain, shape);
    Pooling pooling(shape.height, shape.width);
    std::vector<float> gradients(channel.size(), 0.0f);  // of the normalized values
    std::vector<float> line(channel.at_once() * plane);
    const int64_t out_plane = chain.pool ? pooling.size() : plane;
    channels.each([&](int64_t c) {
      channel.load(data, c, key);
      const Affine norm(chain, weights, c, statistics[c], statistics[shape.channels + c]);
      double sum = 0, product = 0;  // of the gradient, and of the gradient times the normalized value
      for (int64_t first = 0; first < shape.images; first += channel.at_once()) {
        const int64_t count = channel.count_of(first);
        const float* v = channel.values(first);
        float* d = gradients.data() + first * plane;
        for (int64_t n = first; n < channel.end_of(first); ++n) {
          const T* from = out_gradient + (n * shape.channels + c) * out_plane;
          float* whole = gradients.data() + n * plane;
          float* given = chain.pool ? pooling.result().data() : whole;
#pragma omp simd
          for (int64_t i = 0; i < out_plane; ++i) given[i] = widen(from[i]);
          if (chain.pool) pooling.backward(channel.values(n), norm.scale, norm.shift, norm.floor, whole);
        }
        if (!chain.pool && chain.relu) {
#pragma omp simd
          for (int64_t i = 0; i < count; ++i) d[i] *= v[i] * norm.scale + norm.shift > norm.floor ? 1.0f : 0.0f;
        }
        float piece_sum = 0, piece_product = 0;
#pragma omp simd reduction(+ : piece_sum, piece_product)
        for (int64_t i = 0; i < count; ++i) {
          piece_sum += d[i];
          piece_product += d[i] * ((v[i] - norm.mean) * norm.inverse);
        }
        sum += piece_sum;
        product += piece_product;
      }
      beta_gradient[c] = float(sum);
      gamma_gradient[c] = chain.fix_gamma ? 0.0f : float(product);
      const float mean_gradient = float(sum / channel.size()), mean_product = float(product / channel.size());
      for (int64_t first = 0; first < shape.images; first += channel.at_once()) {
        const float *v = channel.values(first), *d = gradients.data() + first * plane;
        float* l = line.data();
#pragma omp simd
        for (int64_t i = 0; i < channel.count_of(first); ++i)
          l[i] = norm.scale * (d[i] - mean_gradient - (v[i] - norm.mean) * norm.inverse * mean_product);
        channel.undo(first, l);
        for (int64_t n = first; n < channel.end_of(first); ++n, l += plane) {
          T* to = data_gradient + (n * shape.channels + c) * plane;
#pragma omp simd
          for (int64_t i = 0; i < plane; ++i) narrow(l[i], to + i);
        }
      }
    });
  });
}

// Dropout alone. Forward with the data, backward with the gradient: the same multiplication.
template <class T>
void dropout(float drop, int64_t size, Key key, const T* from, T* to) {
  constexpr int64_t piece = 4096;
  Queue pieces((size + piece - 1) / piece);
  parallel(threads_for(0.5 * double(size)), [&](const Share&) {
    pieces.each([&](int64_t number) {
      const int64_t start = number * piece, count = std::min(size - start, piece);
      float mask[piece];
      dropout_mask(key, number, drop, count, mask);
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) narrow(widen(from[start + i]) * mask[i], to + start + i);
    });
  });
}

}  // namespace zoo
