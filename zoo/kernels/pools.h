// What a program does between products besides stages: pooling, and sums of two images.

#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "products.h"

namespace zoo::program {

// The largest value or the mean of windows; what lies outside of the image does not count.
class Pooling : public Step {
 public:
  Pooling(const Layout& out, const Geometry& geometry, bool is_max, Stages stages)
      : out_(out), geometry_(geometry), is_max_(is_max), stages_(std::move(stages)) {}

  double cycles_per_image() const override {
    return double(out_.image() / kLanes * geometry_.kernel_height * geometry_.kernel_width);
  }

  void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const override {
    const int64_t rows = count * out_.height, last = share.last(rows);
    for (int64_t row = share.first(rows); row < last; ++row)
      for (int64_t x = 0; x < out_.width; ++x) pixel(in[0], row / out_.height, row % out_.height, x, out);
  }

 private:
  void pixel(const Images& in, int64_t n, int64_t y, int64_t x, const Images& out) const {
    const int64_t top = y * geometry_.stride_height - geometry_.pad_height;
    const int64_t left = x * geometry_.stride_width - geometry_.pad_width;
    const int64_t first_y = std::max<int64_t>(top, 0), first_x = std::max<int64_t>(left, 0);
    const int64_t end_y = std::min(top + geometry_.kernel_height, in.layout->height);
    const int64_t end_x = std::min(left + geometry_.kernel_width, in.layout->width);
    const Vector share = broadcast(1.0f / float((end_y - first_y) * (end_x - first_x)));
    const int64_t pitch = in.layout->pixel();
    float* to = out.at(n, y, x);
    for (int64_t c = 0; c < out_.channels; c += kLanes) {
      Vector value = is_max_ ? load(in.at(n, first_y, first_x) + c) : Vector{};
      for (int64_t i = first_y; i < end_y; ++i) {
        const float* from = in.at(n, i, first_x) + c;
        for (int64_t j = first_x; j < end_x; ++j, from += pitch)
          value = is_max_ ? max_of(load(from), value) : value + load(from);
      }
      if (!is_max_) value *= share;
      stages_.all(&value, 1, 1, c);
      store(to + c, value);
    }
  }

  Layout out_;
  Geometry geometry_;
  bool is_max_;
  Stages stages_;
};

// Stages of an image, or of the sum of two.
class Elementwise : public Step {
 public:
  Elementwise(const Layout& out, Stages stages) : out_(out), stages_(std::move(stages)) {}

  double cycles_per_image() const override { return 4.0 * double(out_.image() / kLanes); }

  void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const override {
    const int64_t rows = count * out_.height, last = share.last(rows);
    for (int64_t row = share.first(rows); row < last; ++row)
      for (int64_t x = 0; x < out_.width; ++x) {
        const int64_t n = row / out_.height, y = row % out_.height;
        for (int64_t c = 0; c < out_.channels; c += kLanes) {
          Vector value = load(in[0].at(n, y, x) + c);
          if (in.size() > 1) value += load(in[1].at(n, y, x) + c);
          stages_.all(&value, 1, 1, c);
          store(out.at(n, y, x) + c, value);
        }
      }
  }

 private:
  Layout out_;
  Stages stages_;
};

}  // namespace zoo::program
