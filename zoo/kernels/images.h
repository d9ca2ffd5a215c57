// How images lie in memory on their way through a program: image after image, row after row, pixel after pixel, the
// channels of a pixel side by side and rounded up to whole vectors. Inputs of one channel stay as MXNet has them.

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

struct Layout {
  int64_t channels, height, width;
  bool is_thin = false;                         // one channel, without others beside it
  int64_t border_height = 0, border_width = 0;  // zeros around the image, for padded convolutions

  int64_t pixel() const { return is_thin ? 1 : round_up(channels, kLanes); }  // values from one to the next
  int64_t row() const { return (width + 2 * border_width) * pixel(); }
  int64_t image() const { return (height + 2 * border_height) * row(); }
  int64_t size() const { return channels * height * width; }  // as MXNet has it
  // Whether that is how MXNet has it, too.
  bool is_plain() const {
    return (is_thin || (height * width == 1 && pixel() == channels)) && border_height + border_width == 0;
  }
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

// From and to MXNet's layout: channel after channel.
inline void enter(const float* from, int64_t count, const Images& to) {
  const Layout& layout = *to.layout;
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
        const float* row = from.at(n, y, 0) + c;
        for (int64_t x = 0; x < layout.width; ++x) to[x] = row[x * layout.pixel()];
      }
}

// From images to as many images.
class Step {
 public:
  virtual ~Step() = default;
  virtual void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const = 0;
  virtual double cycles_per_image() const = 0;  // about
};

}  // namespace zoo::program
