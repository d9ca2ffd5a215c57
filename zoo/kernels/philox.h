// Dropout masks from Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as
// 1, 2, 3, 2011), the counter-based generator that cuRAND and PyTorch use too. A mask is a function of
// the key and of the position alone: any number of threads gives the same, and it need not be stored.

#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cstdint>

namespace zoo {

struct Key {
  uint32_t low, high;
};

// Sixteen blocks of 128 bits from `block` on, as four words each.
inline void philox(Key key, uint64_t block, uint32_t stream, uint32_t (&word)[4][16]) {
  constexpr uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u}, step[2] = {0x9E3779B9u, 0xBB67AE85u};
#ifdef __AVX512F__
  // In lanes of 64 bits, of which the upper half is ignored: a product is one instruction then, and a round six.
  const __m512i left = _mm512_set1_epi64(multiplier[0]), right = _mm512_set1_epi64(multiplier[1]);
  __m512i half[2][4];  // even and odd blocks
  for (int odd = 0; odd < 2; ++odd) {
    const __m512i first = _mm512_set1_epi64(int64_t(block) + odd);
    __m512i c0 = _mm512_add_epi64(first, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14));
    __m512i c1 = _mm512_srli_epi64(c0, 32), c2 = _mm512_set1_epi64(stream), c3 = _mm512_setzero_si512();
    for (uint32_t round = 0; round < 10; ++round) {
      const __m512i a = _mm512_mul_epu32(left, c0), b = _mm512_mul_epu32(right, c2);
      const __m512i k0 = _mm512_set1_epi32(int(key.low + round * step[0]));
      const __m512i k1 = _mm512_set1_epi32(int(key.high + round * step[1]));
      c0 = _mm512_ternarylogic_epi32(_mm512_srli_epi64(b, 32), c1, k0, 0x96);  // exclusive or of three
      c2 = _mm512_ternarylogic_epi32(_mm512_srli_epi64(a, 32), c3, k1, 0x96);
      c1 = b, c3 = a;
    }
    half[odd][0] = c0, half[odd][1] = c1, half[odd][2] = c2, half[odd][3] = c3;
  }
  for (int w = 0; w < 4; ++w)
    _mm512_storeu_si512(word[w], _mm512_mask_blend_epi32(0xaaaa, half[0][w], _mm512_slli_epi64(half[1][w], 32)));
#else
  for (int j = 0; j < 16; ++j) {
    uint32_t c0 = uint32_t(block + j), c1 = uint32_t((block + j) >> 32), c2 = stream, c3 = 0;
    for (uint32_t round = 0; round < 10; ++round) {
      const uint64_t a = uint64_t(multiplier[0]) * c0, b = uint64_t(multiplier[1]) * c2;
      c0 = uint32_t(b >> 32) ^ c1 ^ (key.low + round * step[0]), c1 = uint32_t(b);
      c2 = uint32_t(a >> 32) ^ c3 ^ (key.high + round * step[1]), c3 = uint32_t(a);
    }
    word[0][j] = c0, word[1][j] = c1, word[2][j] = c2, word[3][j] = c3;
  }
#endif
}

// mask[i] = 0 with probability `drop` (to 2^-16), 1 / (1 - drop) otherwise, independently of each other.
inline void dropout_mask(Key key, int64_t stream, float drop, int64_t size, float* mask) {
  constexpr int lanes = 16, per_lane = 8;  // sixteen blocks at a time, eight draws of 16 bits each
  const uint32_t threshold = uint32_t(drop * 65536.0f + 0.5f);
  const float kept = 1.0f / (1.0f - drop);
  uint32_t word[4][lanes];
  float draws[per_lane][lanes];
  for (int64_t start = 0; start < size; start += lanes * per_lane) {
    philox(key, uint64_t(start) / per_lane, uint32_t(stream), word);
    for (int w = 0; w < 4; ++w) {
#pragma omp simd
      for (int j = 0; j < lanes; ++j) {
        draws[2 * w][j] = (word[w][j] & 0xffff) < threshold ? 0.0f : kept;
        draws[2 * w + 1][j] = (word[w][j] >> 16) < threshold ? 0.0f : kept;
      }
    }
    const int64_t rest = size - start < lanes * per_lane ? size - start : lanes * per_lane;
    __builtin_memcpy(mask + start, draws, size_t(rest) * sizeof(float));
  }
}

}  // namespace zoo
