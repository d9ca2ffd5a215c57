// Weights as the right operand of a product: pairs of rows, in tiles.

#pragma once

#include "plan.h"

namespace zoo {

inline __mmask16 first_lanes(int64_t count) { return __mmask16((1u << std::clamp<int64_t>(count, 0, 16)) - 1); }

// Sixteen values `stride` apart, zero from the count-th on.
inline __m256i narrowed(const float* from, int64_t stride, int64_t count) {
  const __mmask16 mask = first_lanes(count);
  if (stride == 1) return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i index = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(int(stride)));
  return (__m256i)_mm512_cvtneps_pbh(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, index, from, 4));
}

inline __m512i interleaved(__m256i even, __m256i odd) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
}

// [block of 32 outputs][step][half of the block][16 pairs of channels][16 outputs][2], from MXNet's [output][channel]
// [tap]. For the gradient of the data the weights are those of the convolution that `plan.conv` transposes.
inline Lines pack(const Plan& plan, const float* weight, bool transposed = false) {
  const Convolution& conv = plan.conv;
  const int64_t taps = plan.taps, steps = plan.steps(), channels = plan.unfolded ? conv.in * conv.taps() : conv.in;
  Lines packed(size_t(plan.outputs * steps));
  const auto pack_block = [&](int64_t block) {
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t tap = step * kBlock / plan.depth, channel = step * kBlock % plan.depth;
      __m512i pairs[16];
      for (int64_t k = 0; k < 16; ++k) {
        if (transposed) {  // a pair of channels of all outputs
          const float* from = weight + ((channel + 2 * k) * conv.out + block) * taps + taps - 1 - tap;
          const int64_t even = channel + 2 * k < channels ? conv.out - block : 0;
          const int64_t odd = channel + 2 * k + 1 < channels ? conv.out - block : 0;
          pairs[k] = interleaved(narrowed(from, taps, even), narrowed(from + conv.out * taps, taps, odd));
        } else {  // all channels of an output
          const float* from = weight + ((block + k) * channels + channel) * taps + tap;
          const int64_t count = block + k < conv.out ? channels - channel : 0;
          const __m512i lower = _mm512_castsi256_si512(narrowed(from, taps, count));
          pairs[k] = _mm512_inserti64x4(lower, narrowed(from + 16 * taps, taps, count - 16), 1);
        }
      }
      if (!transposed) transpose(pairs);
      Line* to = &packed[((block / kBlock * steps + step) * 2 + block % kBlock / 16) * 16];
      for (int64_t k = 0; k < 16; ++k) _mm512_store_si512(to + k, pairs[k]);
    }
  };
  Queue blocks((plan.outputs + 15) / 16);
  parallel(threads_for(1.0 * double(plan.outputs * steps * kBlock)),
           [&](const Share&) { blocks.each([&](int64_t number) { pack_block(16 * number); }); });
  return packed;
}

}  // namespace zoo
