// From MXNet's layout, (image, channel, row, column), to that of a group, and back.

#pragma once

#include "plan.h"

namespace zoo {

inline __m256i load(__mmask16 mask, const bfloat16* from) { return _mm256_maskz_loadu_epi16(mask, from); }
inline __m256i load(__mmask16 mask, const float* from) {
  return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
}
inline void store(bfloat16* to, __mmask16 mask, __m256i values) { _mm256_mask_storeu_epi16(to, mask, values); }
inline void store(float* to, __mmask16 mask, __m256i values) {
  _mm512_mask_storeu_epi32(to, mask, _mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

inline __mmask16 first_lanes(int64_t count) { return __mmask16((1u << std::clamp<int64_t>(count, 0, 16)) - 1); }

inline const bfloat16* as_is(const bfloat16* image) { return image; }
inline const bfloat16* as_is(const float*) { return nullptr; }

// The planes of an image with their padding.
template <class T>
const bfloat16* padded(const Convolution& conv, const T* image) {
  if (conv.pad_height + conv.pad_width == 0 && as_is(image)) return as_is(image);
  const int64_t height = conv.height + 2 * conv.pad_height, width = conv.width + 2 * conv.pad_width;
  auto* planes = scratch<Convolution, bfloat16>(conv.in * height * width);
  if (conv.pad_height + conv.pad_width > 0) std::fill(planes, planes + conv.in * height * width, bfloat16{0});
  for (int64_t channel = 0; channel < conv.in; ++channel)
    for (int64_t y = 0; y < conv.height; ++y, image += conv.width)
      for (int64_t x = 0; x < conv.width; x += 16) {
        const __mmask16 mask = first_lanes(conv.width - x);
        store(planes + (channel * height + y + conv.pad_height) * width + conv.pad_width + x, mask, load(mask, image + x));
      }
  return planes;
}

// An image becomes the input of a convolution, as image `slot` of `slots`; `to` begins with that of the group.
template <class T>
void enter(const Plan& plan, const T* image, int64_t slots, int64_t slot, bfloat16* to) {
  const Convolution& conv = plan.conv;
  if (plan.height * plan.width == 1 && conv.height == 1) {
    for (int64_t i = 0; i < plan.depth; i += 16)
      _mm256_storeu_si256((__m256i*)(to + slot * plan.depth + i), load(first_lanes(conv.in - i), image + i));
    return;
  }
  const bfloat16* planes = padded(conv, image);
  const int64_t width = conv.width + 2 * conv.pad_width, plane = width * (conv.height + 2 * conv.pad_height);
  std::vector<const bfloat16*> rows;  // the channels, or with all their taps
  for (int64_t channel = 0; channel < conv.in; ++channel)
    for (int64_t tap = 0; tap < (plan.unfolded ? conv.taps() : 1); ++tap)
      rows.push_back(planes + channel * plane + tap / conv.kernel_width * width + tap % conv.kernel_width);
  const int64_t count = int64_t(rows.size());
  for (int64_t y = 0; y < plan.height; ++y)
    for (int64_t x = 0; x < plan.width; x += 16)
      for (int64_t first = 0; first < plan.depth; first += kBlock) {
        const __mmask16 mask = first_lanes(plan.width - x);
        auto line = [&](int64_t row) {  // sixteen pixels
          return row < count ? _mm512_cvtepu16_epi32(load(mask, rows[row] + y * width + x)) : _mm512_setzero_si512();
        };
        __m512i pairs[16];
        for (int64_t k = 0; k < 16; ++k) {
          const int64_t row = first + 2 * k;
          pairs[k] = _mm512_or_si512(line(row), _mm512_slli_epi32(line(row + 1), 16));
        }
        transpose(pairs);
        bfloat16* at = to + ((y * plan.width + x) * slots + slot) * plan.depth + first;
        const int64_t pixels = std::min<int64_t>(16, plan.width - x);
        for (int64_t i = 0; i < pixels; ++i) _mm512_store_si512(at + i * slots * plan.depth, pairs[i]);
      }
}

// 32 channels of up to sixteen positions, `stride` apart: give(channel, its values at these positions).
template <class Give>
void by_channel(const bfloat16* from, int64_t stride, int64_t count, Give give) {
  __m512i pairs[16];
  for (int64_t i = 0; i < 16; ++i) pairs[i] = i < count ? _mm512_load_si512(from + i * stride) : _mm512_setzero_si512();
  transpose(pairs);
  for (int64_t k = 0; k < 16; ++k) {
    give(2 * k, _mm512_cvtepi32_epi16(pairs[k]));
    give(2 * k + 1, _mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs[k], 16)));
  }
}

// The other way, without padding: `channels` planes of so many pixels, in memory round_up(channels, kBlock) deep.
template <class T>
void leave(const bfloat16* from, int64_t slots, int64_t slot, int64_t channels, int64_t pixels, T* image) {
  const int64_t depth = round_up(channels, kBlock);
  if (pixels == 1) {
    for (int64_t i = 0; i < channels; i += 16)
      store(image + i, first_lanes(channels - i), _mm256_loadu_si256((const __m256i*)(from + slot * depth + i)));
    return;
  }
  for (int64_t p = 0; p < pixels; p += 16)
    for (int64_t first = 0; first < channels; first += kBlock) {
      const __mmask16 mask = first_lanes(pixels - p);
      by_channel(from + (p * slots + slot) * depth + first, slots * depth, pixels - p, [&](int64_t channel, __m256i values) {
        if (first + channel < channels) store(image + (first + channel) * pixels + p, mask, values);
      });
    }
}

}  // namespace zoo
