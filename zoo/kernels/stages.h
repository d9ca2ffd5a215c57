// What is done to the values between two products: a factor and a summand for each channel, then an activation.
// Bias, BatchNorm with its running statistics, scalars, tanh and ReLU are stages, or parts of one.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "images.h"

namespace zoo::program {

struct Stage {
  std::vector<float> scale, shift;  // by channel, in whole vectors
  Activation activation = Activation::none;
};

class Stages {
 public:
  // In a program that rounds to bfloat16, a rough tanh is as good, but for what it puts out.
  explicit Stages(int64_t channels, bool is_rough = false) : channels_(channels), is_rough_(is_rough) { begin(); }

  int64_t channels() const { return channels_; }
  void scale(int64_t channel, float factor) {
    open().scale[channel] *= factor;
    open().shift[channel] *= factor;
  }
  void shift(int64_t channel, float summand) { open().shift[channel] += summand; }
  void start(const float* summands) { std::copy_n(summands, channels_, stages_.front().shift.begin()); }
  void activate(Activation activation) {
    open().activation = activation;
    is_open_ = false;
  }

  // A product multiplies its weights by the first stage's factors, and its sums start with the first summands.
  const Stage& first() const { return stages_.front(); }
  // Whether nothing was asked for.
  bool is_empty() const { return is_empty_; }
  // Whether no more than a ReLU is left to be done after that.
  bool is_simple() const { return stages_.size() == 1 && first().activation != Activation::tanh; }

  // All that is left to be done to the sums of a product: `rows` pixels of `vectors` vectors, from vector `first_one`
  // on.
  void finish(const Layout& layout, Vector* values, int rows, int vectors, int64_t first_one) const {
    activate(first().activation, values, rows * vectors);
    for (size_t i = 1; i < stages_.size(); ++i) apply(stages_[i], layout, values, rows, vectors, first_one);
  }
  // The same to values that come from elsewhere.
  void all(const Layout& layout, Vector* values, int rows, int vectors, int64_t first_one) const {
    for (const Stage& stage : stages_) apply(stage, layout, values, rows, vectors, first_one);
  }

 private:
  void begin() {
    const int64_t size = round_up(channels_, kLanes);
    stages_.push_back({std::vector<float>(size, 1.0f), std::vector<float>(size, 0.0f)});
    is_open_ = true;
  }
  Stage& open() {
    is_empty_ = false;
    if (!is_open_) begin();
    return stages_.back();
  }

  void apply(const Stage& stage, const Layout& layout, Vector* values, int rows, int vectors, int64_t first_one) const {
    for (int j = 0; j < vectors; ++j) {
      const Vector scale = layout.of_channels(stage.scale.data(), first_one + j);
      const Vector shift = layout.of_channels(stage.shift.data(), first_one + j);
      for (int r = 0; r < rows; ++r) values[r * vectors + j] = values[r * vectors + j] * scale + shift;
    }
    activate(stage.activation, values, rows * vectors);
  }
  void activate(Activation activation, Vector* values, int count) const {
    if (activation == Activation::relu)
      for (int i = 0; i < count; ++i) values[i] = relu_of(values[i]);
#ifdef __AVX512F__
    else if (activation == Activation::tanh && is_rough_)
      for (int i = 0; i < count; ++i) values[i] = (Vector)rough_tanh_of((__m512)values[i]);
#endif
    else if (activation == Activation::tanh)
      for (int i = 0; i < count; ++i) values[i] = tanh_of(values[i]);
  }

  int64_t channels_;
  [[maybe_unused]] bool is_rough_;
  std::vector<Stage> stages_;
  bool is_open_ = false, is_empty_ = true;
};

}  // namespace zoo::program
