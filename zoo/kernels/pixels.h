// Pixels from a data set, as they are or deformed.

#pragma once

#include <algorithm>
#include <vector>

#include "call.h"

namespace zoo {

constexpr int64_t kControlPoints = 6;         // along each axis
constexpr int kBits = 20, kOne = 1 << kBits;  // of fixed-point coordinates

// An image whose pixels are taken from where cubic B-splines over `points` (2, 6, 6) say, x before y, bilinearly;
// outside of it everything is 0. `basis` (6, size): the weights of the control points of a line at each of its pixels.
// Lines are computed in whole runs of pixels, which the compiler vectorizes; what is beyond an image is left out.
template <class T>
void deform(const uint8_t* image, int64_t size, const float* points, const float* basis, float scale, T* to) {
  constexpr int run = 16;
  const int64_t width = (size + run - 1) / run * run, lines = kControlPoints;
  const int pitch = int(size) + 3;  // with a border of zeros: one before, two behind
  float* const padded = scratch<T, float>(pitch * pitch + (lines + 1) * width);
  float *const weights = padded + pitch * pitch, *const line = weights + lines * width;
  std::fill(padded, line, 0.0f);
  for (int64_t y = 0; y < size; ++y)
    for (int64_t x = 0; x < size; ++x) padded[(y + 1) * pitch + x + 1] = float(image[y * size + x]) * scale;
  for (int64_t k = 0; k < lines; ++k) std::copy_n(basis + k * size, size, weights + k * width);
  const int most = (int(size) + 1) * kOne;
  for (int64_t y = 0; y < size; ++y) {
    float across[kControlPoints] = {}, down[kControlPoints] = {};
    for (int64_t j = 0; j < lines; ++j)
      for (int64_t k = 0; k < lines; ++k) {
        across[k] += basis[j * size + y] * points[j * lines + k];
        down[k] += basis[j * size + y] * points[(lines + j) * lines + k];
      }
    for (int64_t first = 0; first < width; first += run) {
      float u[run], v[run];
      std::fill_n(u, run, 1.0f), std::fill_n(v, run, 1.0f);
      for (int64_t k = 0; k < lines; ++k)
#pragma omp simd
        for (int x = 0; x < run; ++x) {
          u[x] += weights[k * width + first + x] * across[k];
          v[x] += weights[k * width + first + x] * down[k];
        }
      // With fixed-point numbers, whose minimum and maximum the compiler vectorizes.
#pragma omp simd
      for (int x = 0; x < run; ++x) {
        const int column = std::min(std::max(int(u[x] * kOne), 0), most);
        const int row = std::min(std::max(int(v[x] * kOne), 0), most);
        const float right = float(column & (kOne - 1)) / kOne, below = float(row & (kOne - 1)) / kOne;
        const int at = (row >> kBits) * pitch + (column >> kBits);
        const float upper = padded[at] + right * (padded[at + 1] - padded[at]);
        const float lower = padded[at + pitch] + right * (padded[at + pitch + 1] - padded[at + pitch]);
        line[first + x] = upper + below * (lower - upper);
      }
    }
    for (int64_t x = 0; x < size; ++x) narrow(line[x], to + y * size + x);
  }
}

// Where images come from: a data set, numbers of images in it, and their control points if they are deformed.
struct Pictures {
  const uint8_t* from;
  int64_t images, height, width;  // of the data set
  const int32_t* index;
  const float *points, *basis;  // or null
  float scale;
};

// The images at `index` as pixels, deformed by their control points if there are any.
template <class T>
void pixels(const Pictures& pictures, int64_t count, T* to) {
  const int64_t plane = pictures.height * pictures.width, points = 2 * kControlPoints * kControlPoints;
  const double nanoseconds = double(count * plane) * (pictures.points ? 3 : 0.3);
  parallel(threads_for(nanoseconds), [&](const Share& share) {
    for (int64_t n = share.first(count), end = share.last(count); n < end; ++n) {
      const int64_t number = std::min(pictures.images - 1, std::max<int64_t>(0, pictures.index[n]));
      const uint8_t* image = pictures.from + number * plane;
      if (pictures.points) {
        deform(image, pictures.width, pictures.points + n * points, pictures.basis, pictures.scale, to + n * plane);
        continue;
      }
#pragma omp simd
      for (int64_t i = 0; i < plane; ++i) narrow(float(image[i]) * pictures.scale, to + n * plane + i);
    }
  });
}

struct PixelsOperator {
  static constexpr const char* name = "zoo_pixels";  // images as uint8, index as int32 [, control points, basis]
  static constexpr bool is_differentiable = false;
  static constexpr int outputs = 1;
  static int inputs(const Attributes& given) { return given.is_set("deform") ? 4 : 2; }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  static bool infer(const Attributes&, const std::vector<unsigned>& images, Shapes& in, Shapes& out) {
    out[0] = images;
    if (in[1].size() == 1 && !images.empty()) out[0][0] = in[1][0];
    return in[1].size() == 1 && !images.empty();
  }
  static void types(const Attributes& given, int* in, int* out) {
    in[0] = kUint8, in[1] = kInt32;
    out[0] = given.is_set("bfloat16") ? kBfloat16 : kFloat32;
  }

  template <class T>
  static void run(const Call& call) {
    pixels(pictures(call), call.size(1), call.output<T>(0));
  }

  // The first inputs of a call; control points and basis are the numbers `deformed` and the one after.
  static Pictures pictures(const Call& call, int deformed = 2) {
    const bool deforms = call.attributes.is_set("deform");
    const int64_t images = call.extent(0), width = call.extent(3);
    return {call.input<uint8_t>(0),
            images,
            call.size() / std::max<int64_t>(1, images * width),
            width,
            call.input<int32_t>(deformed - 1),
            deforms ? call.input<float>(deformed) : nullptr,
            deforms ? call.input<float>(deformed + 1) : nullptr,
            call.attributes.number("scale", 1.0f)};
  }
};

}  // namespace zoo
