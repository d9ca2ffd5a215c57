// Products of matrices in bfloat16 on the tiles of AMX.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <vector>

#include "numbers.h"

namespace zoo {

// Compilers do not see what AMX instructions read: everything written so far must be in memory.
inline void settle(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

// Tiles 0 to 3 accumulate a block of 32 x 32 in float32; 4 and 5 hold its rows, 6 and 7 its columns.
class Tiles {
 public:
  Tiles() {
    alignas(64) uint8_t configuration[64] = {1};  // palette 1: eight tiles of 16 rows and 64 bytes
    for (int tile = 0; tile < 8; ++tile) configuration[16 + 2 * tile] = 64, configuration[48 + tile] = 16;
    settle(configuration);
    _tile_loadconfig(configuration);
  }
  ~Tiles() { _tile_release(); }
};

constexpr int64_t kBlock = 32, kTile = 512, kDeep = 256;  // of a block: channels or positions; of a tile: values

struct Step {
  int64_t row, shift;  // sixteen pairs of channels, from this pair on, seen from a shifted position
};

// The accumulators, from and to a block of a matrix in float32.
inline void load_block(const float* c, int64_t stride) {
  _tile_loadd(0, c, stride * 4);
  _tile_loadd(1, c + 16, stride * 4);
  _tile_loadd(2, c + 16 * stride, stride * 4);
  _tile_loadd(3, c + 16 * stride + 16, stride * 4);
}

inline void store_block(float* c, int64_t stride) {
  _tile_stored(0, c, stride * 4);
  _tile_stored(1, c + 16, stride * 4);
  _tile_stored(2, c + 16 * stride, stride * 4);
  _tile_stored(3, c + 16 * stride + 16, stride * 4);
}

// Adds the product of 32 rows of `a`, 32 deep, and 32 columns of `b`, which holds pairs of rows.
inline void multiply_block(const bfloat16* upper, const bfloat16* lower, int64_t a_stride, const uint32_t* b,
                           int64_t b_stride) {
  _tile_loadd(4, upper, a_stride * 2);
  _tile_loadd(6, b, b_stride * 4);
  _tile_loadd(7, b + 16, b_stride * 4);
  _tile_loadd(5, lower, a_stride * 2);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// c[o][p] = sum of a[o][step][2r + h] * b[step.row + r][p + step.shift].half(h), where a is packed in tiles.
// So many steps at a time that their part of `a` stays in the first-level cache while `b` passes by.
inline void multiply(const bfloat16* a, const std::vector<Step>& steps, int64_t at_once, const uint32_t* b,
                     int64_t b_stride, float* c, int64_t c_stride, int64_t channels, int64_t positions) {
  const int64_t count = int64_t(steps.size());
  settle(b);
  for (int64_t begin = 0; begin < count; begin += at_once) {
    const int64_t end = std::min(count, begin + at_once);
    for (int64_t o = 0; o < channels; o += kBlock) {
      const bfloat16 *upper = a + o / 16 * count * kTile, *lower = upper + count * kTile;
      for (int64_t p = 0; p < positions; p += kBlock) {
        float* block = c + o * c_stride + p;
        if (begin == 0) {
          _tile_zero(0);
          _tile_zero(1);
          _tile_zero(2);
          _tile_zero(3);
        } else {
          load_block(block, c_stride);
        }
        for (int64_t s = begin; s < end; ++s)
          multiply_block(upper + s * kTile, lower + s * kTile, 32, b + steps[s].row * b_stride + p + steps[s].shift,
                         b_stride);
        store_block(block, c_stride);
      }
    }
  }
}

// Sixteen rows of sixteen, by halves of ever larger blocks.
inline void transpose(const uint32_t* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_si512(from + i * from_stride);
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j) {
      a[4 * i + 2 * j] = _mm512_unpacklo_epi64(b[4 * i + j], b[4 * i + j + 2]);
      a[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(b[4 * i + j], b[4 * i + j + 2]);
    }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j) {
      b[8 * j + i] = _mm512_shuffle_i32x4(a[8 * j + i], a[8 * j + i + 4], 0x88);
      b[8 * j + i + 4] = _mm512_shuffle_i32x4(a[8 * j + i], a[8 * j + i + 4], 0xdd);
    }
  for (int i = 0; i < 8; ++i) {
    _mm512_storeu_si512(to + i * to_stride, _mm512_shuffle_i32x4(b[i], b[i + 8], 0x88));
    _mm512_storeu_si512(to + (i + 8) * to_stride, _mm512_shuffle_i32x4(b[i], b[i + 8], 0xdd));
  }
}

}  // namespace zoo
