// Numbers and functions of numbers that the kernels share.

#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "threads.h"

namespace zoo {

enum class Activation { none, tanh, relu };

// bfloat16 as MXNet stores it: the upper half of a float32, rounded to nearest even.
struct bfloat16 {
  uint16_t bits;
};

inline float widen(float value) { return value; }
inline float widen(bfloat16 value) {
  const uint32_t bits = uint32_t(value.bits) << 16;
  float result;
  __builtin_memcpy(&result, &bits, 4);
  return result;
}
inline void narrow(float value, float* to) { *to = value; }
inline void narrow(float value, bfloat16* to) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to->bits = uint16_t(value == value ? rounded : 0x7fc0);
}

// Rational approximation of Eigen (after Cephes): error below 3 units in the last place of a float32.
inline float tanh_of(float x) {
  const float limit = 7.90531110763549805f;
  const float y = x > limit ? limit : x < -limit ? -limit : x;  // keeps what is not a number
  const float s = y * y;
  float p = -2.76076847742355e-16f;
  p = p * s + 2.00018790482477e-13f;
  p = p * s + -8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  float q = 1.19825839466702e-06f;
  q = q * s + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return y * p / q;
}

#ifdef __AVX512F__
// Error below 2^-11 of the value: for what is, or was, rounded to the eight bits of a bfloat16.
inline __m512 rough_tanh_of(__m512 x) {
  const __m512 below = _mm512_min_ps(_mm512_set1_ps(3.9f), x);  // keeps what is not a number
  const __m512 y = _mm512_max_ps(_mm512_set1_ps(-3.9f), below);
  const __m512 s = _mm512_mul_ps(y, y);
  const __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.08318265f), s, _mm512_set1_ps(0.99967305f));
  __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(0.00663586f), s, _mm512_set1_ps(0.41472735f));
  q = _mm512_fmadd_ps(q, s, _mm512_set1_ps(1.0f));
  return _mm512_mul_ps(_mm512_mul_ps(y, p), _mm512_rcp14_ps(q));
}
#endif

// Of values that came as T.
template <class T>
void apply_tanh(float* values, int64_t count) {
  int64_t i = 0;
#ifdef __AVX512F__
  for (; std::is_same<T, bfloat16>::value && i < count; i += 16) {
    const __mmask16 mask = __mmask16(count - i < 16 ? (1 << (count - i)) - 1 : 0xffff);
    _mm512_mask_storeu_ps(values + i, mask, rough_tanh_of(_mm512_maskz_loadu_ps(mask, values + i)));
  }
#endif
#pragma omp simd
  for (int64_t j = i; j < count; ++j) values[j] = tanh_of(values[j]);
}

// Memory of a thread's own that it keeps: fresh memory would cost more than the work of a single image.
// Its contents are whatever was there before. One user of a `Tag` at a time.
template <class Tag, class T>
T* scratch(int64_t size) {
  static thread_local std::vector<T> memory;
  if (int64_t(memory.size()) < size) memory.resize(size);
  return memory.data();
}

inline float relu_of(float x) { return x < 0 ? 0.0f : x; }

}  // namespace zoo
