// Products of matrices in bfloat16 on the tiles of AMX.

#pragma once

#include <immintrin.h>

#include <vector>

#include "numbers.h"

namespace zoo {

constexpr int64_t kBlock = 32, kTile = 512;  // of a block: rows or columns; of a tile: values

// A row of a tile. Tiles whose rows cross lines of the cache load a quarter slower.
struct alignas(64) Line {
  bfloat16 values[kBlock];
};
using Lines = std::vector<Line>;

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

// c[r][32] = sum over steps of a[offsets[step] + r * depth][32] times a block of `b`, which holds pairs of rows
// as two tiles. Where no more than sixteen rows are wanted, the other half is left out.
inline void multiply(const bfloat16* a, int64_t depth, const std::vector<int64_t>& offsets, const bfloat16* b, float* c,
                     bool half) {
  _tile_zero(0);
  _tile_zero(1);
  if (half) {
    for (const int64_t offset : offsets) {
      _tile_loadd(4, a + offset, depth * 2);
      _tile_loadd(6, b, 64);
      _tile_loadd(7, b + kTile, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      b += 2 * kTile;
    }
  } else {
    _tile_zero(2);
    _tile_zero(3);
    for (const int64_t offset : offsets) {
      _tile_loadd(4, a + offset, depth * 2);
      _tile_loadd(6, b, 64);
      _tile_loadd(7, b + kTile, 64);
      _tile_loadd(5, a + offset + 16 * depth, depth * 2);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      b += 2 * kTile;
    }
    _tile_stored(2, c + 16 * kBlock, kBlock * 4);
    _tile_stored(3, c + 16 * kBlock + 16, kBlock * 4);
  }
  _tile_stored(0, c, kBlock * 4);
  _tile_stored(1, c + 16, kBlock * 4);
}

// c[32][32] += or, if it is new, = sum over steps of 32 lines of `a`, `a_step` lines after those of the step before,
// times a block of pairs of rows, `b_stride` values apart, at `b_offset` from each of `b`.
inline void accumulate(const Line* a, int64_t a_step, const std::vector<const uint32_t*>& b, int64_t b_stride,
                       int64_t b_offset, float* c, int64_t c_stride, bool is_new) {
  if (is_new) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, c, c_stride * 4);
    _tile_loadd(1, c + 16, c_stride * 4);
    _tile_loadd(2, c + 16 * c_stride, c_stride * 4);
    _tile_loadd(3, c + 16 * c_stride + 16, c_stride * 4);
  }
  for (const uint32_t* rows : b) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, rows + b_offset, b_stride * 4);
    _tile_loadd(7, rows + b_offset + 16, b_stride * 4);
    _tile_loadd(5, a + 16, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    a += a_step;
  }
  _tile_stored(0, c, c_stride * 4);
  _tile_stored(1, c + 16, c_stride * 4);
  _tile_stored(2, c + 16 * c_stride, c_stride * 4);
  _tile_stored(3, c + 16 * c_stride + 16, c_stride * 4);
}

// Sixteen rows of sixteen, by halves of ever larger blocks.
inline void transpose(__m512i (&a)[16]) {
  __m512i b[16];
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
    a[i] = _mm512_shuffle_i32x4(b[i], b[i + 8], 0x88);
    a[i + 8] = _mm512_shuffle_i32x4(b[i], b[i + 8], 0xdd);
  }
}

}  // namespace zoo
