// The operators that need AMX, as MXNet sees them.

#pragma once

#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "convolution.h"
#include "network.h"
#include "operators.h"

namespace zoo {

// "flat": a fully connected layer, which is a convolution whose kernel covers the image. MXNet's images may as well be
// taken for single pixels with many channels.
inline Shape flattened(bool flat, const Shape& data) {
  return flat ? Shape{data.images, data.channels * data.plane(), 1, 1} : data;
}

inline Convolution convolution(const Attributes& given, const std::string& suffix, const Shape& data) {
  const auto filters = int64_t(given.number("num_filter" + suffix, 0));
  Convolution conv{data.images, data.channels, data.height, data.width, filters,
                   data.height, data.width,    0,           0,          given.activation("activation" + suffix)};
  if (!given.is_set("flat" + suffix)) {
    given.pair("kernel" + suffix, &conv.kernel_height, &conv.kernel_width);
    given.pair("pad" + suffix, &conv.pad_height, &conv.pad_width);
  }
  return conv;
}

inline std::vector<unsigned> weight_shape(const Attributes& given, const std::string& suffix, const Convolution& conv) {
  const auto out = unsigned(conv.out), in = unsigned(conv.in);
  if (given.is_set("flat" + suffix)) return {out, in * unsigned(conv.taps())};
  return {out, in, unsigned(conv.kernel_height), unsigned(conv.kernel_width)};
}

inline Shape shape_of(const std::vector<unsigned>& data) {
  auto extent = [&](size_t axis) { return int64_t(axis < data.size() ? data[axis] : 1); };
  return {extent(0), extent(1), extent(2), extent(3)};
}

inline std::vector<unsigned> output_shape(bool flat, const Shape& out) {
  if (flat) return {unsigned(out.images), unsigned(out.channels)};
  return {unsigned(out.images), unsigned(out.channels), unsigned(out.height), unsigned(out.width)};
}

struct ConvolutionOperator {
  static constexpr const char* name = "zoo_convolution";  // data, weight, bias if there is one
  static constexpr bool is_differentiable = true;
  static constexpr int outputs = 1;
  static int inputs(const Attributes& given) { return given.is_set("no_bias") ? 2 : 3; }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  static bool infer(const Attributes& given, const std::vector<unsigned>& data, Shapes& in, Shapes& out) {
    if (data.size() < 2) return false;
    const Convolution conv = convolution(given, "", flattened(given.is_set("flat"), shape_of(data)));
    in[1] = weight_shape(given, "", conv);
    if (in.size() > 2) in[2] = {unsigned(conv.out)};
    out[0] = output_shape(given.is_set("flat"), {conv.images, conv.out, conv.out_height(), conv.out_width()});
    return true;
  }
  static void types(const Attributes&, int* in, int* out) { out[0] = in[0]; }

  template <class T>
  static void run(const Call& call) {
    if constexpr (std::is_same_v<T, bfloat16>) {
      const Attributes& given = call.attributes;
      const Convolution conv = convolution(given, "", flattened(given.is_set("flat"), shape_of(call)));
      const bool has_bias = call.inputs == 3;
      if (call.forward)
        convolution_forward(conv, call.input<T>(0), call.input<float>(1), has_bias ? call.input<float>(2) : nullptr,
                            call.output<T>(0));
      else
        convolution_backward(conv, call.input<T>(0), call.input<float>(1), call.output<T>(0), call.output_gradient<T>(),
                             given.is_set("first") ? nullptr : call.input_gradient<T>(0), call.input_gradient<float>(1),
                             has_bias ? call.input_gradient<float>(2) : nullptr);
    }
  }
};

// Inference only; computes in bfloat16 whatever its data and output are. Attributes of a layer end in its number.
struct NetworkOperator {
  static constexpr const char* name = "zoo_network";  // data; of every layer what `inputs_of` counts
  static constexpr bool is_differentiable = false;
  static constexpr int outputs = 1;
  static int layers(const Attributes& given) { return int(given.number("layers", 0)); }
  // Weight, bias if there is one, and with BatchNorm its gamma, beta, running mean and variance.
  static int inputs_of(const Attributes& given, const std::string& suffix) {
    return 1 + !given.is_set("no_bias" + suffix) + (given.is_set("norm" + suffix) ? 4 : 0);
  }
  static int inputs(const Attributes& given) {
    int count = 1;
    for (int layer = 0; layer < layers(given); ++layer) count += inputs_of(given, suffix(layer));
    return count;
  }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  static bool infer(const Attributes& given, const std::vector<unsigned>& data, Shapes& in, Shapes& out) {
    if (data.size() < 2) return false;
    Shape shape = flattened(given.is_set("flat_0"), shape_of(data));
    size_t next = 1;
    for (int layer = 0; layer < layers(given); ++layer) {
      const Convolution conv = convolution(given, suffix(layer), shape);
      in[next] = weight_shape(given, suffix(layer), conv);
      for (int i = 1; i < inputs_of(given, suffix(layer)); ++i) in[next + i] = {unsigned(conv.out)};
      next += inputs_of(given, suffix(layer));
      shape = after(given, suffix(layer), conv);
    }
    out[0] = output_shape(given.is_set("flat" + suffix(layers(given) - 1)), shape);
    return true;
  }
  static void types(const Attributes&, int* in, int* out) { out[0] = in[0]; }

  template <class T>
  static void run(const Call& call) {
    const Attributes& given = call.attributes;
    std::vector<Layer> layers;
    Shape shape = flattened(given.is_set("flat_0"), shape_of(call));
    int next = 1;
    for (int layer = 0; layer < NetworkOperator::layers(given); ++layer) {
      const Convolution conv = convolution(given, suffix(layer), shape);
      const Plan plan(conv, layer == 0);
      layers.push_back({plan, finish(call, suffix(layer), plan, next + 1),
                        PackedWeights::get(plan, call.input<float>(next), call.versions[next])});
      next += inputs_of(given, suffix(layer));
      shape = after(given, suffix(layer), conv);
    }
    Network<T>(layers, call.input<T>(0), call.output<T>(0)).run();
  }

 private:
  static std::string suffix(int layer) { return "_" + std::to_string(layer); }

  static Shape after(const Attributes& given, const std::string& suffix, const Convolution& conv) {
    const int64_t step = given.is_set("pool" + suffix) ? 2 : 1;
    return {conv.images, conv.out, conv.out_height() / step, conv.out_width() / step};
  }

  static Finish finish(const Call& call, const std::string& suffix, const Plan& plan, int next) {
    const Attributes& given = call.attributes;
    Finish finish(plan, given.is_set("no_bias" + suffix) ? nullptr : call.input<float>(next++));
    finish.relu = given.is_set("relu" + suffix);
    finish.pool = given.is_set("pool" + suffix);
    if (!given.is_set("norm" + suffix)) return finish;
    const float epsilon = given.number("epsilon" + suffix, 1e-3f);
    const bool fix_gamma = given.is_set("fix_gamma" + suffix);
    const float *gamma = call.input<float>(next), *beta = call.input<float>(next + 1);
    const float *mean = call.input<float>(next + 2), *variance = call.input<float>(next + 3);
    for (int64_t o = 0; o < plan.conv.out; ++o) {
      finish.scale[o] = (fix_gamma ? 1.0f : gamma[o]) / std::sqrt(variance[o] + epsilon);
      finish.shift[o] = beta[o] - mean[o] * finish.scale[o];
    }
    return finish;
  }
};

}  // namespace zoo
