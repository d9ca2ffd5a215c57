// What an operator gets to see: attributes, shapes, and the arrays of a call.

#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "numbers.h"

namespace zoo {

// The attributes of a node, as a symbol's JSON gives them.
class Attributes {
 public:
  Attributes(const char* const* keys, const char* const* values, int count)
      : keys_(keys), values_(values), count_(count) {}
  std::string text(const char* key) const {
    for (int i = 0; i < count_; ++i)
      if (!std::strcmp(keys_[i], key)) return values_[i];
    return "";
  }
  bool is_set(const char* key) const { return text(key) == "True"; }
  float number(const char* key, float otherwise) const {
    const std::string value = text(key);
    return value.empty() ? otherwise : std::stof(value);
  }
  void pair(const char* key, int64_t* first, int64_t* second) const {  // "(3, 3)"
    const std::string value = text(key);
    if (std::sscanf(value.c_str(), "(%ld, %ld)", first, second) != 2) *first = *second = 0;
  }
  Activation activation() const {
    const std::string value = text("activation");
    return value == "tanh" ? Activation::tanh : value == "relu" ? Activation::relu : Activation::none;
  }

 private:
  const char* const* keys_;
  const char* const* values_;
  int count_;
};

constexpr int kFloat32 = 0, kUint8 = 3, kInt32 = 4, kBfloat16 = 12;  // mshadow's type flags

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

}  // namespace zoo
