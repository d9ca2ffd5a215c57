// The operators as MXNet sees them: their inputs and outputs, shapes, types, and what they compute.

#pragma once

#include <vector>

#include "call.h"
#include "chain.h"

namespace zoo {

inline Shape shape_of(const Call& call) { return {call.extent(0), call.extent(1), call.extent(2), call.extent(3)}; }

struct ChainOperator {
  static constexpr const char* name = "zoo_chain";  // data, gamma, beta, moving mean, moving variance
  static constexpr bool is_differentiable = true;
  static constexpr int outputs = 3;  // and what backward needs: statistics, key
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
    const Chain chain{given.activation(),
                      given.number("dropout", 0),
                      given.number("epsilon", 1e-3f),
                      given.number("momentum", 0.9f),
                      given.is_set("fix_gamma"),
                      given.is_set("relu"),
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
  static constexpr bool is_differentiable = true;
  static constexpr int outputs = 2;  // and the key
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
    dropout(call.attributes.number("dropout", 0.5f), call.size(), *key,
            call.forward ? call.input<T>(0) : call.output_gradient<T>(),
            call.forward ? call.output<T>(0) : call.input_gradient<T>(0));
  }
};

}  // namespace zoo
