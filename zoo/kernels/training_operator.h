// A program for training as MXNet sees it: an operator whose inputs are the images and the network's parameters, and
// whose second output is the number of the tape that its backward pass reads.

#pragma once

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "program_operator.h"

extern "C" {
void* zoo_training_new(const char* text);
void zoo_training_free(void* training);
// The tape, which the backward pass frees.
void* zoo_training_forward(void* training, const float* in, float* const* parameters, int64_t images, unsigned low,
                           unsigned high, float* out, int threads);
void zoo_training_backward(void* training, void* tape, const float* in, float* const* parameters, const float* gradient,
                           float* in_gradient, float* const* gradients);
void zoo_training_drop(void* training, void* tape);
}

namespace zoo {

// The programs that were used last, by their text, and the tapes of batches that have not passed backward.
class Trainings {
 public:
  static Trainings& all() {
    static Trainings kept;
    return kept;
  }

  std::shared_ptr<void> of(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(made_.begin(), made_.end(), [&](const Made& each) { return each.text == text; });
    if (found == made_.end()) {
      made_.push_front({text, {zoo_training_new(text.c_str()), zoo_training_free}});
      if (made_.size() > kMostPrograms) made_.pop_back();
    } else {
      made_.splice(made_.begin(), made_, found);
    }
    return made_.front().training;
  }

  int32_t keep(std::shared_ptr<void> training, void* tape) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (tapes_.size() >= kMostTapes) {  // whoever only looks forward, while recording, never comes back for them
      const Kept& oldest = tapes_.begin()->second;
      zoo_training_drop(oldest.training.get(), oldest.tape);
      tapes_.erase(tapes_.begin());
    }
    tapes_.emplace(++last_, Kept{std::move(training), tape});
    return last_;
  }

  // The tape of that number, and its program.
  std::pair<std::shared_ptr<void>, void*> take(int32_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = tapes_.find(number);
    if (found == tapes_.end())
      throw std::runtime_error("too many batches passed forward before this one passed backward");
    const Kept kept = found->second;
    tapes_.erase(found);
    return {kept.training, kept.tape};
  }

 private:
  static constexpr size_t kMostPrograms = 4, kMostTapes = 64;

  struct Made {
    std::string text;
    std::shared_ptr<void> training;
  };
  struct Kept {
    std::shared_ptr<void> training;
    void* tape;
  };

  std::mutex mutex_;
  std::list<Made> made_;
  std::map<int32_t, Kept> tapes_;
  int32_t last_ = 0;
};

struct TrainingOperator {
  static constexpr const char* name = "zoo_training";  // data, parameters
  static constexpr bool is_differentiable = true;
  static constexpr int outputs = 2;  // and the number of the tape
  static int inputs(const Attributes& given) { return ProgramOperator::inputs(given); }
  static std::vector<int> mutated(const Attributes& given) {  // by number: "3 4"
    std::istringstream numbers(given.text("mutated"));
    std::vector<int> indices;
    for (int number; numbers >> number;) indices.push_back(number);
    return indices;
  }

  static bool infer(const Attributes& given, const std::vector<unsigned>& data, Shapes& in, Shapes& out) {
    out[1] = {1};
    return ProgramOperator::infer(given, data, in, out);
  }
  static void types(const Attributes&, int* in, int* out) { in[0] = out[0] = kFloat32, out[1] = kInt32; }

  template <class T>
  static void run(const Call& call) {
    if constexpr (std::is_same_v<T, float>) {
      std::vector<float*> parameters, gradients;
      for (int i = 1; i < call.inputs; ++i) parameters.push_back(call.input<float>(i));
      if (call.forward) {
        const std::shared_ptr<void> training = Trainings::all().of(call.attributes.text("program"));
        const Key key = draw(call.random_states);
        void* const tape = zoo_training_forward(training.get(), call.input<float>(0), parameters.data(), call.extent(0),
                                                key.low, key.high, call.output<float>(0), most_threads());
        call.output<int32_t>(1)[0] = Trainings::all().keep(training, tape);
        return;
      }
      const auto [training, tape] = Trainings::all().take(call.output<int32_t>(1)[0]);
      for (int i = 1; i < call.inputs; ++i) gradients.push_back(call.input_gradient<float>(i));
      zoo_training_backward(training.get(), tape, call.input<float>(0), parameters.data(),
                            call.output_gradient<float>(), call.input_gradient<float>(0), gradients.data());
    }
  }
};

}  // namespace zoo
