// The product of a convolution, and what is done to it on its way to memory.

#pragma once

#include <cmath>
#include <vector>

#include "plan.h"

namespace zoo {

// What follows the products: bias, activation, then for inference what BatchNorm with its running statistics, ReLU
// and pooling do.
struct Finish {
  explicit Finish(const Plan& plan, const float* given_bias = nullptr)
      : activation(plan.conv.activation), bias(plan.outputs), scale(plan.outputs, 1.0f), shift(plan.outputs) {
    if (given_bias) std::copy(given_bias, given_bias + plan.conv.out, bias.begin());
  }
  Activation activation;
  std::vector<float> bias, scale, shift;
  bool relu = false, pool = false;
};

// A group of images as the input of a convolution, or where its output goes: from pixel (top, left) and image
// `slot` on.
struct Place {
  bfloat16* values;
  int64_t width, depth, slots, top, left, slot;

  bfloat16* at(int64_t y, int64_t x) const { return values + (((y + top) * width + x + left) * slots + slot) * depth; }
};

template <Activation activation>
__m512 activated(__m512 x) {
  if (activation == Activation::tanh) return rough_tanh_of(x);
  if (activation == Activation::relu) return _mm512_max_ps(_mm512_setzero_ps(), x);
  return x;
}

// A strip of 32 outputs from `output` on. Pooling comes first, since what it would follow grows, or with a negative
// scale falls, with the product.
template <Activation activation, bool pool>
void finish_strip(const Finish& finish, const Strip& strip, int64_t pitch, int64_t images, const float* c,
                  int64_t output, const Place& out) {
  __m512 bias[2], scale[2], shift[2], sign[2];
  const __m512 floor = _mm512_set1_ps(finish.relu ? 0.0f : -INFINITY);
  for (int half = 0; half < 2; ++half) {
    const int64_t o = output + 16 * half;
    bias[half] = _mm512_loadu_ps(&finish.bias[o]);
    scale[half] = _mm512_loadu_ps(&finish.scale[o]);
    shift[half] = _mm512_loadu_ps(&finish.shift[o]);
    sign[half] = _mm512_and_ps(scale[half], _mm512_set1_ps(-0.0f));
  }
  constexpr int64_t step = pool ? 2 : 1;
  for (int64_t y = 0; y < strip.rows; y += step)
    for (int64_t x = 0; x < strip.columns; x += step) {
      const float* from = c + (y * pitch + x * images) * kBlock;
      bfloat16* to = out.at((strip.y + y) / step, (strip.x + x) / step) + output;
      for (int64_t n = 0; n < images; ++n, from += kBlock, to += out.depth) {
        __m512 result[2];
        for (int half = 0; half < 2; ++half) {
          auto value = [&](int64_t position) { return _mm512_load_ps(from + position * kBlock + 16 * half); };
          __m512 v = value(0);
          if (pool) {
            auto signed_value = [&](int64_t position) { return _mm512_xor_ps(value(position), sign[half]); };
            v = _mm512_max_ps(_mm512_max_ps(signed_value(0), signed_value(images)),
                              _mm512_max_ps(signed_value(pitch), signed_value(pitch + images)));
            v = _mm512_xor_ps(v, sign[half]);
          }
          v = activated<activation>(_mm512_add_ps(v, bias[half]));
          result[half] = _mm512_max_ps(floor, _mm512_fmadd_ps(v, scale[half], shift[half]));
        }
        _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(result[1], result[0]));
      }
    }
}

using FinishStrip = void (*)(const Finish&, const Strip&, int64_t, int64_t, const float*, int64_t, const Place&);

template <bool pool>
FinishStrip finish_for(Activation activation) {
  switch (activation) {
    case Activation::tanh: return finish_strip<Activation::tanh, pool>;
    case Activation::relu: return finish_strip<Activation::relu, pool>;
    default: return finish_strip<Activation::none, pool>;
  }
}

// A group of images through a convolution; `input` as plan.h has it.
inline void convolve(const Plan& plan, const Lines& weights, const Finish& finish, const bfloat16* input,
                     int64_t images, const Place& out) {
  const std::vector<int64_t> offsets = plan.offsets(images);
  const Strips layout = plan.strips(images, finish.pool);
  const FinishStrip finish_strip = (finish.pool ? finish_for<true> : finish_for<false>)(finish.activation);
  const int64_t pitch = layout.pitch;
  settle(input);
  for (const Strip& strip : layout.strips) {
    const int64_t runs = layout.joined ? 1 : strip.rows;
    const int64_t length = (layout.joined ? (strip.rows - 1) * pitch : 0) + strip.columns * images;
    auto* c = reinterpret_cast<float*>(scratch<Strips, Line>(((runs - 1) * pitch + length + kBlock) * 2));
    for (int64_t o = 0; o < plan.outputs; o += kBlock) {
      const bfloat16* b = weights[o * plan.steps()].values;
      for (int64_t run = 0; run < runs; ++run) {
        const bfloat16* a = input + ((strip.y + run) * plan.width + strip.x) * images * plan.depth;
        for (int64_t p = 0; p < length; p += kBlock)
          multiply(a + p * plan.depth, plan.depth, offsets, b, c + (run * pitch + p) * kBlock, length - p <= 16);
      }
      settle(c);
      finish_strip(finish, strip, pitch, images, c, o, out);
    }
  }
}

}  // namespace zoo
