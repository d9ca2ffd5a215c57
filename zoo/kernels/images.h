// How images lie in memory on their way through a program, in one of two ways.
//
// The lanes of a vector are channels: image after image, row after row, pixel after pixel, the channels of a pixel side
// by side and rounded up to whole vectors. Inputs of one channel stay as MXNet has them.
//
// Or they are images: what is called an image below is a stack of as many images as a vector has lanes, channel after
// channel, row after row, the same pixel of all of them side by side. Nothing is rounded up but the number of images.

#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vector.h"

namespace zoo::program {

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Bytes of half of a core's second-level cache: what is worked on at a time should fit.
inline int64_t half_a_cache() {
  const long found = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return (found > 0 ? found : 512 << 10) / 2;
}

// A line of the cache.
struct alignas(64) Line {
  float values[16];
};

enum class Lanes { channels, images };

struct Layout {
  int64_t channels, height, width;
  bool is_thin = false;                         // one channel, without others beside it
  int64_t border_height = 0, border_width = 0;  // zeros around the image, for padded convolutions
  Lanes lanes = Lanes::channels;

  // Without a border.
  Layout of(int64_t channels, int64_t height, int64_t width) const {
    return {channels, height, width, false, 0, 0, lanes};
  }
  Layout bare() const { return of(channels, height, width); }

  bool is_stacked() const { return lanes == Lanes::images; }
  int64_t stack() const { return is_stacked() ? kLanes : 1; }  // images that lie in one
  int64_t pixel() const {                                      // values from one to the next
    return is_stacked() ? kLanes : is_thin ? 1 : round_up(channels, kLanes);
  }
  int64_t row() const { return (width + 2 * border_width) * pixel(); }
  int64_t plane() const { return (height + 2 * border_height) * row(); }
  int64_t image() const { return is_stacked() ? channels * plane() : plane(); }
  int64_t size() const { return channels * height * width; }  // as MXNet has it
  // Whether that is how MXNet has it, too.
  bool is_plain() const {
    return !is_stacked() && (is_thin || (height * width == 1 && pixel() == channels)) &&
           border_height + border_width == 0;
  }

  // Of a pixel: its vectors, where they lie and which channels they are for; and where its channels lie.
  int64_t vectors() const { return is_stacked() ? channels : round_up(channels, kLanes) / kLanes; }
  int64_t vector(int64_t number) const { return is_stacked() ? number * plane() : number * kLanes; }
  int64_t channel(int64_t number) const { return is_stacked() ? number * plane() : number; }
  // What the channels of a vector have, of values by channel.
  Vector of_channels(const float* values, int64_t vector) const {
    return is_stacked() ? broadcast(values[vector]) : load(values + vector * kLanes);
  }
  int64_t padded_channels() const { return round_up(channels, kLanes); }
};

// Images in that layout, from one of them on.
struct Images {
  const Layout* layout;
  float* values;

  float* at(int64_t image, int64_t y, int64_t x) const {
    return values + image * layout->image() + (y + layout->border_height) * layout->row() +
           (x + layout->border_width) * layout->pixel();
  }
  Images from(int64_t image) const { return {layout, values + image * layout->image()}; }
};

// What a stack has in place of images that it lacks: its last one again, whose values are as harmless; or zeros.
enum class Lacking { repeat, zero };

// A row of that many images, which lie `step` apart, becomes pixels of a stack.
inline void stack_row(const float* from, int64_t step, int64_t images, int64_t width, Lacking lacking, float* to) {
  for (int64_t x = 0; x < width; ++x, to += kLanes) {
    const float last = lacking == Lacking::repeat ? from[(images - 1) * step + x] : 0.0f;
    for (int64_t i = 0; i < kLanes; ++i) to[i] = i < images ? from[i * step + x] : last;
  }
}

// From and to MXNet's layout: image after image, and channel after channel.
inline void enter(const float* from, int64_t count, const Images& to, Lacking lacking = Lacking::repeat) {
  const Layout& layout = *to.layout;
  if (layout.is_stacked()) {
    for (int64_t first = 0; first < count; first += kLanes) {
      const int64_t images = std::min<int64_t>(kLanes, count - first);
      for (int64_t row = 0; row < layout.channels * layout.height; ++row)
        stack_row(from + first * layout.size() + row * layout.width, layout.size(), images, layout.width, lacking,
                  to.at(first / kLanes, row % layout.height, 0) + layout.channel(row / layout.height));
    }
    return;
  }
  for (int64_t n = 0; n < count; ++n)
    for (int64_t c = 0; c < layout.channels; ++c)
      for (int64_t y = 0; y < layout.height; ++y, from += layout.width) {
        float* row = to.at(n, y, 0) + c;
        for (int64_t x = 0; x < layout.width; ++x) row[x * layout.pixel()] = from[x];
      }
}

inline void leave(const Images& from, int64_t count, float* to) {
  const Layout& layout = *from.layout;
  for (int64_t n = 0; n < count; ++n)
    for (int64_t c = 0; c < layout.channels; ++c)
      for (int64_t y = 0; y < layout.height; ++y, to += layout.width) {
        const float* row = from.at(n / layout.stack(), y, 0) + layout.channel(c) + n % layout.stack();
        for (int64_t x = 0; x < layout.width; ++x) to[x] = row[x * layout.pixel()];
      }
}

// From images to as many images. What is said of images holds for stacks of them as well.
class Step {
 public:
  virtual ~Step() = default;
  virtual void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const = 0;
  virtual double cycles_per_image() const = 0;  // about
};

}  // namespace zoo::program
