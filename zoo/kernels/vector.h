// Vectors of float32, as wide as the processor's registers: the same source for AVX-512, AVX2 and anything else.

#pragma once

#include <cstdint>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "numbers.h"

namespace zoo {

// Lanes of a vector, and registers that hold sums of products while the others hold factors.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kAccumulators = 24;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kAccumulators = 12;
#else
constexpr int kLanes = 4, kAccumulators = 12;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes), may_alias));
typedef float UnalignedVector __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
inline Vector broadcast(float value) { return value - Vector{}; }

// Where an operand is not a number, the second one.
inline Vector max_of(Vector a, Vector b) {
#if defined(__AVX512F__)
  return (Vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vector)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
inline Vector min_of(Vector a, Vector b) {
#if defined(__AVX512F__)
  return (Vector)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vector)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}

// Of all lanes.
inline float sum_of(Vector x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x);
#else
  float sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += x[lane];
  return sum;
#endif
}

inline Vector relu_of(Vector x) { return max_of(Vector{}, x); }

// To about one unit in the last place, without the dozen cycles and more of a division; for numbers that are neither
// tiny nor huge.
inline Vector inverse_of(Vector x) {
#if defined(__AVX512F__)
  const Vector rough = (Vector)_mm512_rcp14_ps((__m512)x);
#elif defined(__AVX2__)
  const Vector rough = (Vector)_mm256_rcp_ps((__m256)x);
#else
  return 1.0f / x;
#endif
#ifdef __AVX2__
  return rough + rough * (1.0f - x * rough);
#endif
}

// The approximation of numbers.h, lane by lane.
inline Vector tanh_of(Vector x) {
  const Vector limit = broadcast(7.90531110763549805f);
  const Vector y = max_of(-limit, min_of(limit, x));
  const Vector s = y * y;
  Vector p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * s + -8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  Vector q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return y * p * inverse_of(q);
}

}  // namespace zoo
