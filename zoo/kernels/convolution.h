// Convolution in bfloat16 on AMX, forward and backward, with its activation, and for inference with what
// follows it up to pooling. Weights come in as float32, and their gradients leave as float32.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "plan.h"
#include "pooling.h"

namespace zoo {

// What follows the products of a convolution: bias, activation, then for inference what BatchNorm with its
// running statistics, ReLU and pooling do.
struct Finish {
  const float* bias = nullptr;
  Activation activation = Activation::none;
  std::vector<float> scale, shift;  // empty without BatchNorm
  bool relu = false, pool = false;

  void apply(float* row, int64_t size, int64_t output) const {
    const float offset = bias ? bias[output] : 0.0f;
    if (activation == Activation::tanh) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) row[i] = tanh_of(row[i] + offset);
    } else if (activation == Activation::relu) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) row[i] = relu_of(row[i] + offset);
    } else if (bias) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) row[i] += offset;
    }
    if (!scale.empty()) {
      const float factor = scale[output], added = shift[output];
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) row[i] = row[i] * factor + added;
    }
    if (relu) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) row[i] = relu_of(row[i]);
    }
  }
};

// A group of images on its way through a convolution.
class Pass {
 public:
  explicit Pass(const Plan& plan)
      : plan_(plan),
        pooling_(plan.conv.out_height(), plan.conv.out_width(), plan.conv.columns()),
        rows_(scratch<Pass, bfloat16>(plan.rows * plan.stride)),
        pairs_(scratch<Pass, uint32_t>(plan.rows / 2 * plan.stride)),
        result_(scratch<Pass, float>(plan.outputs * plan.span + kSlack)),
        line_(scratch<Pass[1], bfloat16>(plan.span)) {
    std::fill(rows_, rows_ + plan.rows * plan.stride, bfloat16{0});
  }

  void lay_out(const bfloat16* images, int64_t count) {
    plan_.lay_out(images, count, rows_);
    for (int64_t pair = 0; pair < plan_.rows / 2; ++pair) {  // interleaved: what the right operand looks like
      const bfloat16 *even = &rows_[2 * pair * plan_.stride], *odd = even + plan_.stride;
      uint32_t* to = &pairs_[pair * plan_.stride];
#pragma omp simd
      for (int64_t i = 0; i < plan_.stride; ++i) to[i] = even[i].bits | uint32_t(odd[i].bits) << 16;
    }
  }

  // Outputs from `first` to before `last`, both multiples of a block.
  void run(const std::vector<bfloat16>& weights, int64_t first, int64_t last, int64_t count, const Finish& finish,
           bfloat16* out) {
    const Convolution& conv = plan_.conv;
    const int64_t used = round_up(plan_.reach(count), kBlock), height = conv.out_height(), width = conv.out_width();
    multiply(&weights[first * int64_t(plan_.steps.size()) * kBlock], plan_.steps, plan_.shifts, pairs_,
             plan_.stride, &result_[first * plan_.span], plan_.span, last - first, used);
    for (int64_t o = first; o < std::min(last, conv.out); ++o) {
      float* row = &result_[o * plan_.span];
      finish.apply(row, used, o);
      if (finish.pool) {
        for (int64_t n = 0; n < count; ++n) {
          pooling_.forward(row + n * conv.grid(), 1.0f, 0.0f, -INFINITY);
          const float* pooled = pooling_.result().data();
          bfloat16* to = out + (n * conv.out + o) * pooling_.size();
#pragma omp simd
          for (int64_t i = 0; i < pooling_.size(); ++i) narrow(pooled[i], to + i);
        }
        continue;
      }
#pragma omp simd
      for (int64_t i = 0; i < used; ++i) narrow(row[i], &line_[i]);
      for (int64_t n = 0; n < count; ++n)
        for (int64_t y = 0; y < height; ++y)
          copy(&line_[n * conv.grid() + y * conv.columns()], width, out + ((n * conv.out + o) * height + y) * width);
    }
  }

 private:
  const Plan& plan_;
  Pooling pooling_;
  bfloat16* const rows_;
  uint32_t* const pairs_;
  float* const result_;
  bfloat16* const line_;
};

// Packed weights of a network that is not being trained. An array is known by where it lies, by its version,
// and by a sample of its values, since memory is used again.
class PackedWeights {
 public:
  using Pointer = std::shared_ptr<const std::vector<bfloat16>>;

  template <class Pack>
  static Pointer get(const float* weight, int64_t size, size_t version, int64_t layout, Pack pack) {
    static PackedWeights cache;
    uint64_t print = 14695981039346656037u ^ version;  // FNV-1a
    for (int64_t i = 0; i < size; i += std::max<int64_t>(1, size / 256)) {
      uint32_t bits;
      std::memcpy(&bits, weight + i, 4);
      print = (print ^ bits) * 1099511628211u;
    }
    const std::lock_guard<std::mutex> lock(cache.mutex_);
    if (cache.entries_.size() > 1000) cache.entries_.clear();
    auto& entry = cache.entries_[{weight, size, layout}];
    if (!entry.second || entry.first != print) entry = {print, std::make_shared<const std::vector<bfloat16>>(pack())};
    return entry.second;
  }

 private:
  std::mutex mutex_;
  std::map<std::tuple<const float*, int64_t, int64_t>, std::pair<uint64_t, Pointer>> entries_;
};

// version: of weights that stay the same from call to call, or null
inline void convolution_forward(const Convolution& conv, const bfloat16* data, const float* weight,
                                const size_t* version, const Finish& finish, bfloat16* out) {
  const Plan plan(conv);
  const int64_t taps = conv.taps();
  const int64_t out_plane = finish.pool ? (conv.out_height() / 2) * (conv.out_width() / 2) : conv.out_height() * conv.out_width();
  auto pack = [&] {
    return plan.pack([&](int64_t o, int64_t i, int64_t tap) { return weight[(o * conv.in + i) * taps + tap]; });
  };
  const auto packed = version ? PackedWeights::get(weight, conv.out * conv.in * taps, *version, taps, pack)
                              : std::make_shared<const std::vector<bfloat16>>(pack());
  // A batch with fewer groups than there are threads is divided by output channels too.
  const int64_t blocks = plan.outputs / kBlock, threads = threads_for(plan.nanoseconds());
  const int64_t parts = std::min(blocks, (threads + plan.groups - 1) / plan.groups);
#pragma omp parallel num_threads(threads)
  {
    const Tiles tiles;
    Pass pass(plan);
#pragma omp for schedule(dynamic)
    for (int64_t unit = 0; unit < plan.groups * parts; ++unit) {
      const int64_t group = unit / parts, part = unit % parts, n = group * plan.together;
      const int64_t first = blocks * part / parts * kBlock, last = blocks * (part + 1) / parts * kBlock;
      pass.lay_out(data + n * conv.in * conv.height * conv.width, plan.images_in(group));
      pass.run(*packed, first, last, plan.images_in(group), finish, out + n * conv.out * out_plane);
    }
  }
}

// The gradient before the activation, from that after it and the activation's result.
inline void undo_activation(Activation activation, const bfloat16* gradient, const bfloat16* result, int64_t count,
                            bfloat16* to) {
  if (activation == Activation::tanh) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) narrow(widen(gradient[i]) * (1 - widen(result[i]) * widen(result[i])), to + i);
  } else if (activation == Activation::relu) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) to[i].bits = int16_t(result[i].bits) > 0 ? gradient[i].bits : uint16_t(0);
  } else {
    std::memcpy(to, gradient, count * sizeof(bfloat16));
  }
}

// Gradients of a group on the forward's grid, where it has them and zero elsewhere; and, as pairs of
// positions for AMX, [position / 2][output].
class Gradients {
 public:
  explicit Gradients(const Plan& plan)
      : plan_(plan),
        grid_(scratch<Gradients, bfloat16>(plan.outputs * plan.span)),
        pairs_(scratch<Gradients, uint32_t>(plan.span / 2 * plan.outputs)) {
    std::fill(grid_, grid_ + plan.outputs * plan.span, bfloat16{0});
  }

  void lay_out(const bfloat16* gradients, int64_t count, double* bias) {
    const Convolution& conv = plan_.conv;
    const int64_t height = conv.out_height(), width = conv.out_width();
    for (int64_t o = 0; o < conv.out; ++o) {
      bfloat16* row = &grid_[o * plan_.span];
      if (count < plan_.together) std::fill(row, row + plan_.span, bfloat16{0});
      for (int64_t n = 0; n < count; ++n)
        for (int64_t y = 0; y < height; ++y)
          copy(gradients + ((n * conv.out + o) * height + y) * width, width, row + n * conv.grid() + y * conv.columns());
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < plan_.span; ++i) sum += widen(row[i]);
      bias[o] += sum;
    }
    const auto* from = reinterpret_cast<const uint32_t*>(grid_);
    for (int64_t o = 0; o < plan_.outputs; o += 16)
      for (int64_t k = 0; k < plan_.span / 2; k += 16)
        transpose(from + o * plan_.span / 2 + k, plan_.span / 2, &pairs_[k * plan_.outputs + o], plan_.outputs);
  }
  const uint32_t* pairs() const { return pairs_; }

 private:
  const Plan& plan_;
  bfloat16* const grid_;
  uint32_t* const pairs_;
};

// data_gradient may be null where nobody asks for it: in front of the first layer.
inline void convolution_backward(const Convolution& conv, const bfloat16* data, const float* weight,
                                 const bfloat16* result, const bfloat16* gradient, bfloat16* data_gradient,
                                 float* weight_gradient, float* bias_gradient) {
  const Plan plan(conv), back(conv.transposed(), plan.together);
  const int64_t taps = conv.taps(), plane = conv.out_height() * conv.out_width();
  std::vector<bfloat16> packed;
  if (data_gradient)
    packed = back.pack([&](int64_t i, int64_t o, int64_t tap) { return weight[(o * conv.in + i) * taps + taps - 1 - tap]; });
  std::vector<std::vector<float>> sums(omp_get_max_threads());  // of each thread
  std::vector<std::vector<double>> bias_sums(omp_get_max_threads());
#pragma omp parallel num_threads(threads_for(2 * plan.nanoseconds()))
  {
    const Tiles tiles;
    Pass pass(back);
    Gradients gradients(plan);
    auto& sum = sums[omp_get_thread_num()];
    auto& bias_sum = bias_sums[omp_get_thread_num()];
    std::vector<bfloat16> x(plan.rows * plan.stride, bfloat16{0}), z(plan.together * conv.out * plane);
    sum.assign(plan.shifts * plan.rows * plan.outputs, 0.0f);
    bias_sum.assign(conv.out, 0.0);
#pragma omp for schedule(static)
    for (int64_t group = 0; group < plan.groups; ++group) {
      const int64_t n = group * plan.together, count = plan.images_in(group);
      undo_activation(conv.activation, gradient + n * conv.out * plane, result + n * conv.out * plane,
                      count * conv.out * plane, z.data());
      if (data_gradient) {
        pass.lay_out(z.data(), count);
        pass.run(packed, 0, back.outputs, count, Finish(), data_gradient + n * conv.in * conv.height * conv.width);
      }
      gradients.lay_out(z.data(), count, bias_sum.data());
      plan.lay_out(data + n * conv.in * conv.height * conv.width, count, x.data());
      settle(x.data());
      for (int64_t begin = 0; begin < plan.span; begin += kDeep)  // both operands in the first-level cache
        for (int64_t i = 0; i < plan.rows; i += kBlock)
          for (int64_t o = 0; o < plan.outputs; o += kBlock)
            for (int64_t tap = 0; tap < plan.shifts; ++tap) {
              float* block = &sum[(tap * plan.rows + i) * plan.outputs + o];
              const bfloat16* rows = &x[i * plan.stride + plan.shift(tap)];
              load_block(block, plan.outputs);
              for (int64_t k = begin; k < std::min(plan.span, begin + kDeep); k += 32)
                multiply_block(rows + k, rows + 16 * plan.stride + k, plan.stride,
                               &gradients.pairs()[k / 2 * plan.outputs + o], plan.outputs);
              store_block(block, plan.outputs);
            }
    }
#pragma omp for schedule(static)
    for (int64_t block = 0; block < conv.out; block += 16) {
      const int64_t end = std::min(conv.out, block + 16);
      for (int64_t o = block; bias_gradient && o < end; ++o) {
        double total = 0;
        for (const auto& each : bias_sums) total += each.empty() ? 0.0 : each[o];
        bias_gradient[o] = float(total);
      }
      for (int64_t i = 0; i < conv.in; ++i)
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t row = plan.unfolded ? i * taps + tap : tap * plan.rows + i;
          for (int64_t o = block; o < end; ++o) {
            float total = 0;
            for (const auto& each : sums) total += each.empty() ? 0.0f : each[row * plan.outputs + o];
            weight_gradient[(o * conv.in + i) * taps + tap] = total;
          }
        }
    }
  }
}

}  // namespace zoo
