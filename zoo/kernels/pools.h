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
      is_max_ ? run_row<true>(in[0], row / out_.height, row % out_.height, out)
              : run_row<false>(in[0], row / out_.height, row % out_.height, out);
  }

 private:
  template <bool is_max>
  void run_row(const Images& in, int64_t n, int64_t y, const Images& out) const {
    const int64_t top = y * geometry_.stride_height - geometry_.pad_height;
    const int64_t first = std::max<int64_t>(top, 0), end = std::min(top + geometry_.kernel_height, in.layout->height);
    const int64_t pitch = in.layout->pixel(), row = in.layout->row();
    for (int64_t v = 0; v < out_.vectors(); ++v) {
      const float* const from = in.at(n, first, 0) + in.layout->vector(v);
      float* to = out.at(n, y, 0) + out_.vector(v);
      for (int64_t x = 0; x < out_.width; ++x, to += out_.pixel()) {
        const int64_t left = x * geometry_.stride_width - geometry_.pad_width;
        const int64_t first_x = std::max<int64_t>(left, 0);
        const int64_t width = std::min(left + geometry_.kernel_width, in.layout->width) - first_x;
        const float* line = from + first_x * pitch;
        Vector value = is_max ? load(line) : Vector{};
        for (int64_t i = first; i < end; ++i, line += row)
          for (int64_t j = 0; j < width; ++j)
            value = is_max ? max_of(load(line + j * pitch), value) : value + load(line + j * pitch);
        if (!is_max) value *= broadcast(1.0f / float((end - first) * width));
        if (!stages_.is_empty()) stages_.all(out_, &value, 1, 1, v);
        store(to, value);
      }
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
      for (int64_t v = 0; v < out_.vectors(); ++v)
        for (int64_t x = 0; x < out_.width; ++x) {
          const int64_t n = row / out_.height, y = row % out_.height;
          Vector value = load(in[0].at(n, y, x) + in[0].layout->vector(v));
          if (in.size() > 1) value += load(in[1].at(n, y, x) + in[1].layout->vector(v));
          stages_.all(out_, &value, 1, 1, v);
          store(out.at(n, y, x) + out_.vector(v), value);
        }
  }

 private:
  Layout out_;
  Stages stages_;
};

}  // namespace zoo::program
