// Convolutions by Winograd's minimal filtering: a tile of the output costs a sixth to a third of the multiplications.
//
//     output tile = A^T [ (G weight G^T) * (B^T input tile B) ] A        (* by element, summed over input channels)
//
// An input tile has `size` x `size` pixels and an output tile `size - kernel + 1`. For each of the size^2 elements the
// sums over channels are one product of matrices, done by the tiles of products.h. The matrices belong to polynomials
// that are evaluated at 0, 1, -1, 2, -2 and for the larger size 1/2, -1/2, and at infinity.
// Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, https://arxiv.org/abs/1509.09308

#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "products.h"

namespace zoo::program {

template <int rows_, int columns_>
struct Matrix {
  static constexpr int rows = rows_, columns = columns_;
  float at[rows][columns];

  constexpr Matrix<columns_, rows_> transposed() const {
    Matrix<columns_, rows_> result{};
    for (int row = 0; row < rows; ++row)
      for (int column = 0; column < columns; ++column) result.at[column][row] = at[row][column];
    return result;
  }
};

constexpr double kPoints[] = {0, 1, -1, 2, -2, 0.5, -0.5};
constexpr double kFactors6[] = {1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24};
constexpr double kFactors8[] = {1, -2.0 / 9, -2.0 / 9, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45};

constexpr double power(double base, int exponent) { return exponent ? base * power(base, exponent - 1) : 1; }

// G: how weights are transformed.
template <int size, int kernel>
constexpr Matrix<size, kernel> weight_matrix() {
  Matrix<size, kernel> result{};
  for (int row = 0; row < size - 1; ++row)
    for (int column = 0; column < kernel; ++column)
      result.at[row][column] = float((size == 6 ? kFactors6 : kFactors8)[row] * power(kPoints[row], column));
  result.at[size - 1][kernel - 1] = 1;
  return result;
}

// A^T: how sums become outputs.
template <int size, int outputs>
constexpr Matrix<outputs, size> output_matrix() {
  Matrix<outputs, size> result{};
  for (int row = 0; row < outputs; ++row)
    for (int column = 0; column < size - 1; ++column) result.at[row][column] = float(power(kPoints[column], row));
  result.at[outputs - 1][size - 1] = 1;
  return result;
}

// B^T: how inputs are transformed.
template <int size>
constexpr Matrix<size, size> input_matrix() {
  if constexpr (size == 6) {
    return {{{4, 0, -5, 0, 1, 0},
             {0, -4, -4, 1, 1, 0},
             {0, 4, -4, -1, 1, 0},
             {0, -2, -1, 2, 1, 0},
             {0, 2, -1, -2, 1, 0},
             {0, 4, 0, -5, 0, 1}}};
  } else {
    return {{{1, 0, -5.25f, 0, 5.25f, 0, -1, 0},
             {0, 1, 1, -4.25f, -4.25f, 1, 1, 0},
             {0, -1, 1, 4.25f, -4.25f, -1, 1, 0},
             {0, 0.5f, 0.25f, -2.5f, -1.25f, 2, 1, 0},
             {0, -0.5f, 0.25f, 2.5f, -1.25f, -2, 1, 0},
             {0, 2, 4, -2.5f, -5, 0.5f, 1, 0},
             {0, -2, 4, 2.5f, -5, -0.5f, 1, 0},
             {0, -1, 0, 5.25f, 0, -5.25f, 0, 1}}};
  }
}

template <int size, int kernel>
inline constexpr auto kWeights = weight_matrix<size, kernel>();
template <int size, int kernel>
inline constexpr auto kOutputs = output_matrix<size, size - kernel + 1>();
template <int size>
inline constexpr auto kInputs = input_matrix<size>();

// One dimension of a transformation: the compiler leaves out factors of 0 and multiplications by 1.
template <const auto& matrix>
inline void transform(const Vector* from, int from_step, Vector* to, int to_step) {
#pragma GCC unroll 8
  for (int row = 0; row < matrix.rows; ++row) {
    Vector sum{};
#pragma GCC unroll 8
    for (int column = 0; column < matrix.columns; ++column)
      if (matrix.at[row][column] != 0) sum += matrix.at[row][column] * from[column * from_step];
    to[row * to_step] = sum;
  }
}

// Tiles of an image, numbered row by row and image by image.
struct Grid {
  int64_t rows, columns, outputs;

  struct Place {  // of a tile: its image and its first pixel
    int64_t image, y, x;
  };

  Grid(const Layout& out, int64_t outputs)
      : rows((out.height - 1) / outputs + 1), columns((out.width - 1) / outputs + 1), outputs(outputs) {}
  int64_t tiles() const { return rows * columns; }
  Place place(int64_t tile) const {
    const int64_t rest = tile % tiles();
    return {tile / tiles(), rest / columns * outputs, rest % columns * outputs};
  }
};

// All channels of the tile at `place`, transformed to elements that lie `step` apart. Around the image lie `zeros`, as
// many as there are channels.
template <const auto& matrix>
void enter_tile(const Images& in, const Grid::Place& place, const float* zeros, float* to, int64_t step) {
  constexpr int size = matrix.rows, pixels = matrix.columns;
  const float* from[pixels * pixels];
  for (int y = 0; y < pixels; ++y)
    for (int x = 0; x < pixels; ++x) {
      const int64_t row = place.y + y, column = place.x + x;
      const bool inside = row >= 0 && row < in.layout->height && column >= 0 && column < in.layout->width;
      from[y * pixels + x] = inside ? in.at(place.image, row, column) : zeros;
    }
  for (int64_t c = 0; c < in.layout->channels; c += kLanes) {
    Vector half[size * pixels];
    for (int x = 0; x < pixels; ++x) {
      Vector column[pixels];
#pragma GCC unroll 8
      for (int y = 0; y < pixels; ++y) column[y] = load(from[y * pixels + x] + c);
      transform<matrix>(column, 1, half + x, pixels);
    }
    for (int y = 0; y < size; ++y) {
      Vector row[size];
      transform<matrix>(half + y * pixels, 1, row, 1);
#pragma GCC unroll 8
      for (int x = 0; x < size; ++x) store(to + (y * size + x) * step + c, row[x]);
    }
  }
}

template <int size, int kernel>
class Winograd : public Layer {
 public:
  static constexpr int outputs = size - kernel + 1, elements = size * size;

  // For a kernel x kernel convolution without strides.
  Winograd(const Layout& in, const Layout& out, const Geometry& geometry, Places places, Stages stages)
      : in_(in),
        out_(out),
        places_(std::move(places)),
        top_(geometry.pad_height),
        left_(geometry.pad_width),
        grid_(out, outputs),
        stages_(std::move(stages)),
        zeros_(in.pixel()) {
    at_once_ = std::clamp<int64_t>(half_a_cache() / (elements * in.pixel() * 4) / kMostPixels, 1, 8) * kMostPixels;
    for (int64_t c = 0; c < in.channels; ++c) window_.push_back(int32_t(c));
    blocks_ = blocks_for(out.channels, at_once_);
    weight_.resize(elements * in.channels * round_up(out.channels, kLanes));
  }

  // For each block of output channels the transformed weights, by element and input channel, which threads share.
  void pack(const float* weight, const Share& share) override {
    const int64_t last = share.last(in_.channels);
    for (const Block& block : blocks_)
      for (int64_t c = share.first(in_.channels); c < last; ++c)
        for (int j = 0; j < block.vectors; ++j) {
          const int64_t first = block.channel + j * kLanes, count = std::min<int64_t>(kLanes, out_.channels - first);
          Vector taps[kernel * kernel] = {}, half[size * kernel];
          for (int tap = 0; tap < kernel * kernel; ++tap)
            for (int64_t o = 0; o < count; ++o)
              taps[tap][o] = weight[places_.rows[tap * in_.channels + c] + places_.columns[first + o]] *
                             stages_.first().scale[first + o];
          for (int x = 0; x < kernel; ++x) transform<kWeights<size, kernel>>(taps + x, kernel, half + x, kernel);
          const int64_t pitch = block.vectors * kLanes;
          float* const to = &weight_[elements * block.channel * in_.channels + c * pitch + j * kLanes];
          for (int y = 0; y < size; ++y) {
            Vector row[size];
            transform<kWeights<size, kernel>>(half + y * kernel, 1, row, 1);
            for (int x = 0; x < size; ++x) store(to + (y * size + x) * in_.channels * pitch, row[x]);
          }
        }
  }
  void start(const float* summands) override { stages_.start(summands); }
  bool reads_border() const override { return false; }

  double cycles_per_image() const override {
    double product = 0;
    for (const Block& block : blocks_) product += Tiling(at_once_, block.vectors).cycles(block.vectors);
    product *= double(elements * in_.channels) / double(at_once_);
    const double transforms = 15.0 * elements * double(in_.pixel() + out_.pixel()) / kLanes;
    return double(grid_.tiles()) * (product + transforms);
  }

  // Threads share the tiles of all images. If reading all weights takes each of them longer than transforming all tiles
  // would, they share the blocks of output channels instead.
  void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const override {
    const int64_t tiles = count * grid_.tiles();
    const Share whole, &blocks = out_.channels > 4 * tiles ? share : whole;
    const Share& each = &blocks == &whole ? share : whole;
    for (int64_t first = each.first(tiles), end = each.last(tiles); first < end; first += at_once_)
      compute(in[0], first, std::min(at_once_, end - first), out, blocks);
  }

 private:
  void compute(const Images& in, int64_t first, int64_t tiles, const Images& out, const Share& share) const {
    // Elements lie an odd number of lines apart, so that they do not compete for the same sets of the cache.
    const int64_t in_step = at_once_ * in_.pixel() + 16, out_step = at_once_ * kMostVectors * kLanes + 16;
    float* const transformed = scratch<Winograd, Line>((elements * (in_step + out_step)) / 16 + 1)->values;
    float* const sums = transformed + elements * in_step;
    for (int64_t i = 0; i < tiles; ++i) {
      Grid::Place place = grid_.place(first + i);
      place.y -= top_, place.x -= left_;
      enter_tile<kInputs<size>>(in, place, zeros_.data(), transformed + i * in_.pixel(), in_step);
    }
    const int64_t last = share.last(int64_t(blocks_.size()));
    for (int64_t b = share.first(int64_t(blocks_.size())); b < last; ++b) {
      const Block& block = blocks_[b];
      const int64_t pitch = block.vectors * kLanes;
      const float* weight = weight_.data() + elements * block.channel * in_.channels;
      const Tiling tiling(tiles, block.vectors);
      const KernelsFor<Multiply> kernels(tiling, block.vectors);
      for (int element = 0; element < elements; ++element, weight += in_.channels * pitch)
        for (int64_t i = 0; i < tiling.tiles; ++i) {
          Tile tile;
          for (int p = 0; p < tiling.count(i); ++p) {
            tile.from[p] = transformed + element * in_step + (tiling.first(i) + p) * in_.pixel();
            tile.to[p] = sums + element * out_step + (tiling.first(i) + p) * pitch;
          }
          kernels[tiling.count(i)]({window_.data(), in_.channels, weight, kZeros, false}, tile);
        }
      for (int64_t i = 0; i < tiles; ++i)
        for (int j = 0; j < block.vectors; ++j)
          leave(sums + i * pitch + j * kLanes, out_step, grid_.place(first + i), block.channel + j * kLanes, out);
    }
  }

  // The tile of the output at `place`, from the sums of all elements, which lie `step` apart.
  void leave(const float* sums, int64_t step, const Grid::Place& place, int64_t channel, const Images& out) const {
    Vector half[outputs * size];
    const Vector start = load(&stages_.first().shift[channel]);
    for (int x = 0; x < size; ++x) {
      Vector column[size];
#pragma GCC unroll 8
      for (int y = 0; y < size; ++y) column[y] = load(sums + (y * size + x) * step);
      transform<kOutputs<size, kernel>>(column, 1, half + x, size);
    }
    const int64_t height = std::min<int64_t>(outputs, out_.height - place.y);
    const int64_t width = std::min<int64_t>(outputs, out_.width - place.x);
    for (int64_t y = 0; y < height; ++y) {
      Vector row[outputs];
      transform<kOutputs<size, kernel>>(half + y * size, 1, row, 1);
      for (int x = 0; x < outputs; ++x) row[x] += start;
      stages_.finish(out_, row, outputs, 1, channel / kLanes);
      float* const to = out.at(place.image, place.y + y, place.x) + channel;
      for (int64_t x = 0; x < width; ++x) store(to + x * out_.pixel(), row[x]);
    }
  }

  Layout in_, out_;
  Places places_;
  int64_t top_, left_;  // pads
  Grid grid_;
  int64_t at_once_;  // tiles, whose transformed inputs stay in the second-level cache
  Stages stages_;
  std::vector<int32_t> window_;
  std::vector<Block> blocks_;
  std::vector<float> weight_, zeros_;
};

// Whatever takes the fewest cycles for a convolution of `in`, made of `arguments`.
template <class Result, class Direct, template <int, int> class Fast, class... Arguments>
std::unique_ptr<Result> fastest(const Layout& in, const Geometry& geometry, const Arguments&... arguments) {
  std::unique_ptr<Result> best = std::make_unique<Direct>(arguments...), other;
  const bool is_dense = geometry.stride_height == 1 && geometry.stride_width == 1 && !in.is_thin && !in.is_stacked();
  if (!is_dense || geometry.kernel_height != geometry.kernel_width) return best;
  if (geometry.kernel_height == 3) other = std::make_unique<Fast<6, 3>>(arguments...);
  if (geometry.kernel_height == 5) other = std::make_unique<Fast<8, 5>>(arguments...);
  if (geometry.kernel_height == 7) other = std::make_unique<Fast<8, 7>>(arguments...);
  return other && other->cycles_per_image() < best->cycles_per_image() ? std::move(other) : std::move(best);
}

inline std::unique_ptr<Layer> convolution(const Layout& in, const Layout& out, const Geometry& geometry,
                                          const Places& places, const Stages& stages) {
  return fastest<Layer, Product, Winograd>(in, geometry, in, out, geometry, places, stages);
}

}  // namespace zoo::program
