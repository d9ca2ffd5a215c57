// What follows a network in a step of training: the loss, and the update of SGD.
// MXNet needs a dozen operators for them, whose calls take longer than a small network's work.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "call.h"

namespace zoo {

constexpr int64_t kWorthThreads = 1 << 18;  // values: below that, waking a thread takes longer than the work

// Softmax and cross-entropy against the labels at `index`, of which `smoothing` is spread over all classes, and how
// many of the largest logits are right.
struct CrossEntropyOperator {
  static constexpr const char* name = "zoo_cross_entropy";  // logits, labels as uint8, index as int32
  static constexpr bool is_differentiable = true;
  static constexpr int outputs = 2;  // sum of the loss; the same once more, and hits
  static int inputs(const Attributes&) { return 3; }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  static bool infer(const Attributes&, const std::vector<unsigned>& logits, Shapes&, Shapes& out) {
    out[0] = {1};
    out[1] = {2};
    return logits.size() == 2;
  }
  static void types(const Attributes&, int* in, int* out) {
    in[1] = kUint8, in[2] = kInt32;
    out[0] = out[1] = kFloat32;
  }

  template <class T>
  static void run(const Call& call) {
    const int64_t count = call.extent(0), classes = call.extent(1), all = call.size(1);
    const T* logits = call.input<T>(0);
    const auto* labels = call.input<uint8_t>(1);
    const auto* index = call.input<int32_t>(2);
    std::vector<float> exponentials(classes);
    const float smoothing = call.attributes.number("smoothing", 0), spread = smoothing / float(classes);
    double loss = 0;
    int64_t hits = 0;
    for (int64_t n = 0; n < count; ++n) {
      const T* row = logits + n * classes;
      const int64_t label = labels[std::min(all - 1, std::max<int64_t>(0, index[n]))];
      int64_t best = 0;
      for (int64_t c = 1; c < classes; ++c)
        if (widen(row[c]) > widen(row[best])) best = c;
      float sum = 0;
      for (int64_t c = 0; c < classes; ++c) sum += exponentials[c] = std::exp(widen(row[c]) - widen(row[best]));
      if (call.forward) {
        float likely = 0;  // the logits, each as likely as it should be
        for (int64_t c = 0; c < classes; ++c) likely += (spread + (c == label ? 1 - smoothing : 0)) * widen(row[c]);
        if (label < classes) loss += std::log(sum) + widen(row[best]) - likely;
        hits += best == label;
      } else {
        const float gradient = call.output_gradient<float>()[0];
        T* to = call.input_gradient<T>(0) + n * classes;
        for (int64_t c = 0; c < classes; ++c)
          narrow((exponentials[c] / sum - spread - (c == label ? 1 - smoothing : 0)) * gradient, to + c);
      }
    }
    if (!call.forward) return;
    call.output<float>(0)[0] = call.output<float>(1)[0] = float(loss);
    call.output<float>(1)[1] = float(hits);
  }
};

// SGD with weight decay, and momentum if there is one, Nesterov's if so set, as MXNet's sgd_update, sgd_mom_update and
// nag_mom_update have it; but the last one, in place, takes the decay in its momentum from the weight after the step.
struct SgdOperator {
  static constexpr const char* name = "zoo_sgd";  // parameters, as many gradients [and velocities], settings
  static constexpr bool is_differentiable = false;
  static constexpr int outputs = 1;  // nothing: an operator has to have one
  static int kinds(const Attributes& given) { return given.is_set("momentum") ? 3 : 2; }
  static int parameters(const Attributes& given) { return int(given.number("parameters", 0)); }
  static int inputs(const Attributes& given) { return kinds(given) * parameters(given) + 1; }
  static std::vector<int> mutated(const Attributes& given) {
    std::vector<int> indices;
    for (int i = 0; i < parameters(given); ++i) indices.push_back(i);
    for (int i = 2 * parameters(given); i < inputs(given) - 1; ++i) indices.push_back(i);
    return indices;
  }

  static bool infer(const Attributes&, const std::vector<unsigned>&, Shapes&, Shapes& out) {
    out[0] = {1};
    return true;
  }
  static void types(const Attributes&, int*, int* out) { out[0] = kFloat32; }

  template <class T>
  static void run(const Call& call) {
    const int count = parameters(call.attributes);
    const float* settings = call.input<float>(call.inputs - 1);  // learning rate, weight decay, scale, momentum
    const float rate = settings[0], scale = rate * settings[2], kept = 1 - rate * settings[1], momentum = settings[3];
    for (int i = 0; i < count; ++i) {
      const int64_t size = call.size(i);
      auto* weight = call.input<float>(i);
      const auto* gradient = call.input<float>(count + i);
      if (kinds(call.attributes) == 2) {
#pragma omp parallel for simd schedule(static) if (parallel : size > kWorthThreads)
        for (int64_t k = 0; k < size; ++k) weight[k] = kept * weight[k] - scale * gradient[k];
        continue;
      }
      auto* velocity = call.input<float>(2 * count + i);
      const bool nesterov = call.attributes.is_set("nesterov");
#pragma omp parallel for simd schedule(static) if (parallel : size > kWorthThreads)
      for (int64_t k = 0; k < size; ++k) {
        const float step = scale * gradient[k] + (1 - kept) * weight[k];
        velocity[k] = momentum * velocity[k] + step;
        weight[k] -= nesterov ? momentum * velocity[k] + step : velocity[k];
      }
    }
    call.output<float>(0)[0] = 0;
  }
};

}  // namespace zoo
