// Convolutions by Winograd's minimal filtering: a tile of the output costs a sixth to a third of the multiplications.
//
//     output tile = A^T [ (G weight G^T) * (B^T input tile B) ] A        (* by element, summed over input channels)
//
// An input tile has `size` x `size` pixels and an output tile `size - kernel + 1`. For each of the size^2 elements the
// sums over channels are one product of matrices, done by the tiles of products.h. The matrices belong to polynomials
// that are evaluated at 0, 1, -1, 2, -2 and for the larger size 1/2, -1/2, and at infinity.
// Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, https://arxiv.org/abs/1509.09308

#pragma once

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "products.h"

namespace zoo::program {

constexpr double kPoints[] = {0, 1, -1, 2, -2, 0.5, -0.5};
constexpr double kFactors6[] = {1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24};
constexpr double kFactors8[] = {1, -2.0 / 9, -2.0 / 9, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45};

constexpr double power(double base, int exponent) { return exponent ? base * power(base, exponent - 1) : 1; }

// G: how weights are transformed.
template <int size>
constexpr double weight_factor(int row, int column, int kernel) {
  if (row == size - 1) return column == kernel - 1;
  return (size == 6 ? kFactors6 : kFactors8)[row] * power(kPoints[row], column);
}

// A^T: how sums become outputs.
template <int size, int outputs>
constexpr float output_factor(int row, int column) {
  if (column == size - 1) return row == outputs - 1;
  return float(power(kPoints[column], row));
}

// B^T: how inputs are transformed.
template <int size>
constexpr float input_factor(int row, int column);
template <>
constexpr float input_factor<6>(int row, int column) {
  constexpr float factors[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                   {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
  return factors[row][column];
}
template <>
constexpr float input_factor<8>(int row, int column) {
  constexpr float factors[8][8] = {
      {1, 0, -5.25f, 0, 5.25f, 0, -1, 0},        {0, 1, 1, -4.25f, -4.25f, 1, 1, 0},
      {0, -1, 1, 4.25f, -4.25f, -1, 1, 0},       {0, 0.5f, 0.25f, -2.5f, -1.25f, 2, 1, 0},
      {0, -0.5f, 0.25f, 2.5f, -1.25f, -2, 1, 0}, {0, 2, 4, -2.5f, -5, 0.5f, 1, 0},
      {0, -2, 4, 2.5f, -5, -0.5f, 1, 0},         {0, -1, 0, 5.25f, 0, -5.25f, 0, 1},
  };
  return factors[row][column];
}

// One dimension of a transformation: the compiler leaves out factors of 0 and multiplications by 1.
template <int rows, int columns, class Factor>
inline void transform(Factor factor, const Vector* from, int from_step, Vector* to, int to_step) {
#pragma GCC unroll 8
  for (int row = 0; row < rows; ++row) {
    Vector sum{};
#pragma GCC unroll 8
    for (int column = 0; column < columns; ++column)
      if (factor(row, column) != 0) sum += factor(row, column) * from[column * from_step];
    to[row * to_step] = sum;
  }
}

template <int size, int kernel>
class Winograd : public Step {
 public:
  static constexpr int outputs = size - kernel + 1, elements = size * size;

  // `weight` as MXNet has it, of a kernel x kernel convolution without strides.
  Winograd(const Layout& in, const Layout& out, const Geometry& geometry, const float* weight, Stages stages)
      : in_(in),
        out_(out),
        top_(geometry.pad_height),
        left_(geometry.pad_width),
        rows_((out.height - 1) / outputs + 1),
        columns_((out.width - 1) / outputs + 1),
        stages_(std::move(stages)),
        zeros_(in.pixel()) {
    const long found = sysconf(_SC_LEVEL2_CACHE_SIZE);
    const int64_t bytes = elements * in.pixel() * 4, half = (found > 0 ? found : 512 << 10) / 2;
    at_once_ = std::clamp<int64_t>(half / bytes / kMostPixels, 1, 8) * kMostPixels;
    for (int64_t c = 0; c < in.channels; ++c) window_.push_back(int32_t(c));
    blocks_ = blocks_for(out.channels, at_once_);
    pack(weight);
  }

  double cycles_per_image() const override {
    double product = 0;
    for (const Block& block : blocks_) product += Tiling(at_once_, block.vectors).cycles(block.vectors);
    product *= double(elements * in_.channels) / double(at_once_);
    const double transforms = 15.0 * elements * double(in_.pixel() + out_.pixel()) / kLanes;
    return double(rows_ * columns_) * (product + transforms);
  }

  // Threads share the tiles of all images.
  void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const override {
    const int64_t tiles = count * rows_ * columns_, end = share.last(tiles);
    for (int64_t first = share.first(tiles); first < end; first += at_once_)
      compute(in[0], first, std::min(at_once_, end - first), out);
  }

 private:
  struct Place {  // of a tile: its image and its first pixel
    int64_t image, y, x;
  };

  Place place(int64_t tile) const {
    const int64_t rest = tile % (rows_ * columns_);
    return {tile / (rows_ * columns_), rest / columns_ * outputs, rest % columns_ * outputs};
  }

  void compute(const Images& in, int64_t first, int64_t tiles, const Images& out) const {
    // Elements lie an odd number of lines apart, so that they do not compete for the same sets of the cache.
    const int64_t in_step = at_once_ * in_.pixel() + 16, out_step = at_once_ * kMostVectors * kLanes + 16;
    float* const transformed = scratch<Winograd, Line>((elements * (in_step + out_step)) / 16 + 1)->values;
    float* const sums = transformed + elements * in_step;
    for (int64_t i = 0; i < tiles; ++i) enter(in, place(first + i), transformed + i * in_.pixel(), in_step);
    for (const Block& block : blocks_) {
      const int64_t pitch = block.vectors * kLanes;
      const float* weight = weight_.data() + elements * block.channel * in_.channels;
      const Tiling tiling(tiles, block.vectors);
      for (int element = 0; element < elements; ++element, weight += in_.channels * pitch)
        for (int64_t i = 0; i < tiling.tiles; ++i) {
          Tile tile;
          for (int p = 0; p < tiling.count(i); ++p) {
            tile.from[p] = transformed + element * in_step + (tiling.first(i) + p) * in_.pixel();
            tile.to[p] = sums + element * out_step + (tiling.first(i) + p) * pitch;
          }
          multiply_for(tiling.count(i), block.vectors)({window_, weight, kZeros, false}, tile);
        }
      for (int64_t i = 0; i < tiles; ++i)
        for (int j = 0; j < block.vectors; ++j)
          leave(sums + i * pitch + j * kLanes, out_step, place(first + i), block.channel + j * kLanes, out);
    }
  }

  // The tile of the input at `place`, transformed; zeros lie around the image.
  void enter(const Images& in, const Place& place, float* to, int64_t step) const {
    const int64_t top = place.y - top_, left = place.x - left_;
    const float* pixels[elements];
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        const bool inside = top + y >= 0 && top + y < in_.height && left + x >= 0 && left + x < in_.width;
        pixels[y * size + x] = inside ? in.at(place.image, top + y, left + x) : zeros_.data();
      }
    for (int64_t c = 0; c < in_.channels; c += kLanes) {
      Vector half[elements];
      for (int x = 0; x < size; ++x) {
        Vector column[size];
#pragma GCC unroll 8
        for (int y = 0; y < size; ++y) column[y] = load(pixels[y * size + x] + c);
        transform<size, size>(input_factor<size>, column, 1, half + x, size);
      }
      for (int y = 0; y < size; ++y) {
        Vector row[size];
        transform<size, size>(input_factor<size>, half + y * size, 1, row, 1);
#pragma GCC unroll 8
        for (int x = 0; x < size; ++x) store(to + (y * size + x) * step + c, row[x]);
      }
    }
  }

  // The tile of the output at `place`, from the sums of all elements, which lie `step` apart.
  void leave(const float* sums, int64_t step, const Place& place, int64_t channel, const Images& out) const {
    Vector half[outputs * size];
    const Vector start = load(&stages_.first().shift[channel]);
    for (int x = 0; x < size; ++x) {
      Vector column[size];
#pragma GCC unroll 8
      for (int y = 0; y < size; ++y) column[y] = load(sums + (y * size + x) * step);
      transform<outputs, size>(output_factor<size, outputs>, column, 1, half + x, size);
    }
    const int64_t height = std::min<int64_t>(outputs, out_.height - place.y);
    const int64_t width = std::min<int64_t>(outputs, out_.width - place.x);
    for (int64_t y = 0; y < height; ++y) {
      Vector row[outputs];
      transform<outputs, size>(output_factor<size, outputs>, half + y * size, 1, row, 1);
      for (int x = 0; x < outputs; ++x) row[x] += start;
      stages_.finish(row, outputs, 1, channel);
      float* const to = out.at(place.image, place.y + y, place.x) + channel;
      for (int64_t x = 0; x < width; ++x) store(to + x * out_.pixel(), row[x]);
    }
  }

  // For each block of output channels the transformed weights, by element and input channel.
  void pack(const float* weight) {
    double factors[size][kernel];
    for (int row = 0; row < size; ++row)
      for (int column = 0; column < kernel; ++column) factors[row][column] = weight_factor<size>(row, column, kernel);
    for (const Block& block : blocks_) {
      const int64_t pitch = block.vectors * kLanes, first = int64_t(weight_.size());
      weight_.resize(first + elements * in_.channels * pitch);
      for (int64_t o = 0; o < std::min(pitch, out_.channels - block.channel); ++o)
        for (int64_t c = 0; c < in_.channels; ++c) {
          const int64_t channel = block.channel + o;
          const float* const from = weight + (channel * in_.channels + c) * kernel * kernel;
          double half[size][kernel] = {};
          for (int i = 0; i < size; ++i)
            for (int x = 0; x < kernel; ++x)
              for (int y = 0; y < kernel; ++y) half[i][x] += factors[i][y] * from[y * kernel + x];
          for (int i = 0; i < size; ++i)
            for (int j = 0; j < size; ++j) {
              double sum = 0;
              for (int x = 0; x < kernel; ++x) sum += factors[j][x] * half[i][x];
              weight_[first + ((i * size + j) * in_.channels + c) * pitch + o] =
                  float(sum * stages_.first().scale[channel]);
            }
        }
    }
  }

  Layout in_, out_;
  int64_t top_, left_;      // pads
  int64_t rows_, columns_;  // of tiles in an image
  int64_t at_once_;         // tiles, whose transformed inputs stay in the second-level cache
  Stages stages_;
  std::vector<int32_t> window_;
  std::vector<Block> blocks_;
  std::vector<float> weight_, zeros_;
};

// The convolution that takes the fewest cycles.
inline std::unique_ptr<Step> convolution(const Layout& in, const Layout& out, const Geometry& geometry,
                                         const float* weight, const Stages& stages) {
  std::unique_ptr<Step> best = std::make_unique<Product>(in, out, geometry, weight, stages), other;
  const bool is_dense = geometry.stride_height == 1 && geometry.stride_width == 1 && !in.is_thin;
  if (!is_dense || geometry.kernel_height != geometry.kernel_width) return best;
  if (geometry.kernel_height == 3) other = std::make_unique<Winograd<6, 3>>(in, out, geometry, weight, stages);
  if (geometry.kernel_height == 5) other = std::make_unique<Winograd<8, 5>>(in, out, geometry, weight, stages);
  if (geometry.kernel_height == 7) other = std::make_unique<Winograd<8, 7>>(in, out, geometry, weight, stages);
  return other && other->cycles_per_image() < best->cycles_per_image() ? std::move(other) : std::move(best);
}

}  // namespace zoo::program
