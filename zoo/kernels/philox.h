// Dropout masks from Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as
// 1, 2, 3, 2011), the counter-based generator that cuRAND and PyTorch use too. A mask is a function of
// the key and of the position alone: any number of threads gives the same, and it need not be stored.

#pragma once

#include <cstdint>

namespace zoo {

struct Key {
  uint32_t low, high;
};

// mask[i] = 0 with probability `drop` (to 2^-16), 1 / (1 - drop) otherwise, independently of each other.
inline void dropout_mask(Key key, int64_t stream, float drop, int64_t size, float* mask) {
  constexpr int lanes = 16, per_lane = 8;  // sixteen blocks of 128 bits at a time, eight draws of 16 bits each
  const uint32_t threshold = uint32_t(drop * 65536.0f + 0.5f);
  const float kept = 1.0f / (1.0f - drop);
  uint32_t word[4][lanes];
  float draws[per_lane][lanes];
  for (int64_t start = 0; start < size; start += lanes * per_lane) {
    const uint64_t block = uint64_t(start) / per_lane;
#pragma omp simd
    for (int j = 0; j < lanes; ++j) {
      uint32_t c0 = uint32_t(block + j), c1 = uint32_t((block + j) >> 32), c2 = uint32_t(stream), c3 = 0;
      uint32_t k0 = key.low, k1 = key.high;
      for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t(0xD2511F53u) * c0, b = uint64_t(0xCD9E8D57u) * c2;
        const uint32_t n0 = uint32_t(b >> 32) ^ c1 ^ k0, n2 = uint32_t(a >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = uint32_t(b), c2 = n2, c3 = uint32_t(a);
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
      }
      word[0][j] = c0, word[1][j] = c1, word[2][j] = c2, word[3][j] = c3;
    }
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
