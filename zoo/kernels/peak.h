// What this processor's arithmetic units do at most: operands that never leave registers and the first-level cache,
// and nothing else to do. bench/ceilings.py asks for it; measurements are printed as shares of it.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
#ifdef __AMX_BF16__
#include "tiles.h"
#endif

namespace zoo {

constexpr double kBin = 2e-3;  // seconds

// The highest rate that so many threads together kept up for two milliseconds within `seconds`, in 10^9 operations a
// second; `work` does so many `operations` in a few microseconds. The threads never wait for each other: where other
// work takes the processor away most of the time, some milliseconds remain in which they all run.
template <class Work>
double highest_rate(int threads, double seconds, double operations, Work work) {
  const int64_t bins = int64_t(seconds / kBin) + 1;
  std::vector<std::vector<int64_t>> done(threads, std::vector<int64_t>(bins));
  const auto begin = std::chrono::steady_clock::now();
  parallel(threads, [&](const Share& share) {
    std::vector<int64_t>& mine = done[share.part];
    for (int64_t bin = 0; bin < bins;) {
      work();
      ++mine[bin];
      bin = int64_t(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kBin);
    }
  });
  int64_t most = 0;
  for (int64_t bin = 0; bin < bins; ++bin) {
    int64_t together = 0;
    for (const auto& each : done) together += each[bin];
    most = std::max(most, together);
  }
  return double(most) * operations / kBin / 1e9;
}

// Also by one thread alone: matrix units may be slowed down so far when all of them work that one does more.
template <class Work>
double peak(double seconds, double operations, Work work) {
  return std::max(highest_rate(most_threads(), seconds * 2 / 3, operations, work),
                  highest_rate(1, seconds / 3, operations, work));
}

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
constexpr int kSums = 12;  // enough that no multiplication waits for an earlier one, and all fit into registers
constexpr int kVectorRepeats = 1 << 13, kTileRepeats = 1 << 8;

typedef float Vector __attribute__((vector_size(kVectorBytes)));

template <class Step>
void multiply_vectors(Step step) {
  volatile float half = 0.5f, result;  // a compiler that knew what is computed would leave it out
  const Vector factor = Vector{} + half;
  Vector sums[kSums];
  for (Vector& sum : sums) sum = Vector{} + half;
  for (int repeat = 0; repeat < kVectorRepeats; ++repeat)
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) sums[i] = step(sums[i], factor);
#pragma GCC unroll 12
  for (int i = 0; i < kSums; ++i) result = sums[i][0];
  (void)result;
}

#ifdef __AMX_BF16__
// Products of two tiles of rows and two of columns, as in a large matrix product.
template <class Product>
void multiply_tiles(Product product) {
  alignas(64) bfloat16 operands[4 * kTile];
  std::memset(operands, 0x3f, sizeof operands);
  const Tiles tiles;
  settle(operands);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int repeat = 0; repeat < kTileRepeats; ++repeat) {
    _tile_loadd(4, operands, 64);
    _tile_loadd(6, operands + kTile, 64);
    _tile_loadd(7, operands + 2 * kTile, 64);
    _tile_loadd(5, operands + 3 * kTile, 64);
    product();
  }
}
#endif

}  // namespace zoo

// GFLOP/s, by the names of bench.cells.DTYPES; each exists where the processor has such a unit. Those of AMX end a
// process that has no leave to use it.
extern "C" {

double zoo_peak_float32(double seconds) {
  constexpr double operations = 2.0 * zoo::kVectorRepeats * zoo::kSums * zoo::kVectorBytes / sizeof(float);
  return zoo::peak(seconds, operations, [] {
    zoo::multiply_vectors([](zoo::Vector sum, zoo::Vector factor) { return sum * factor + factor; });
  });
}

#ifdef __AVX512BF16__
double zoo_peak_bfloat16_vectors(double seconds) {  // where there is no AMX
  return zoo::peak(seconds, 2.0 * zoo::kVectorRepeats * zoo::kSums * 32, [] {
    zoo::multiply_vectors([](zoo::Vector sum, zoo::Vector factor) {
      return zoo::Vector(_mm512_dpbf16_ps(__m512(sum), (__m512bh)factor, (__m512bh)factor));
    });
  });
}
#endif

#ifdef __AMX_BF16__
double zoo_peak_bfloat16(double seconds) {
  return zoo::peak(seconds, 2.0 * zoo::kTileRepeats * 4 * 16 * 16 * 32, [] {
    zoo::multiply_tiles([] {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    });
  });
}
#endif

#if defined(__AMX_BF16__) && defined(__AMX_INT8__)
double zoo_peak_int8(double seconds) {
  return zoo::peak(seconds, 2.0 * zoo::kTileRepeats * 4 * 16 * 16 * 64, [] {
    zoo::multiply_tiles([] {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    });
  });
}
#endif

}  // extern "C"
