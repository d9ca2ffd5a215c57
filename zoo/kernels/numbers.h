// Numbers and functions of numbers that the kernels share.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

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

// How many threads work of so many nanoseconds on one thread is worth: to wake another one takes about 0.1 ms.
inline int threads_for(double nanoseconds) {
  return int(std::clamp(nanoseconds / 2e5, 1.0, double(omp_get_max_threads())));
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
