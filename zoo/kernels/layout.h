// From MXNet's layout, (image, channel, row, column), to that of a group, and back.

#pragma once

#include "pack.h"

namespace zoo {

inline __m256i load(__mmask16 mask, const bfloat16* from) { return _mm256_maskz_loadu_epi16(mask, from); }
inline __m256i load(__mmask16 mask, const float* from) {
  return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
}
inline void store(bfloat16* to, __mmask16 mask, __m256i values) { _mm256_mask_storeu_epi16(to, mask, values); }
inline __m512 widened(__m256i values) { return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16); }
inline void store(float* to, __mmask16 mask, __m256i values) { _mm512_mask_storeu_ps(to, mask, widened(values)); }

// The planes of an image with their padding.
template <class T>
const bfloat16* padded(const Convolution& conv, const T* image) {
  const int64_t height = conv.height + 2 * conv.pad_height, width = conv.width + 2 * conv.pad_width;
  auto* planes = scratch<Convolution, bfloat16>(conv.in * height * width);
  std::fill(planes, planes + conv.in * height * width, bfloat16{0});
  for (int64_t channel = 0; channel < conv.in; ++channel)
    for (int64_t y = 0; y < conv.height; ++y, image += conv.width)
      for (int64_t x = 0; x < conv.width; x += 16) {
        const __mmask16 mask = first_lanes(conv.width - x);
        bfloat16* to = planes + (channel * height + y + conv.pad_height) * width + conv.pad_width + x;
        store(to, mask, load(mask, image + x));
      }
  return planes;
}

// Up to sixteen pixels of all rows, which begin at `from`: at(pixel) is where its values go.
template <class T, class At>
void by_pixel(const T* from, const std::vector<int64_t>& rows, int64_t count, int64_t depth, At at) {
  const __mmask16 mask = first_lanes(count);
  for (int64_t first = 0; first < depth; first += kBlock) {
    auto line = [&](int64_t row) {
      return row < int64_t(rows.size()) ? load(mask, from + rows[row]) : _mm256_setzero_si256();
    };
    __m512i pairs[16];
    for (int64_t k = 0; k < 16; ++k) pairs[k] = interleaved(line(first + 2 * k), line(first + 2 * k + 1));
    transpose(pairs);
    for (int64_t i = 0; i < count; ++i) _mm512_store_si512(at(i) + first, pairs[i]);
  }
}

// Images become the input of a convolution, as the first `count` images of a group of `slots`. Padding and what is left
// of the group stay as they are.
template <class T>
void enter(const Plan& plan, const T* images, int64_t count, int64_t slots, bfloat16* to) {
  const Convolution& conv = plan.conv;
  const int64_t image = conv.in * conv.height * conv.width;
  if (conv.height * conv.width == 1 && plan.height * plan.width == 1) {
    for (int64_t n = 0; n < count; ++n)
      for (int64_t i = 0; i < plan.depth; i += 16)
        store(to + n * plan.depth + i, first_lanes(16), load(first_lanes(conv.in - i), images + n * image + i));
    return;
  }
  if (!plan.unfolded) {  // a plane is one run of pixels
    const int64_t plane = conv.height * conv.width;
    std::vector<int64_t> rows, pixels;
    for (int64_t channel = 0; channel < conv.in; ++channel) rows.push_back(channel * plane);
    for (int64_t pixel = 0; pixel < plane; ++pixel)
      pixels.push_back((pixel / conv.width + conv.pad_height) * plan.width + pixel % conv.width + conv.pad_width);
    for (int64_t n = 0; n < count; ++n)
      for (int64_t p = 0; p < plane; p += 16)
        by_pixel(images + n * image + p, rows, std::min<int64_t>(16, plane - p), plan.depth,
                 [&](int64_t i) { return to + (pixels[p + i] * slots + n) * plan.depth; });
    return;
  }
  const int64_t width = conv.width + 2 * conv.pad_width, plane = width * (conv.height + 2 * conv.pad_height);
  std::vector<int64_t> rows;  // all taps of all channels
  for (int64_t channel = 0; channel < conv.in; ++channel)
    for (int64_t tap = 0; tap < conv.taps(); ++tap)
      rows.push_back(channel * plane + tap / conv.kernel_width * width + tap % conv.kernel_width);
  for (int64_t n = 0; n < count; ++n) {
    const bfloat16* planes = padded(conv, images + n * image);
    for (int64_t y = 0; y < plan.height; ++y)
      for (int64_t x = 0; x < plan.width; x += 16)
        by_pixel(planes + y * width + x, rows, std::min<int64_t>(16, plan.width - x), plan.depth,
                 [&](int64_t i) { return to + ((y * plan.width + x + i) * slots + n) * plan.depth; });
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

// The other way, without padding: in memory the channels are rounded up to whole lines.
template <class T>
void leave(const bfloat16* from, int64_t count, int64_t slots, int64_t channels, int64_t pixels, T* images) {
  const int64_t depth = round_up(channels, kBlock);
  if (pixels == 1) {
    for (int64_t n = 0; n < count; ++n)
      for (int64_t i = 0; i < channels; i += 16)
        store(images + n * channels + i, first_lanes(channels - i), load(first_lanes(16), from + n * depth + i));
    return;
  }
  for (int64_t n = 0; n < count; ++n)
    for (int64_t first = 0; first < channels; first += kBlock)
      for (int64_t p = 0; p < pixels; p += 16) {
        T* to = images + (n * channels + first) * pixels + p;
        const __mmask16 mask = first_lanes(pixels - p);
        const bfloat16* at = from + (p * slots + n) * depth + first;
        by_channel(at, slots * depth, pixels - p, [&](int64_t channel, __m256i values) {
          if (first + channel < channels) store(to + channel * pixels, mask, values);
        });
      }
}

}  // namespace zoo
