// The gradients of a layer's weights: products over the pixels of its output.
//
//     sum[i][channels] += window[pixel][i] * gradient[pixel][channels]        for all pixels
//
// Each thread adds up its own images, and then the threads share the sums.

#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "winograd.h"

namespace zoo::program {

// Where the pixels lie that are summed over, counted from the first one, in the input and in the gradient.
struct Pixels {
  const int32_t *in, *gradient;
  int64_t count;
  int64_t step = kLanes;  // from one vector of the gradient's pixels to the next
};

struct Accumulate {
  static constexpr int most = kMostVectors;

  // `window`: where the values lie that a pixel sees; sums lie side by side.
  template <int values, int vectors>
  static void run(const Pixels& pixels, const float* in, const int32_t* window, const float* gradient, float* sums) {
    constexpr int chains = chains_of(values * vectors);
    Vector sum[chains][values][vectors];
    int64_t offset[values];
#pragma GCC unroll 8
    for (int i = 0; i < values; ++i) offset[i] = window[i];
#pragma GCC unroll 4
    for (int chain = 0; chain < chains; ++chain)
#pragma GCC unroll 8
      for (int i = 0; i < values; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) sum[chain][i][j] = chain ? Vector{} : load(sums + (i * vectors + j) * kLanes);
    auto add = [&](int64_t pixel, Vector(&sum)[values][vectors]) {
      const float* const from = in + pixels.in[pixel];
      Vector g[vectors];
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) g[j] = load(gradient + pixels.gradient[pixel] + j * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < values; ++i) {
        const Vector value = broadcast(from[offset[i]]);
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) sum[i][j] += value * g[j];
      }
    };
    int64_t pixel = 0;
    for (; pixels.count - pixel >= chains; pixel += chains)
#pragma GCC unroll 4
      for (int chain = 0; chain < chains; ++chain) add(pixel + chain, sum[chain]);
    for (; pixel < pixels.count; ++pixel) add(pixel, sum[0]);
#pragma GCC unroll 8
    for (int i = 0; i < values; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) {
        Vector total = sum[0][i][j];
#pragma GCC unroll 4
        for (int chain = 1; chain < chains; ++chain) total += sum[chain][i][j];
        store(sums + (i * vectors + j) * kLanes, total);
      }
  }
};

// The same where the lanes are images, which are added up, too:
//
//     sum[i][channel] += window[pixel][i] * gradient[pixel][channel]       for all pixels and lanes
struct AccumulateStacks {
  static constexpr int most = kMostOutputs;

  template <int values, int outputs>
  static void run(const Pixels& pixels, const float* in, const int32_t* window, const float* gradient, float* sums) {
    constexpr int chains = chains_of(values * outputs);
    Vector sum[chains][values][outputs] = {};
    const float *from[values], *given[outputs];
#pragma GCC unroll 8
    for (int i = 0; i < values; ++i) from[i] = in + window[i];
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) given[o] = gradient + o * pixels.step;
    auto add = [&](int64_t pixel, Vector(&sum)[values][outputs]) {
      const int64_t at = pixels.in[pixel], gradient_at = pixels.gradient[pixel];
      Vector v[values];
#pragma GCC unroll 8
      for (int i = 0; i < values; ++i) v[i] = load(from[i] + at);
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        const Vector g = load(given[o] + gradient_at);
#pragma GCC unroll 8
        for (int i = 0; i < values; ++i) sum[i][o] += v[i] * g;
      }
    };
    int64_t pixel = 0;
    for (; pixels.count - pixel >= chains; pixel += chains)
#pragma GCC unroll 4
      for (int chain = 0; chain < chains; ++chain) add(pixel + chain, sum[chain]);
    for (; pixel < pixels.count; ++pixel) add(pixel, sum[0]);
#pragma GCC unroll 8
    for (int i = 0; i < values; ++i)
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        Vector total = sum[0][i][o];
#pragma GCC unroll 4
        for (int chain = 1; chain < chains; ++chain) total += sum[chain][i][o];
        sums[i * outputs + o] += sum_of(total);
      }
  }
};

class WeightGradient {
 public:
  virtual ~WeightGradient() = default;
  virtual int64_t size() const = 0;  // of the sums of a thread
  virtual double cycles_per_image() const = 0;
  virtual void add(const Images& in, const Images& gradient, int64_t count, float* sums) const = 0;
  // From the sums of all threads, as MXNet has it.
  virtual void finish(const std::vector<const float*>& sums, float* to, const Share& share) const = 0;
};

class ProductGradient : public WeightGradient {
 public:
  ProductGradient(const Layout& in, const Layout& gradient, const Geometry& geometry, Places places)
      : in_(in), gradient_(gradient), places_(std::move(places)), window_(window_of(in, geometry)) {
    area_ = gradient.height * gradient.width;
    at_once_ = std::max<int64_t>(1, kPixels / area_);
    for (int64_t n = 0; n < at_once_; ++n)
      for (int64_t y = 0; y < gradient.height; ++y)
        for (int64_t x = 0; x < gradient.width; ++x) {
          const int64_t top = y * geometry.stride_height - geometry.pad_height + in.border_height;
          const int64_t left = x * geometry.stride_width - geometry.pad_width + in.border_width;
          from_.push_back(int32_t(n * in.image() + top * in.row() + left * in.pixel()));
          at_.push_back(int32_t(n * gradient.image() + (y + gradient.border_height) * gradient.row() +
                                (x + gradient.border_width) * gradient.pixel()));
        }
    per_vector_ = gradient.is_stacked() ? 1 : kLanes;
    blocks_ = blocks_for(gradient.channels, int64_t(window_.size()), gradient.lanes);
  }

  int64_t size() const override { return int64_t(window_.size()) * round_up(gradient_.channels, per_vector_); }

  double cycles_per_image() const override {
    double sum = 0;
    for (const Block& block : blocks_)
      sum += Tiling(int64_t(window_.size()), block.vectors).cycles(block.vectors, gradient_.lanes);
    return sum * double(area_);
  }

  void add(const Images& in, const Images& gradient, int64_t count, float* sums) const override {
    for (int64_t n = 0; n < count; n += at_once_) {
      const Images x = in.from(n), g = gradient.from(n);
      const int64_t pixels = std::min(at_once_, count - n) * area_, parts = (pixels - 1) / kPixels + 1;
      for (int64_t part = 0; part < parts; ++part) {
        const Share share{part, parts};
        const int64_t first = share.first(pixels);
        add({&from_[first], &at_[first], share.last(pixels) - first, gradient_.vector(1)}, x.values, g.values, sums);
      }
    }
  }

  void finish(const std::vector<const float*>& sums, float* to, const Share& share) const override {
    const int64_t window = int64_t(window_.size()), last = share.last(window);
    for (const Block& block : blocks_) {
      const int64_t pitch = block.vectors * per_vector_, count = std::min(pitch, gradient_.channels - block.channel);
      for (int64_t i = share.first(window); i < last; ++i) {
        float total[kMostVectors * kLanes] = {};
        for (const float* each : sums)
          for (int64_t o = 0; o < count; ++o) total[o] += each[block.channel * window + i * pitch + o];
        for (int64_t o = 0; o < count; ++o) to[places_.rows[i] + places_.columns[block.channel + o]] = total[o];
      }
    }
  }

 private:
  static constexpr int64_t kPixels = 192;  // at a time: what they see of some channels stays in the first-level cache

  void add(const Pixels& pixels, const float* in, const float* gradient, float* sums) const {
    for (const Block& block : blocks_) {
      const Tiling tiling(int64_t(window_.size()), block.vectors);
      const float* const given = gradient + gradient_.channel(block.channel);
      auto add_by = [&](const auto& kernels) {
        for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
          kernels[tiling.count(tile)](pixels, in, &window_[tiling.first(tile)], given, sums);
          sums += tiling.count(tile) * block.vectors * per_vector_;
        }
      };
      if (gradient_.is_stacked())
        add_by(KernelsFor<AccumulateStacks>(tiling, block.vectors));
      else
        add_by(KernelsFor<Accumulate>(tiling, block.vectors));
    }
  }

  Layout in_, gradient_;
  Places places_;
  std::vector<int32_t> window_;
  int64_t area_, at_once_, per_vector_;  // per_vector_: channels of the gradient
  std::vector<int32_t> from_, at_;
  std::vector<Block> blocks_;
};

// By Winograd's minimal filtering: the gradient of the transformed weights is a product for each element, of the
// transformed tiles of the input and those of the output's gradient. By the chain rule, the latter are transformed with
// A, and the sums with the transpose of G.
template <int size_of_tile, int kernel>
class WinogradGradient : public WeightGradient {
 public:
  static constexpr int outputs = size_of_tile - kernel + 1, elements = size_of_tile * size_of_tile;

  WinogradGradient(const Layout& in, const Layout& gradient, const Geometry& geometry, Places places)
      : in_(in),
        gradient_(gradient),
        places_(std::move(places)),
        top_(geometry.pad_height),
        left_(geometry.pad_width),
        grid_(gradient, outputs),
        zeros_(std::max(in.pixel(), gradient.pixel())) {
    const int64_t bytes = elements * (in.pixel() + gradient.pixel()) * 4;
    at_once_ = std::clamp<int64_t>(half_a_cache() / bytes, 8, 64);
    for (int64_t c = 0; c < in.channels; ++c) window_.push_back(int32_t(c));
    for (int64_t i = 0; i < at_once_; ++i) {
      from_.push_back(int32_t(i * in.pixel()));
      at_.push_back(int32_t(i * gradient.pixel()));
    }
    blocks_ = blocks_for(gradient.channels, in.channels);
  }

  int64_t size() const override { return elements * in_.channels * round_up(gradient_.channels, kLanes); }

  double cycles_per_image() const override {
    double product = 0;
    for (const Block& block : blocks_) product += Tiling(in_.channels, block.vectors).cycles(block.vectors);
    // Sums are read and written once for so many tiles.
    product += 2.0 * double(in_.channels * gradient_.pixel()) / kLanes / double(at_once_);
    const double transforms = 15.0 * double(in_.pixel() + gradient_.pixel()) / kLanes;
    return double(grid_.tiles() * elements) * (product + transforms);
  }

  void add(const Images& in, const Images& gradient, int64_t count, float* sums) const override {
    const int64_t tiles = count * grid_.tiles();
    for (int64_t first = 0; first < tiles; first += at_once_)
      add(in, gradient, first, std::min(at_once_, tiles - first), sums);
  }

  void finish(const std::vector<const float*>& sums, float* to, const Share& share) const override {
    const int64_t last = share.last(in_.channels);
    for (const Block& block : blocks_)
      for (int64_t c = share.first(in_.channels); c < last; ++c)
        for (int j = 0; j < block.vectors; ++j) {
          const int64_t pitch = block.vectors * kLanes, step = in_.channels * pitch;
          const int64_t from = elements * block.channel * in_.channels + c * pitch + j * kLanes;
          Vector total[elements] = {}, half[kernel * size_of_tile];
          for (const float* each : sums)
            for (int element = 0; element < elements; ++element) total[element] += load(each + from + element * step);
          for (int x = 0; x < size_of_tile; ++x)
            transform<kBackToWeights>(total + x, size_of_tile, half + x, size_of_tile);
          const int64_t channel = block.channel + j * kLanes;
          const int64_t count = std::min<int64_t>(kLanes, gradient_.channels - channel);
          for (int y = 0; y < kernel; ++y) {
            Vector row[kernel];
            transform<kBackToWeights>(half + y * size_of_tile, 1, row, 1);
            for (int x = 0; x < kernel; ++x)
              for (int64_t o = 0; o < count; ++o)
                to[places_.rows[(y * kernel + x) * in_.channels + c] + places_.columns[channel + o]] = row[x][o];
          }
        }
  }

 private:
  static constexpr auto kBackToWeights = kWeights<size_of_tile, kernel>.transposed();
  static constexpr auto kGradients = kOutputs<size_of_tile, kernel>.transposed();

  void add(const Images& in, const Images& gradient, int64_t first, int64_t tiles, float* sums) const {
    // Elements lie an odd number of lines apart, so that they do not compete for the same sets of the cache.
    const int64_t in_step = at_once_ * in_.pixel() + 16, at_step = at_once_ * gradient_.pixel() + 16;
    float* const seen = scratch<WinogradGradient, Line>(elements * (in_step + at_step) / 16 + 1)->values;
    float* const transformed = seen + elements * in_step;
    for (int64_t i = 0; i < tiles; ++i) {
      Grid::Place place = grid_.place(first + i);
      enter_tile<kGradients>(gradient, place, zeros_.data(), transformed + i * gradient_.pixel(), at_step);
      place.y -= top_, place.x -= left_;
      enter_tile<kInputs<size_of_tile>>(in, place, zeros_.data(), seen + i * in_.pixel(), in_step);
    }
    for (const Block& block : blocks_) {
      const Tiling tiling(in_.channels, block.vectors);
      const KernelsFor<Accumulate> kernels(tiling, block.vectors);
      for (int element = 0; element < elements; ++element)
        for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
          kernels[tiling.count(tile)]({from_.data(), at_.data(), tiles}, seen + element * in_step,
                                      &window_[tiling.first(tile)], transformed + element * at_step + block.channel,
                                      sums);
          sums += tiling.count(tile) * block.vectors * kLanes;
        }
    }
  }

  Layout in_, gradient_;
  Places places_;
  int64_t top_, left_;  // pads
  Grid grid_;
  int64_t at_once_;  // tiles
  std::vector<int32_t> window_, from_, at_;
  std::vector<Block> blocks_;
  std::vector<float> zeros_;
};

// The weight gradient that takes the fewest cycles.
inline std::unique_ptr<WeightGradient> weight_gradient(const Layout& in, const Layout& gradient,
                                                       const Geometry& geometry, const Places& places) {
  return fastest<WeightGradient, ProductGradient, WinogradGradient>(in, geometry, in, gradient, geometry, places);
}

}  // namespace zoo::program
