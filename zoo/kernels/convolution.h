// Convolution in bfloat16 on AMX with its activation, forward and backward, between MXNet's own operators. Weights
// come in as float32, and their gradients leave as float32.

#pragma once

#include <algorithm>
#include <vector>

#include "layout.h"
#include "product.h"
#include "weight_gradient.h"

namespace zoo {

// The first `count` images of a group, whose input lies in `group`, to MXNet's layout.
inline void convolve(const Plan& plan, const Lines& weights, const Finish& finish, const bfloat16* group, int64_t slots,
                     int64_t count, bfloat16* out) {
  const Convolution& conv = plan.conv;
  const int64_t pixels = conv.out_height() * conv.out_width();
  bfloat16* result = scratch<Finish, Line>(pixels * slots * plan.outputs / kBlock)->values;
  convolve(plan, weights, finish, group, slots, {result, conv.out_width(), plan.outputs, slots, 0, 0, 0});
  leave(result, count, slots, conv.out, pixels, out);
}

// Memory for the input of a group, zero where no image will be.
template <class Tag>
bfloat16* clean_group(const Plan& plan, int64_t count, int64_t slots) {
  bfloat16* group = scratch<Tag, Line>(plan.lines(slots))->values;
  const int64_t size = plan.lines(slots) * kBlock;
  std::fill(count < slots || plan.has_border() ? group : group + size - kBlock * plan.depth, group + size, bfloat16{0});
  return group;
}

inline void convolution_forward(const Convolution& conv, const bfloat16* data, const float* weight, const float* bias,
                                bfloat16* out) {
  const Plan plan(conv);
  const Finish finish(plan, bias);
  const int64_t image = conv.in * conv.height * conv.width;
  const int64_t result = conv.out * conv.out_height() * conv.out_width();
  const Lines packed = pack(plan, weight);
  const int threads = threads_for(plan.nanoseconds());
  const std::vector<Group> groups = groups_of(conv.images, plan.at_once(), threads);
  Queue queue(int64_t(groups.size()));
  parallel(threads, [&](const Share&) {
    const Tiles tiles;
    queue.each([&](int64_t number) {
      const auto [first, count] = groups[number];
      bfloat16* input = clean_group<Plan>(plan, count, count);
      enter(plan, data + first * image, count, count, input);
      convolve(plan, packed, finish, input, count, count, out + first * result);
    });
  });
}

// The gradient before the activation, from that after it and the activation's result.
inline const bfloat16* undo_activation(Activation activation, const bfloat16* gradient, const bfloat16* result,
                                       int64_t count) {
  if (activation == Activation::none) return gradient;
  auto* undone = scratch<Activation, bfloat16>(count);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = first_lanes(count - i);
    const __m256i given = load(mask, gradient + i), value = load(mask, result + i);
    if (activation == Activation::tanh) {
      const __m512 r = widened(value), factor = _mm512_fnmadd_ps(r, r, _mm512_set1_ps(1.0f));
      store(undone + i, mask, (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(widened(given), factor)));
    } else {
      store(undone + i, mask, _mm256_maskz_mov_epi16(_mm256_cmpgt_epi16_mask(value, _mm256_setzero_si256()), given));
    }
  }
  return undone;
}

// Images that the gradients are computed for at once: enough of them for long sums over positions, an even number.
inline int64_t gradient_group(const Plan& plan, const Plan& back, int threads) {
  const Convolution& conv = plan.conv;
  int64_t images = std::min(plan.at_once(), back.at_once());
  while (images * conv.out_height() * conv.out_width() < 16 * kBlock) images *= 2;
  return round_up(std::min(images, (conv.images + threads - 1) / threads), 2);
}

// What every part of a batch adds up for itself, so that results repeat: which images it has depends on the number of
// threads alone.
struct Sums {
  float* weight;  // [tap][output][channel]
  std::vector<double> bias;
};

// Sums of the channels of a group, of which whole lines are added at a time.
inline void add_channels(const Plan& plan, const bfloat16* group, int64_t slots, std::vector<double>& sums) {
  const int64_t positions = plan.height * plan.width * slots;
  for (int64_t channel = 0; channel < plan.depth; channel += kBlock) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int64_t p = 0; p < positions; ++p) {
      const __m512i line = _mm512_load_si512(group + p * plan.depth + channel);
      even = _mm512_add_ps(even, (__m512)_mm512_slli_epi32(line, 16));
      odd = _mm512_add_ps(odd, (__m512)_mm512_and_si512(line, _mm512_set1_epi32(int(0xffff0000))));
    }
    alignas(64) float found[2][16];
    _mm512_store_ps(found[0], even);
    _mm512_store_ps(found[1], odd);
    for (int64_t i = 0; i < std::min(kBlock, plan.conv.in - channel); ++i) sums[channel + i] += found[i % 2][i / 2];
  }
}

inline void add_up(const Plan& plan, const std::vector<Sums>& sums, float* weight_gradient, float* bias_gradient,
                   const Share& share) {
  const Convolution& conv = plan.conv;
  const int64_t rows = plan.unfolded ? conv.in * conv.taps() : conv.in;
  for (int64_t o = share.first(conv.out), end = share.last(conv.out); o < end; ++o) {
    float* total = scratch<Sums, float>(plan.depth);
    for (int64_t tap = 0; tap < plan.taps; ++tap) {
      const int64_t at = (tap * plan.outputs + o) * plan.depth;
      std::copy(sums[0].weight + at, sums[0].weight + at + rows, total);
      for (size_t part = 1; part < sums.size(); ++part)
#pragma omp simd
        for (int64_t i = 0; i < rows; ++i) total[i] += sums[part].weight[at + i];
      float* to = weight_gradient + o * rows * plan.taps + tap;
      if (plan.taps == 1)
        std::copy(total, total + rows, to);
      else
        for (int64_t i = 0; i < rows; ++i) to[i * plan.taps] = total[i];
    }
    if (!bias_gradient) continue;
    double bias = 0;
    for (const Sums& each : sums) bias += each.bias[o];
    bias_gradient[o] = float(bias);
  }
}

// data_gradient may be null where nobody asks for it: in front of the first layer.
inline void convolution_backward(const Convolution& conv, const bfloat16* data, const float* weight,
                                 const bfloat16* result, const bfloat16* gradient, bfloat16* data_gradient,
                                 float* weight_gradient, float* bias_gradient) {
  const Plan plan(conv), back(data_gradient ? conv.transposed() : conv.output(), false);
  const Finish finish(back);
  const int64_t image = conv.in * conv.height * conv.width, plane = conv.out_height() * conv.out_width();
  const Lines packed = data_gradient ? pack(back, weight, true) : Lines();
  const int threads = threads_for(2 * plan.nanoseconds());
  const int64_t most = gradient_group(plan, back, threads), groups = (conv.images + most - 1) / most;
  const int64_t parts = std::min<int64_t>(groups, threads > 1 ? 4 * threads : 1);
  const int64_t size = plan.taps * plan.outputs * plan.depth;
  std::vector<Sums> sums;
  float* memory = reinterpret_cast<float*>(scratch<Sums[1], Line>((parts * size + 15) / 16));
  for (int64_t part = 0; part < parts; ++part) sums.push_back({memory + part * size, std::vector<double>(conv.out)});
  Queue queue(parts);
  parallel(threads, [&](const Share& share) {
    const Tiles tiles;
    queue.each([&](int64_t part) {
      const int64_t begin = groups * part / parts;
      for (int64_t group = begin; group < groups * (part + 1) / parts; ++group) {
        const int64_t first = group * most, count = std::min(most, conv.images - first), slots = round_up(count, 2);
        const int64_t at = first * conv.out * plane, values = count * conv.out * plane;
        const bfloat16* z = undo_activation(conv.activation, gradient + at, result + at, values);
        bfloat16* gradients = clean_group<Sums>(back, count, slots);
        enter(back, z, count, slots, gradients);
        if (data_gradient) convolve(back, packed, finish, gradients, slots, count, data_gradient + first * image);
        bfloat16* input = clean_group<Plan>(plan, count, slots);
        enter(plan, data + first * image, count, slots, input);
        WeightGradient products(plan, back, slots);
        products.turn(gradients);
        if (bias_gradient) add_channels(back, gradients, slots, sums[part].bias);
        products.pair(input);
        products.add_to(sums[part].weight, group == begin);
      }
    });
    barrier();
    add_up(plan, sums, weight_gradient, bias_gradient, share);
  });
}

}  // namespace zoo
