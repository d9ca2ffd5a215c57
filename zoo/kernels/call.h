// What MXNet hands an operator: the attributes of its node, and the arrays of a call.

#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "numbers.h"
#include "philox.h"

namespace zoo {

constexpr int kFloat32 = 0, kUint8 = 3, kInt32 = 4, kBfloat16 = 12;  // mshadow's type flags

// The attributes of a node, as a symbol's JSON gives them.
class Attributes {
 public:
  Attributes(const char* const* keys, const char* const* values, int count) {
    for (int i = 0; i < count; ++i) given_.emplace(keys[i], values[i]);
  }
  std::string text(const std::string& key) const {
    const auto found = given_.find(key);
    return found == given_.end() ? "" : found->second;
  }
  bool is_set(const std::string& key) const { return text(key) == "True"; }
  float number(const std::string& key, float otherwise) const {
    const std::string value = text(key);
    return value.empty() ? otherwise : std::stof(value);
  }
  void pair(const std::string& key, int64_t* first, int64_t* second) const {  // "(3, 3)"
    const std::string value = text(key);
    if (std::sscanf(value.c_str(), "(%ld, %ld)", first, second) != 2) *first = *second = 0;
  }
  Activation activation(const std::string& key = "activation") const {
    const std::string value = text(key);
    return value == "tanh" ? Activation::tanh : value == "relu" ? Activation::relu : Activation::none;
  }

 private:
  std::unordered_map<std::string_view, const char*> given_;
};

using Shapes = std::vector<std::vector<unsigned>>;

// The arrays of a call. Backward, `in` holds the gradients of all outputs, the inputs, and the outputs.
struct Call {
  const Attributes& attributes;
  bool forward;
  int inputs, outputs;
  const int64_t* const* shapes;  // of the inputs
  const int* dimensions;
  void **in, **out;
  const size_t* versions;  // of the inputs: they count how often an array was written
  void* random_states;
  const int64_t* const* out_shapes;

  template <class T>
  T* input(int index) const {
    return static_cast<T*>(in[(forward ? 0 : outputs) + index]);
  }
  template <class T>
  T* output(int index) const {
    return static_cast<T*>(forward ? out[index] : in[outputs + inputs + index]);
  }
  template <class T>
  const T* output_gradient() const {
    return static_cast<const T*>(in[0]);
  }
  template <class T>
  T* input_gradient(int index) const {
    return static_cast<T*>(out[index]);
  }
  int64_t extent(int axis, int index = 0) const { return axis < dimensions[index] ? shapes[index][axis] : 1; }
  int64_t size(int index = 0) const {
    int64_t size = 1;
    for (int axis = 0; axis < dimensions[index]; ++axis) size *= shapes[index][axis];
    return size;
  }
};

// MXNet's generator: std::mt19937 as GCC's standard library lays it out, whichever library this one is compiled with.
struct MersenneTwister {
  static constexpr int kSize = 624, kMiddle = 397;
  uint64_t state[kSize];
  uint64_t position;

  uint32_t next() {
    if (position >= kSize) turn();
    uint32_t value = uint32_t(state[position++]);
    value ^= value >> 11;
    value ^= (value << 7) & 0x9D2C5680u;
    value ^= (value << 15) & 0xEFC60000u;
    return value ^ (value >> 18);
  }

 private:
  void turn() {
    for (int i = 0; i < kSize; ++i) {
      const uint64_t joined = (state[i] & 0x80000000u) | (state[(i + 1) % kSize] & 0x7FFFFFFFu);
      state[i] = state[(i + kMiddle) % kSize] ^ (joined >> 1) ^ (joined & 1 ? 0x9908B0DFu : 0);
    }
    position = 0;
  }
};

inline Key draw(void* random_states) {  // seeded by mx.random.seed, like MXNet's own Dropout
  auto& generator = *static_cast<MersenneTwister*>(random_states);
  const uint32_t low = generator.next();
  return {low, generator.next()};
}

}  // namespace zoo
