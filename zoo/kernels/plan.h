// How a convolution (stride 1, one group) is laid out in memory to be a product of matrices.
//
// Images on their way through our operators lie in groups, as (row, column, image, channel) with channels rounded
// up to whole lines: a position of the product is a line or several, positions that are neighbours in a row of
// several images follow each other without a gap, and shifting by a tap of the kernel is an offset of whole lines.
// So there is no patch matrix, few positions are computed in vain, and every load of a tile is aligned.

#pragma once

#include <algorithm>
#include <vector>

#include "groups.h"
#include "tiles.h"

namespace zoo {

struct Convolution {
  int64_t images, in, height, width, out, kernel_height, kernel_width, pad_height, pad_width;
  Activation activation;

  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t out_height() const { return height + 2 * pad_height - kernel_height + 1; }
  int64_t out_width() const { return width + 2 * pad_width - kernel_width + 1; }
  // The same with input and output exchanged: the gradient of the data is a convolution too.
  Convolution transposed() const {
    return {images,
            out,
            out_height(),
            out_width(),
            in,
            kernel_height,
            kernel_width,
            kernel_height - 1 - pad_height,
            kernel_width - 1 - pad_width,
            Activation::none};
  }
  // What leaves the output's positions as they are.
  Convolution output() const { return {images, out, out_height(), out_width(), 1, 1, 1, 0, 0, Activation::none}; }
};

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// A piece of the output.
struct Strip {
  int64_t y, x, rows, columns;
};

struct Strips {
  std::vector<Strip> strips;
  int64_t pitch;  // positions from one row of a strip to the next
  bool joined;    // whether the rows of a strip are computed as one run of positions
};

// With few input channels (the first layer) the taps of all channels are laid side by side, already shifted, as
// the channels of what then is a convolution with a kernel of one pixel.
class Plan {
 public:
  explicit Plan(const Convolution& conv, bool may_unfold = true)
      : conv(conv),
        unfolded(may_unfold && conv.in < 16 && conv.taps() > 1),
        height(unfolded ? conv.out_height() : conv.height + 2 * conv.pad_height),
        width(unfolded ? conv.out_width() : conv.width + 2 * conv.pad_width),
        taps(unfolded ? 1 : conv.taps()),
        depth(round_up(unfolded ? conv.in * conv.taps() : conv.in, kBlock)),
        outputs(round_up(conv.out, kBlock)) {}

  const Convolution conv;
  const bool unfolded;
  const int64_t height, width;  // of the input as it lies in memory: padded
  const int64_t taps, depth, outputs;

  bool has_border() const { return !unfolded && conv.pad_height + conv.pad_width > 0; }
  int64_t steps() const { return taps * depth / kBlock; }
  // Lines of the input of a group; what is computed in vain reads beyond the last position.
  int64_t lines(int64_t images) const { return (height * width * images + kBlock) * (depth / kBlock); }
  // Images at once: as many as stay in half of a second-level cache of 2 MiB with what becomes of them.
  int64_t at_once() const {
    const int64_t bytes = 2 * (height * width * depth + conv.out_height() * conv.out_width() * outputs);
    int64_t images = 32;
    while (images > 1 && images * bytes > 1 << 20) images /= 2;
    return images;
  }
  double nanoseconds() const {  // that the product takes one thread, about
    const double positions = double(conv.images * conv.out_height() * conv.out_width());
    return 100.0 * (positions / kBlock + 1) * double(outputs / kBlock) * double(steps());
  }

  // Where the steps of the product begin, in values from the first tap's.
  std::vector<int64_t> offsets(int64_t images) const {
    std::vector<int64_t> offsets;
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t channel = 0; channel < depth; channel += kBlock)
        offsets.push_back((tap / conv.kernel_width * width + tap % conv.kernel_width) * images * depth + channel);
    return offsets;
  }

  // The output in pieces small enough for the first-level cache: a row, or two where they are pooled, or so many of
  // their columns that the positions fill a block. Where rows are too short for that they are run together, columns
  // of padding included.
  Strips strips(int64_t images, bool pool) const {
    const int64_t step = pool ? 2 : 1, rows = conv.out_height() / step * step, columns = conv.out_width() / step * step;
    if (rows * columns == 0) return {{}, 0, false};
    const int64_t few = std::min(columns, round_up((kBlock + images - 1) / images, step));
    const int64_t wide = columns * images * step <= 256 ? columns : few;
    auto halves = [&](int64_t pixels) { return (pixels * images + 15) / 16; };  // of blocks
    const bool joined = halves((rows - 1) * width + columns) < rows * halves(wide) * ((columns + wide - 1) / wide);
    Strips found{{}, joined ? width * images : round_up(wide * images, kBlock), joined};
    const int64_t high = joined ? std::max<int64_t>(1, 1024 / found.pitch / step) * step : step;
    const int64_t broad = joined ? columns : wide;
    for (int64_t y = 0; y < rows; y += high)
      for (int64_t x = 0; x < columns; x += broad)
        found.strips.push_back({y, std::min(x, columns - broad), std::min(high, rows - y), broad});
    return found;
  }
};

}  // namespace zoo
