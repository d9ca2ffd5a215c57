// A whole step of training as MXNet sees it: one operator from a data set to the loss, which updates the parameters.
// MXNet's engine needs half a millisecond for the five operators and the recording that this replaces.

#pragma once

#include <numeric>
#include <vector>

#include "pixels.h"
#include "step.h"
#include "training_operator.h"

namespace zoo {

struct WholeStepOperator {
  // images, labels, index [, control points, basis], parameters [, velocities of those that are trained], settings
  static constexpr const char* name = "zoo_whole_step";
  static constexpr bool is_differentiable = false;
  static constexpr int outputs = 1;  // the loss, and hits

  static int first(const Attributes& given) { return given.is_set("deform") ? 5 : 3; }  // of the parameters
  static int parameters(const Attributes& given) { return int(given.number("parameters", 0)); }
  // The numbers of those that are trained.
  static std::vector<int> trained(const Attributes& given) {
    std::istringstream numbers(given.text("trained"));
    std::vector<int> found;
    for (int number; numbers >> number;) found.push_back(number);
    return found;
  }
  static int inputs(const Attributes& given) {
    const int velocities = given.is_set("momentum") ? int(trained(given).size()) : 0;
    return first(given) + parameters(given) + velocities + 1;
  }
  static std::vector<int> mutated(const Attributes& given) {
    std::vector<int> indices(inputs(given) - 1 - first(given));
    std::iota(indices.begin(), indices.end(), first(given));
    return indices;
  }

  static bool infer(const Attributes&, const std::vector<unsigned>&, Shapes&, Shapes& out) {
    out[0] = {2};
    return true;
  }
  static void types(const Attributes&, int* in, int* out) {
    in[0] = in[1] = kUint8, in[2] = kInt32;
    out[0] = kFloat32;
  }

  template <class T>
  static void run(const Call& call) {
    if constexpr (std::is_same_v<T, float>) {
      const Attributes& given = call.attributes;
      const int begin = first(given), count = parameters(given);
      const int64_t images = call.size(2), classes = int64_t(given.number("channels", 0));
      const Pictures pictures = PixelsOperator::pictures(call, 3);
      const Truth truth{call.input<uint8_t>(1), call.size(1), pictures.index, given.number("smoothing", 0)};
      const std::vector<int> numbers = trained(given);
      std::vector<float*> weights, gradients(count);
      int64_t size = images * (pictures.height * pictures.width + 2 * classes);
      for (int i = 0; i < count; ++i) weights.push_back(call.input<float>(begin + i));
      for (const int i : numbers) size += call.size(begin + i);
      float* const in = scratch<WholeStepOperator, float>(size);
      float* const logits = in + images * pictures.height * pictures.width;
      float *const logit_gradients = logits + images * classes, *next = logit_gradients + images * classes;
      for (const int i : numbers) gradients[i] = next, next += call.size(begin + i);

      pixels(pictures, images, in);
      const std::shared_ptr<void> made = Trainings::all().of(given.text("program"));
      void* const training = made.get();
      const Key key = draw(call.random_states);
      void* const tape =
          zoo_training_forward(training, in, weights.data(), images, key.low, key.high, logits, most_threads());
      cross_entropy(logits, images, classes, truth, 1.0f, logit_gradients, call.output<float>(0));
      zoo_training_backward(training, tape, in, weights.data(), logit_gradients, nullptr, gradients.data());
      const Sgd sgd = SgdOperator::settings(call);
      for (size_t k = 0; k < numbers.size(); ++k)
        sgd.update(call.size(begin + numbers[k]), gradients[numbers[k]], weights[numbers[k]],
                   given.is_set("momentum") ? call.input<float>(begin + count + int(k)) : nullptr);
    }
  }
};

}  // namespace zoo
