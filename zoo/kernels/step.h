// What follows a network in a step of training: the loss, and the update of SGD.
// MXNet needs a dozen operators for them, whose calls take longer than a small network's work.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "call.h"

namespace zoo {

constexpr int64_t kWorthThreads = 1 << 18;  // values: below that, waking a thread takes longer than the work

// The labels of a batch: those at `index` of a data set, of which `smoothing` is spread over all classes.
struct Truth {
  const uint8_t* labels;
  int64_t count;  // of the data set
  const int32_t* index;
  float smoothing;
};

// Softmax and cross-entropy: metrics are the sum of the loss, and how many of the largest logits are right; `gradient`,
// if wanted, is that of the loss times `scale`.
template <class T>
void cross_entropy(const T* logits, int64_t images, int64_t classes, const Truth& truth, float scale, T* gradient,
                   float* metrics) {
  std::vector<float> exponentials(classes);
  const float smoothing = truth.smoothing, spread = smoothing / float(classes);
  double loss = 0;
  int64_t hits = 0;
  for (int64_t n = 0; n < images; ++n) {
    const T* row = logits + n * classes;
    const int64_t label = truth.labels[std::min(truth.count - 1, std::max<int64_t>(0, truth.index[n]))];
    int64_t best = 0;
    for (int64_t c = 1; c < classes; ++c)
      if (widen(row[c]) > widen(row[best])) best = c;
    float sum = 0;
    for (int64_t c = 0; c < classes; ++c) sum += exponentials[c] = std::exp(widen(row[c]) - widen(row[best]));
    float likely = 0;  // the logits, each as likely as it should be
    for (int64_t c = 0; c < classes; ++c) likely += (spread + (c == label ? 1 - smoothing : 0)) * widen(row[c]);
    if (label < classes) loss += std::log(sum) + widen(row[best]) - likely;
    hits += best == label;
    for (int64_t c = 0; gradient && c < classes; ++c)
      narrow((exponentials[c] / sum - spread - (c == label ? 1 - smoothing : 0)) * scale, gradient + n * classes + c);
  }
  metrics[0] = float(loss);
  metrics[1] = float(hits);
}

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
    const Truth truth{call.input<uint8_t>(1), call.size(1), call.input<int32_t>(2),
                      call.attributes.number("smoothing", 0)};
    const bool forward = call.forward;
    float metrics[2];
    cross_entropy(call.input<T>(0), call.extent(0), call.extent(1), truth,
                  forward ? 0.0f : call.output_gradient<float>()[0], forward ? nullptr : call.input_gradient<T>(0),
                  metrics);
    if (!forward) return;
    call.output<float>(0)[0] = metrics[0];
    std::copy_n(metrics, 2, call.output<float>(1));
  }
};

// SGD with weight decay, and momentum if there is one, Nesterov's if so set, as MXNet's sgd_update, sgd_mom_update and
// nag_mom_update have it; but the last one, in place, takes the decay in its momentum from the weight after the step.
struct Sgd {
  float rate, decay, scale, momentum;  // the scale is that of gradients
  bool nesterov;

  // `velocity` is null without momentum.
  void update(int64_t size, const float* gradient, float* weight, float* velocity) const {
    const float by_gradient = rate * scale, kept = 1 - rate * decay;
    const int threads = size > kWorthThreads ? most_threads() : 1;
    if (!velocity) {
      parallel(threads, [&](const Share& share) {
        const int64_t end = share.last(size);
#pragma omp simd
        for (int64_t k = share.first(size); k < end; ++k) weight[k] = kept * weight[k] - by_gradient * gradient[k];
      });
      return;
    }
    parallel(threads, [&](const Share& share) {
      const int64_t end = share.last(size);
#pragma omp simd
      for (int64_t k = share.first(size); k < end; ++k) {
        const float step = by_gradient * gradient[k] + (1 - kept) * weight[k];
        velocity[k] = momentum * velocity[k] - step;
        weight[k] += nesterov ? momentum * velocity[k] - step : velocity[k];
      }
    });
  }
};

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
    const Sgd sgd = settings(call);
    for (int i = 0; i < count; ++i)
      sgd.update(call.size(i), call.input<float>(count + i), call.input<float>(i),
                 kinds(call.attributes) == 2 ? nullptr : call.input<float>(2 * count + i));
    call.output<float>(0)[0] = 0;
  }

  // From the last input: learning rate, weight decay, scale, momentum.
  static Sgd settings(const Call& call) {
    const float* given = call.input<float>(call.inputs - 1);
    return {given[0], given[1], given[2], given[3], call.attributes.is_set("nesterov")};
  }
};

}  // namespace zoo
