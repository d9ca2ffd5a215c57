// The operators of networks as MXNet sees them: their inputs and outputs, shapes, types, and what they compute.

#pragma once

#include <cmath>
#include <random>
#include <type_traits>
#include <vector>

#include "call.h"
#include "chain.h"
#ifdef __AMX_BF16__
#include "convolution.h"
#endif

namespace zoo {

inline Key draw(void* random_states) {  // seeded by mx.random.seed, like MXNet's own Dropout
  auto& generator = *static_cast<std::mt19937*>(random_states);
  const uint32_t low = uint32_t(generator());
  return {low, uint32_t(generator())};
}

inline Shape shape_of(const Call& call) { return {call.extent(0), call.extent(1), call.extent(2), call.extent(3)}; }

struct ChainOperator {
  static constexpr const char* name = "zoo_chain";  // data, gamma, beta, moving mean, moving variance
  static constexpr int outputs = 3;                 // and what backward needs: statistics, key
  static int inputs(const Attributes&) { return 5; }
  static std::vector<int> mutated(const Attributes&) { return {3, 4}; }

  static bool infer(const Attributes& attributes, const std::vector<unsigned>& data, Shapes& in, Shapes& out) {
    if (data.size() < 2) return false;
    for (int i = 1; i < 5; ++i) in[i] = {data[1]};
    out[0] = data;
    if (attributes.is_set("pool")) out[0][2] /= 2, out[0][3] /= 2;
    out[1] = {2, data[1]};
    out[2] = {2};
    return true;
  }
  static void types(const Attributes&, int* in, int* out) { out[0] = in[0], out[1] = kFloat32, out[2] = kInt32; }

  template <class T>
  static void run(const Call& call) {
    const Attributes& given = call.attributes;
    const Chain chain{given.activation(),           given.number("dropout", 0), given.number("epsilon", 1e-3f),
                      given.number("momentum", 0.9f), given.is_set("fix_gamma"),  given.is_set("relu"),
                      given.is_set("pool")};
    const NormWeights weights{call.input<float>(1), call.input<float>(2), call.input<float>(3), call.input<float>(4)};
    Key* key = call.output<Key>(2);
    if (call.forward) {
      *key = draw(call.random_states);
      chain_forward(chain, shape_of(call), *key, call.input<T>(0), weights, call.output<T>(0), call.output<float>(1));
    } else {
      chain_backward(chain, shape_of(call), *key, call.input<T>(0), weights, call.output<float>(1),
                     call.output_gradient<T>(), call.input_gradient<T>(0), call.input_gradient<float>(1),
                     call.input_gradient<float>(2));
    }
  }
};

struct DropoutOperator {
  static constexpr const char* name = "zoo_dropout";  // data
  static constexpr int outputs = 2;                   // and the key
  static int inputs(const Attributes&) { return 1; }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  static bool infer(const Attributes&, const std::vector<unsigned>& data, Shapes&, Shapes& out) {
    out[0] = data;
    out[1] = {2};
    return !data.empty();
  }
  static void types(const Attributes&, int* in, int* out) { out[0] = in[0], out[1] = kInt32; }

  template <class T>
  static void run(const Call& call) {
    Key* key = call.output<Key>(1);
    if (call.forward) *key = draw(call.random_states);
    dropout(call.attributes.number("dropout", 0.5f), call.size(), *key, call.forward ? call.input<T>(0) : call.output_gradient<T>(),
            call.forward ? call.output<T>(0) : call.input_gradient<T>(0));
  }
};

#ifdef __AMX_BF16__
struct ConvolutionOperator {
  // data, weight, bias if there is one; for inference also BatchNorm's gamma, beta, running mean and variance
  static constexpr const char* name = "zoo_convolution";
  static constexpr int outputs = 1;
  static int unnormed(const Attributes& given) { return given.is_set("no_bias") ? 2 : 3; }
  static int inputs(const Attributes& given) { return unnormed(given) + (given.is_set("norm") ? 4 : 0); }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  // "flat": a fully connected layer, which is a convolution of images of one pixel with many channels.
  static Convolution convolution(const Attributes& given, const Shape& data) {
    const auto filters = int64_t(given.number("num_filter", 0));
    if (given.is_set("flat"))
      return {data.images, data.channels * data.plane(), 1, 1, filters, 1, 1, 0, 0, given.activation()};
    Convolution conv{data.images, data.channels, data.height, data.width, filters, 0, 0, 0, 0, given.activation()};
    given.pair("kernel", &conv.kernel_height, &conv.kernel_width);
    given.pair("pad", &conv.pad_height, &conv.pad_width);
    return conv;
  }
  static bool infer(const Attributes& given, const std::vector<unsigned>& data, Shapes& in, Shapes& out) {
    if (data.size() < 2) return false;
    auto extent = [&](size_t axis) { return int64_t(axis < data.size() ? data[axis] : 1); };
    const Convolution conv = convolution(given, {extent(0), extent(1), extent(2), extent(3)});
    const auto filters = unsigned(conv.out), halved = given.is_set("pool") ? 2u : 1u;
    for (size_t i = 2; i < in.size(); ++i) in[i] = {filters};
    in[1] = {filters, unsigned(conv.in)};
    out[0] = {data[0], filters};
    if (given.is_set("flat")) return true;
    in[1].insert(in[1].end(), {unsigned(conv.kernel_height), unsigned(conv.kernel_width)});
    out[0].insert(out[0].end(), {unsigned(conv.out_height()) / halved, unsigned(conv.out_width()) / halved});
    return true;
  }
  static void types(const Attributes&, int* in, int* out) { out[0] = in[0]; }

  static Finish finish(const Call& call, const Convolution& conv) {
    const Attributes& given = call.attributes;
    Finish finish;
    const int next = unnormed(given);
    if (next == 3) finish.bias = call.input<float>(2);
    finish.activation = conv.activation;
    finish.relu = given.is_set("relu");
    finish.pool = given.is_set("pool");
    const float epsilon = given.number("epsilon", 1e-3f);
    const bool is_normed = given.is_set("norm"), fix_gamma = given.is_set("fix_gamma");
    for (int64_t o = 0; is_normed && o < conv.out; ++o) {
      const float inverse = 1 / std::sqrt(call.input<float>(next + 3)[o] + epsilon);
      finish.scale.push_back((fix_gamma ? 1.0f : call.input<float>(next)[o]) * inverse);
      finish.shift.push_back(call.input<float>(next + 1)[o] - call.input<float>(next + 2)[o] * finish.scale.back());
    }
    return finish;
  }

  template <class T>
  static void run(const Call& call) {
    if constexpr (std::is_same_v<T, bfloat16>) {
      const Convolution conv = convolution(call.attributes, shape_of(call));
      if (call.forward)
        convolution_forward(conv, call.input<T>(0), call.input<float>(1),
                            call.attributes.is_set("constant") ? &call.versions[1] : nullptr, finish(call, conv),
                            call.output<T>(0));
      else
        convolution_backward(conv, call.input<T>(0), call.input<float>(1), call.output<T>(0), call.output_gradient<T>(),
                             call.attributes.is_set("first") ? nullptr : call.input_gradient<T>(0),
                             call.input_gradient<float>(1), call.inputs == 3 ? call.input_gradient<float>(2) : nullptr);
    }
  }
};
#endif

}  // namespace zoo
