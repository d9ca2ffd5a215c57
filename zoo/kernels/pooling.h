// Max pooling, 2 x 2 with stride 2, of planes in float32. Rows of the result are rounded up to whole vectors:
// twelve pixels would otherwise be handled one by one. Planes must be readable for kSlack beyond their end.

#pragma once

#include <cstdint>
#include <vector>

namespace zoo {

constexpr int64_t kSlack = 64;

class Pooling {
 public:
  Pooling(int64_t plane_height, int64_t plane_width) : Pooling(plane_height, plane_width, plane_width) {}
  // The rows of a plane are `stride` apart.
  Pooling(int64_t plane_height, int64_t plane_width, int64_t stride)
      : height_(plane_height / 2),
        width_(plane_width / 2),
        stride_(stride),
        padded_((width_ + 15) / 16 * 16),
        result_(height_ * width_ + padded_),
        corners_(4 * padded_) {}

  int64_t size() const { return height_ * width_; }
  std::vector<float>& result() { return result_; }  // of the forward pass; before the backward pass, its gradient

  // result = max(floor, maximum of scale * plane + shift)
  void forward(const float* plane, float scale, float shift, float floor) {
    for (int64_t y = 0; y < height_; ++y) {
      const float *top = plane + 2 * y * stride_, *bottom = top + stride_;
      float* to = result_.data() + y * width_;  // what is written too far, the next row overwrites
#pragma omp simd
      for (int64_t x = 0; x < padded_; ++x) {
        const float a = top[2 * x] * scale + shift, b = top[2 * x + 1] * scale + shift;
        const float c = bottom[2 * x] * scale + shift, d = bottom[2 * x + 1] * scale + shift;
        const float above = b > a ? b : a, below = d > c ? d : c, maximum = below > above ? below : above;
        to[x] = maximum < floor ? floor : maximum;
      }
    }
  }

  // Each gradient in `result` goes to the maximum of its window, the first of equal ones; all else is left alone.
  void backward(const float* plane, float scale, float shift, float floor, float* gradient) {
    float *top_left = corners_.data(), *top_right = top_left + padded_;
    float *bottom_left = top_right + padded_, *bottom_right = bottom_left + padded_;
    for (int64_t y = 0; y < height_; ++y) {
      const float *top = plane + 2 * y * stride_, *bottom = top + stride_, *given = result_.data() + y * width_;
#pragma omp simd
      for (int64_t x = 0; x < padded_; ++x) {
        const float a = top[2 * x] * scale + shift, b = top[2 * x + 1] * scale + shift;
        const float c = bottom[2 * x] * scale + shift, d = bottom[2 * x + 1] * scale + shift;
        const float above = b > a ? b : a, below = d > c ? d : c, maximum = below > above ? below : above;
        const float passes = maximum > floor ? 1.0f : 0.0f, is_lower = below > above ? 1.0f : 0.0f;
        const float is_right_above = b > a ? 1.0f : 0.0f, is_right_below = d > c ? 1.0f : 0.0f;
        const float all = given[x] * passes, lower = all * is_lower, upper = all - lower;
        top_right[x] = upper * is_right_above;
        top_left[x] = upper - top_right[x];
        bottom_right[x] = lower * is_right_below;
        bottom_left[x] = lower - bottom_right[x];
      }
      float *to_top = gradient + 2 * y * stride_, *to_bottom = to_top + stride_;
#pragma omp simd
      for (int64_t x = 0; x < width_; ++x) to_top[2 * x] = top_left[x], to_top[2 * x + 1] = top_right[x];
#pragma omp simd
      for (int64_t x = 0; x < width_; ++x) to_bottom[2 * x] = bottom_left[x], to_bottom[2 * x + 1] = bottom_right[x];
    }
  }

 private:
  int64_t height_, width_, stride_, padded_;
  std::vector<float> result_, corners_;
};

}  // namespace zoo
