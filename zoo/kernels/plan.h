// How a convolution (stride 1, one group) is laid out in memory to be a product of matrices.
//
// Images stay in MXNet's plain layout, (image, channel, row, column). Shifting an image by a tap of the
// kernel is an offset into it, so neither a patch matrix nor another layout is needed: an output channel
// is a sum over taps and input channels of weights times shifted planes. Positions run over whole padded
// rows; those that belong to no output pixel are computed too, and dropped.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "tiles.h"

namespace zoo {

struct Convolution {
  int64_t images, in, height, width, out, kernel_height, kernel_width, pad_height, pad_width;
  Activation activation;

  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t rows() const { return height + 2 * pad_height; }  // of the padded image
  int64_t columns() const { return width + 2 * pad_width; }
  int64_t out_height() const { return rows() - kernel_height + 1; }
  int64_t out_width() const { return columns() - kernel_width + 1; }
  int64_t grid() const { return rows() * columns(); }
  // The same with input and output exchanged: the gradient of the data is a convolution too.
  Convolution transposed() const {
    return {images, out, out_height(), out_width(), in, kernel_height, kernel_width,
            kernel_height - 1 - pad_height, kernel_width - 1 - pad_width, Activation::none};
  }
};

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// For the runs of all lengths, many of them short, that planes consist of.
inline void copy(const bfloat16* from, int64_t count, bfloat16* to) {
  if (count < 16)
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  else
    std::memcpy(to, from, count * sizeof(bfloat16));
}

// How a convolution is laid out for AMX. A row is the padded plane of an input channel, or with few input
// channels (the first layer) that of every tap, shifted when it is copied; otherwise a tap is a shift of all
// rows. Small images are put side by side until a row is long enough to pay for the work around it.
class Plan {
 public:
  explicit Plan(const Convolution& conv) : Plan(conv, std::max<int64_t>(1, std::min(conv.images, 512 / conv.grid()))) {}
  Plan(const Convolution& conv, int64_t together)
      : conv(conv),
        together(together),
        groups((conv.images + together - 1) / together),
        unfolded(conv.in < 16),
        shifts(unfolded ? 1 : conv.taps()),
        rows(round_up(unfolded ? conv.in * conv.taps() : conv.in, kBlock)),
        outputs(round_up(conv.out, kBlock)),
        span(round_up(reach(together), kBlock)),
        stride(round_up(together * conv.grid(), kBlock) + round_up(shift(conv.taps() - 1), 16) + 16) {
    for (int64_t row = 0; row < rows; row += kBlock)
      for (int64_t tap = 0; tap < shifts; ++tap) steps.push_back({row / 2, shift(tap)});
  }

  const Convolution conv;
  const int64_t together, groups;  // images in a row, and how many of these there are
  const bool unfolded;
  const int64_t shifts, rows, outputs, span, stride;
  std::vector<Step> steps;

  int64_t shift(int64_t tap) const { return tap / conv.kernel_width * conv.columns() + tap % conv.kernel_width; }
  // Positions up to the last one that belongs to an output pixel.
  int64_t reach(int64_t images) const { return (images - 1) * conv.grid() + conv.out_height() * conv.columns(); }
  double nanoseconds() const {  // of the product on one thread, about
    return 100.0 * double(groups * (span / kBlock) * (outputs / kBlock)) * double(steps.size());
  }
  int64_t images_in(int64_t group) const { return std::min(together, conv.images - group * together); }

  // Weights as tiles: [block of 16 outputs][step][output][32 rows]; weight(o, i, tap) gives the value.
  template <class Weight>
  std::vector<bfloat16> pack(Weight weight) const {
    const int64_t count = int64_t(steps.size()), taps = conv.taps();
    std::vector<bfloat16> packed(outputs * count * kBlock, bfloat16{0});
#pragma omp parallel for schedule(static) num_threads(threads_for(2.0 * double(outputs * count * kBlock)))
    for (int64_t block = 0; block < conv.out; block += 16)  // so that either order of the weights is read in runs
      for (int64_t i = 0; i < conv.in; ++i)
        for (int64_t o = block; o < std::min(conv.out, block + 16); ++o)
          for (int64_t tap = 0; tap < taps; ++tap) {
            const int64_t row = unfolded ? i * taps + tap : i;
            const int64_t step = row / kBlock * shifts + (unfolded ? 0 : tap);
            narrow(weight(o, i, tap), &packed[((block / 16 * count + step) * 16 + o % 16) * kBlock + row % kBlock]);
          }
    return packed;
  }

  // The rows of a group of images, row * stride apart; what is padding stays as it is.
  void lay_out(const bfloat16* images, int64_t count, bfloat16* to) const {
    const int64_t plane = conv.height * conv.width, columns = conv.columns();
    const int64_t run = conv.pad_width ? conv.width : plane;  // without padding a plane is one piece
    for (int64_t row = 0; row < (unfolded ? conv.in * conv.taps() : conv.in); ++row)
      for (int64_t n = 0; n < count; ++n) {
        const bfloat16* from = images + (n * conv.in + (unfolded ? row / conv.taps() : row)) * plane;
        const int64_t back = unfolded ? shift(row % conv.taps()) : 0;
        int64_t at = n * conv.grid() + conv.pad_height * columns + conv.pad_width - back;
        for (int64_t done = 0; done < plane; done += run, at += columns) {
          const int64_t skipped = std::min(run, std::max<int64_t>(0, -at));
          copy(from + done + skipped, run - skipped, to + row * stride + at + skipped);
        }
      }
  }
};

}  // namespace zoo
