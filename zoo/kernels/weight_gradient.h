// The gradient of a convolution's weights: a product that sums over positions. Its left operand are the gradients of
// the output, turned so that positions run along lines, its right one the input in pairs of images. Neighbouring
// positions of a group are neighbouring images, so the same pairs serve every tap.

#pragma once

#include <algorithm>
#include <vector>

#include "layout.h"

namespace zoo {

// One group of `slots` images, an even number.
class WeightGradient {
 public:
  WeightGradient(const Plan& plan, const Plan& back, int64_t slots)
      : plan_(plan),
        back_(back),
        slots_(slots),
        blocks_of_row_((plan.conv.out_width() * slots + kBlock - 1) / kBlock),
        turned_(scratch<WeightGradient[1], Line>(plan.conv.out_height() * blocks_of_row_ * plan.outputs)),
        pairs_(reinterpret_cast<uint32_t*>(scratch<WeightGradient[2], Line>(plan.lines(slots)))) {}

  // [row][block of 32 positions][output][position]; behind the end of a row zero.
  void turn(const bfloat16* gradients) {
    const Convolution& conv = plan_.conv;
    const int64_t positions = conv.out_width() * slots_;
    for (int64_t y = 0; y < conv.out_height(); ++y) {
      const int64_t pixel = (y + back_.conv.pad_height) * back_.width + back_.conv.pad_width;
      for (int64_t p = 0; p < blocks_of_row_ * kBlock; p += 16)
        for (int64_t o = 0; o < plan_.outputs; o += kBlock) {
          Line* to = turned_ + (y * blocks_of_row_ + p / kBlock) * plan_.outputs + o;
          by_channel(gradients + (pixel * slots_ + p) * back_.depth + o, back_.depth, positions - p,
                     [&](int64_t channel, __m256i values) {
                       _mm256_store_si256((__m256i*)(to[channel].values + p % kBlock), values);
                     });
        }
    }
    settle(turned_);
  }

  // [pixel][pair of images][channel][image of the pair]
  void pair(const bfloat16* images) {
    const int64_t depth = plan_.depth, rows = plan_.lines(slots_) / (depth / kBlock);
    uint32_t* to = pairs_;
    for (int64_t row = 0; row < rows; row += 2, images += 2 * depth)
      for (int64_t i = 0; i < depth; i += 16, to += 16) {
        const __m256i even = _mm256_load_si256((const __m256i*)(images + i));
        const __m256i odd = _mm256_load_si256((const __m256i*)(images + depth + i));
        _mm512_store_si512(to, interleaved(even, odd));
      }
    settle(pairs_);
  }

  // sum[tap][output][channel] += the products, or = the first time. So many positions at once that both operands of
  // a block stay in the caches while the sums pass by.
  void add_to(float* sum, bool is_new) const {
    const int64_t depth = plan_.depth, blocks = plan_.conv.out_height() * blocks_of_row_, at_once = 32;
    std::vector<const uint32_t*> rows;
    for (int64_t begin = 0; begin < blocks; begin += at_once) {
      rows.clear();
      for (int64_t block = begin; block < std::min(blocks, begin + at_once); ++block) {
        const int64_t y = block / blocks_of_row_, position = block % blocks_of_row_ * kBlock;
        rows.push_back(pairs_ + (y * plan_.width * slots_ + position) / 2 * depth);
      }
      for (int64_t o = 0; o < plan_.outputs; o += kBlock)
        for (int64_t i = 0; i < depth; i += kBlock)
          for (int64_t tap = 0; tap < plan_.taps; ++tap) {
            const int64_t pixel = tap / plan_.conv.kernel_width * plan_.width + tap % plan_.conv.kernel_width;
            accumulate(turned_ + begin * plan_.outputs + o, plan_.outputs, rows, depth, pixel * slots_ / 2 * depth + i,
                       sum + (tap * plan_.outputs + o) * depth + i, depth, is_new && begin == 0);
          }
    }
  }

 private:
  const Plan &plan_, &back_;
  const int64_t slots_, blocks_of_row_;
  Line* const turned_;
  uint32_t* const pairs_;
};

}  // namespace zoo
