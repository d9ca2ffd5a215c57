// Convolutions and fully connected layers as products of matrices, without a matrix of patches: the sums of a tile of
// pixels times channels stay in registers while the window that each pixel sees is read where it lies.
//
//     sum[pixel][channels] += window[pixel][i] * weight[i][channels]        for all i of the window
//
// A fully connected layer is a convolution whose kernel covers the image. Where the lanes of a vector are images, a
// tile has pixels of stacks times channels:
//
//     sum[channel][pixel] += weight[i][channel] * window[pixel][i]

#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "stages.h"

namespace zoo::program {

constexpr int kMostPixels = 6;   // of a tile: each takes a register for its address
constexpr int kMostVectors = 4;  // of channels
constexpr int kMostOutputs = 8;  // channels, where the lanes are images
constexpr float kZeros[kMostVectors * kLanes] = {};
constexpr int most_pixels(int vectors) { return std::min(kAccumulators / vectors, kMostPixels); }

struct Tile {
  std::array<const float*, kMostPixels> from;  // the first value that each pixel sees
  std::array<float*, kMostPixels> to;          // its first channel
  int64_t step = kLanes;                       // from there to the next vector of the tile
};

// What a block of channels is computed from.
struct Factors {
  const int32_t* window;  // where the values that a pixel sees lie, from the first one on
  int64_t count;          // of them
  const float* weight;
  const float* start;  // of the sums; without any, they go on from what is there
  bool relu;
};

// Two sums can be added to in each cycle, and each of them in every fourth: small tiles keep several of each sum.
constexpr int chains_of(int sums) { return sums >= 8 ? 1 : sums >= 4 ? 2 : 4; }

struct Multiply {
  static constexpr int most = kMostVectors;

  template <int pixels, int vectors>
  static void run(const Factors& factors, const Tile& tile) {
    constexpr int chains = chains_of(pixels * vectors);
    Vector sums[chains][pixels][vectors];
    const float* from[pixels];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) from[p] = tile.from[p];
#pragma GCC unroll 4
    for (int chain = 0; chain < chains; ++chain)
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) {
          const float* const start = factors.start ? factors.start : tile.to[p];
          sums[chain][p][j] = chain ? Vector{} : load(start + j * kLanes);
        }
    const float* weight = factors.weight;
    auto add = [&](int64_t offset, Vector(&sums)[pixels][vectors]) {
      Vector w[vectors];
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) w[j] = load(weight + j * kLanes);
      weight += vectors * kLanes;
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) {
        const Vector value = broadcast(from[p][offset]);
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) sums[p][j] += value * w[j];
      }
    };
    const int32_t *at = factors.window, *const end = at + factors.count;
    for (; end - at >= chains; at += chains)
#pragma GCC unroll 4
      for (int chain = 0; chain < chains; ++chain) add(at[chain], sums[chain]);
    for (; at < end; ++at) add(*at, sums[0]);
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) {
        Vector sum = sums[0][p][j];
#pragma GCC unroll 4
        for (int chain = 1; chain < chains; ++chain) sum += sums[chain][p][j];
        store(tile.to[p] + j * kLanes, factors.relu ? relu_of(sum) : sum);
      }
  }
};

struct MultiplyStacks {
  static constexpr int most = kMostOutputs;

  template <int pixels, int outputs>
  static void run(const Factors& factors, const Tile& tile) {
    constexpr int chains = chains_of(pixels * outputs);
    Vector sums[chains][pixels][outputs];
    const float* from[pixels];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) from[p] = tile.from[p];
#pragma GCC unroll 4
    for (int chain = 0; chain < chains; ++chain)
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o)
          sums[chain][p][o] = chain           ? Vector{}
                              : factors.start ? broadcast(factors.start[o])
                                              : load(tile.to[p] + o * tile.step);
    const float* weight = factors.weight;
    auto add = [&](int64_t offset, Vector(&sums)[pixels][outputs]) {
      Vector values[pixels];
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) values[p] = load(from[p] + offset);
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        const Vector w = broadcast(weight[o]);
#pragma GCC unroll 8
        for (int p = 0; p < pixels; ++p) sums[p][o] += w * values[p];
      }
      weight += outputs;
    };
    const int32_t *at = factors.window, *const end = at + factors.count;
    for (; end - at >= chains; at += chains)
#pragma GCC unroll 4
      for (int chain = 0; chain < chains; ++chain) add(at[chain], sums[chain]);
    for (; at < end; ++at) add(*at, sums[0]);
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        Vector sum = sums[0][p][o];
#pragma GCC unroll 4
        for (int chain = 1; chain < chains; ++chain) sum += sums[chain][p][o];
        store(tile.to[p] + o * tile.step, factors.relu ? relu_of(sum) : sum);
      }
  }
};

// The kernel for a tile of that size.
template <class Kernel, int vectors = Kernel::most, int pixels = most_pixels(vectors)>
auto kernel_for(int wanted_pixels, int wanted_vectors) -> decltype(&Kernel::template run<1, 1>) {
  if constexpr (vectors > 1)
    if (wanted_vectors < vectors) return kernel_for<Kernel, vectors - 1>(wanted_pixels, wanted_vectors);
  if constexpr (pixels > 1)
    if (wanted_pixels < pixels) return kernel_for<Kernel, vectors, pixels - 1>(wanted_pixels, wanted_vectors);
  return Kernel::template run<pixels, vectors>;
}

// Cycles for each value of the window: two products, and two loads, at a time. Pixels of stacks are whole vectors,
// which come from the second-level cache and take about three times as long.
constexpr double cycles(int pixels, int vectors, Lanes lanes) {
  return std::max(pixels * vectors, pixels * (lanes == Lanes::images ? 3 : 1) + vectors) / 2.0;
}

// Pixels in as few tiles as possible, which are as equal as possible.
struct Tiling {
  Tiling(int64_t pixels, int vectors) : pixels(pixels), tiles((pixels - 1) / most_pixels(vectors) + 1) {}
  int64_t pixels, tiles;
  int64_t first(int64_t tile) const { return pixels / tiles * tile + std::min(tile, pixels % tiles); }
  int count(int64_t tile) const { return int(pixels / tiles + (tile < pixels % tiles)); }
  double cycles(int vectors, Lanes lanes = Lanes::channels) const {
    const int64_t larger = pixels % tiles;
    return double(larger) * program::cycles(count(0), vectors, lanes) +
           double(tiles - larger) * program::cycles(count(tiles - 1), vectors, lanes);
  }
};

// The kernels for the tiles of a tiling, which have at most two sizes.
template <class Kernel>
class KernelsFor {
 public:
  KernelsFor(const Tiling& tiling, int vectors)
      : most_(tiling.count(0)),
        most_kernel_(kernel_for<Kernel>(most_, vectors)),
        other_kernel_(kernel_for<Kernel>(tiling.count(tiling.tiles - 1), vectors)) {}
  auto operator[](int count) const { return count == most_ ? most_kernel_ : other_kernel_; }

 private:
  int most_;
  decltype(&Kernel::template run<1, 1>) most_kernel_, other_kernel_;
};

struct Block {
  int64_t channel;  // its first one
  int vectors;
};

// The blocks that take the fewest cycles for so many pixels.
inline std::vector<Block> blocks_for(int64_t channels, int64_t pixels, Lanes lanes = Lanes::channels) {
  const int most = lanes == Lanes::images ? kMostOutputs : kMostVectors;
  const int64_t per_vector = lanes == Lanes::images ? 1 : kLanes;
  const int64_t vectors = round_up(channels, per_vector) / per_vector;
  std::vector<double> best(vectors + 1, 0.0);
  std::vector<int> last(vectors + 1, 0);
  for (int64_t total = 1; total <= vectors; ++total)
    for (int block = 1; block <= std::min<int64_t>(most, total); ++block) {
      const double sum = best[total - block] + Tiling(pixels, block).cycles(block, lanes);
      if (!last[total] || sum < best[total]) best[total] = sum, last[total] = block;
    }
  std::vector<Block> blocks;
  for (int64_t left = vectors; left > 0; left -= last[left])
    blocks.push_back({(vectors - left) * per_vector, last[left]});
  return blocks;
}

struct Geometry {
  int64_t kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;

  int64_t taps() const { return kernel_height * kernel_width; }
};

// The values of a window in their order, as f(tap, channel): as they lie in memory.
template <class F>
void each_value(Lanes lanes, int64_t taps, int64_t channels, F f) {
  if (lanes == Lanes::images)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t tap = 0; tap < taps; ++tap) f(tap, c);
  else
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = 0; c < channels; ++c) f(tap, c);
}

// Where the values that a pixel sees lie, from the first one on.
inline std::vector<int32_t> window_of(const Layout& in, const Geometry& geometry) {
  std::vector<int32_t> window;
  each_value(in.lanes, geometry.taps(), in.channels, [&](int64_t tap, int64_t c) {
    const int64_t y = tap / geometry.kernel_width, x = tap % geometry.kernel_width;
    window.push_back(int32_t(y * in.row() + x * in.pixel() + in.channel(c)));
  });
  return window;
}

// Where the weight of each value of the window and each output lies among those that MXNet has: at the sum of a row and
// a column. A column of -1 stands for zeros.
struct Places {
  std::vector<int64_t> rows, columns;

  // Of weights (outputs, inputs, kernel height, kernel width).
  static Places forward(Lanes lanes, int64_t outputs, int64_t inputs, int64_t taps) {
    Places places;
    each_value(lanes, taps, inputs, [&](int64_t tap, int64_t c) { places.rows.push_back(c * taps + tap); });
    for (int64_t o = 0; o < outputs; ++o) places.columns.push_back(o * inputs * taps);
    return places;
  }
};

// A step with weights, which are packed before it runs.
class Layer : public Step {
 public:
  // The weights as MXNet has them.
  virtual void pack(const float* weight, const Share& share) = 0;
  // What the sums start with, by channel.
  virtual void start(const float* summands) = 0;
  // Whether it needs zeros around the image.
  virtual bool reads_border() const = 0;
};

class Product : public Layer {
 public:
  Product(const Layout& in, const Layout& out, const Geometry& geometry, Places places, Stages stages)
      : in_(in),
        out_(out),
        places_(std::move(places)),
        stages_(std::move(stages)),
        per_vector_(out.is_stacked() ? 1 : kLanes),
        window_(window_of(in, geometry)) {
    for (int64_t y = 0; y < out.height; ++y)
      for (int64_t x = 0; x < out.width; ++x) {
        const int64_t top = y * geometry.stride_height - geometry.pad_height + in.border_height;
        const int64_t left = x * geometry.stride_width - geometry.pad_width + in.border_width;
        from_.push_back(int32_t(top * in.row() + left * in.pixel()));
        to_.push_back(int32_t((y + out.border_height) * out.row() + (x + out.border_width) * out.pixel()));
      }
    blocks_ = blocks_for(out.channels, std::max<int64_t>(12, area()), out.lanes);
    weight_.resize(int64_t(window_.size()) * round_up(out.channels, per_vector_));
  }

  // Threads share the values of the window.
  void pack(const float* weight, const Share& share) override {
    const int64_t window = int64_t(window_.size()), last = share.last(window);
    for (const Block& block : blocks_) {
      const int64_t pitch = block.vectors * per_vector_, count = std::min(pitch, out_.channels - block.channel);
      const int64_t* const columns = &places_.columns[block.channel];
      const float* const scale = &stages_.first().scale[block.channel];
      for (int64_t i = share.first(window); i < last; ++i) {
        float* const to = &weight_[block.channel * window + i * pitch];
        const float* const from = weight + places_.rows[i];
        for (int64_t o = 0; o < count; ++o) to[o] = columns[o] < 0 ? 0.0f : from[columns[o]] * scale[o];
      }
    }
  }
  void start(const float* summands) override { stages_.start(summands); }
  bool reads_border() const override { return true; }

  double cycles_per_image() const override {
    double sum = 0;
    for (const Block& block : blocks_) sum += Tiling(area(), block.vectors).cycles(block.vectors, out_.lanes);
    return sum * double(window_.size());
  }

  // Threads share blocks of channels, and the tiles of each.
  void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const override {
    int64_t units = 0, first = 0;
    for (const Block& block : blocks_) units += Tiling(count * area(), block.vectors).tiles;
    const int64_t begin = share.first(units), end = share.last(units);
    for (const Block& block : blocks_) {
      const Tiling tiling(count * area(), block.vectors);
      const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, tiling.tiles);
      const int64_t window = int64_t(window_.size());
      const Share parts{0, (window * block.vectors * per_vector_ - 1) / kWeights + 1};
      auto compute_by = [&](const auto& kernels) {
        for (Share part = parts; part.part < part.parts; ++part.part) {
          Cursor cursor(*this, in[0], out, tiling.first(from));
          for (int64_t tile = from; tile < to; ++tile) {
            const int count = tiling.count(tile);
            compute(block, part, cursor, count, kernels[count]);
          }
        }
      };
      if (out_.is_stacked())
        compute_by(KernelsFor<MultiplyStacks>(tiling, block.vectors));
      else
        compute_by(KernelsFor<Multiply>(tiling, block.vectors));
      first += tiling.tiles;
    }
  }

 private:
  static constexpr int64_t kWeights = 6144;  // at a time: they stay in the first-level cache for all tiles

  // Walks over the pixels of all images.
  class Cursor {
   public:
    Cursor(const Product& product, const Images& in, const Images& out, int64_t pixel)
        : product_(product), pixel_(pixel % product.area()) {
      in_ = in.values + pixel / product.area() * product.in_.image();
      out_ = out.values + pixel / product.area() * product.out_.image();
    }
    void next(int64_t channel, const float** from, float** to) {
      *from = in_ + product_.from_[pixel_];
      *to = out_ + product_.to_[pixel_] + product_.out_.channel(channel);
      if (++pixel_ == product_.area()) {
        pixel_ = 0;
        in_ += product_.in_.image();
        out_ += product_.out_.image();
      }
    }

   private:
    const Product& product_;
    int64_t pixel_;
    const float* in_;
    float* out_;
  };

  int64_t area() const { return int64_t(to_.size()); }

  void compute(const Block& block, const Share& part, Cursor& cursor, int count,
               void (*multiply)(const Factors&, const Tile&)) const {
    Tile tile;
    tile.step = out_.vector(1);
    for (int p = 0; p < count; ++p) cursor.next(block.channel, &tile.from[p], &tile.to[p]);
    const int64_t window = int64_t(window_.size()), first = part.first(window), end = part.last(window);
    const bool is_last = end == window;
    const Factors factors{&window_[first], end - first,
                          &weight_[block.channel * window + first * block.vectors * per_vector_],
                          first == 0 ? &stages_.first().shift[block.channel] : nullptr,
                          is_last && stages_.is_simple() && stages_.first().activation == Activation::relu};
    multiply(factors, tile);
    if (!is_last || stages_.is_simple()) return;
    Vector values[kAccumulators];
    for (int p = 0; p < count; ++p)
      for (int j = 0; j < block.vectors; ++j) values[p * block.vectors + j] = load(tile.to[p] + j * tile.step);
    stages_.finish(out_, values, count, block.vectors, block.channel / per_vector_);
    for (int p = 0; p < count; ++p)
      for (int j = 0; j < block.vectors; ++j) store(tile.to[p] + j * tile.step, values[p * block.vectors + j]);
  }

  Layout in_, out_;
  Places places_;
  Stages stages_;
  int64_t per_vector_;  // channels of the output
  std::vector<int32_t> window_;
  std::vector<int32_t> from_, to_;  // of the pixels of an image
  std::vector<Block> blocks_;
  std::vector<float> weight_;
};

}  // namespace zoo::program
