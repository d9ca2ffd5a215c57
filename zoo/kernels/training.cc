// Programs for training, for the operator that runs them.

#include "training.h"

using zoo::program::Arrays;
using zoo::program::Tape;
using zoo::program::TrainingProgram;

namespace {

// The parameters of a program, or their gradients.
std::vector<float*> listed(const TrainingProgram* training, float* const* arrays) {
  return {arrays, arrays + training->parameters()};
}

}  // namespace

extern "C" {

void* zoo_training_new(const char* text) { return new TrainingProgram(text); }

void zoo_training_free(void* made) { delete static_cast<TrainingProgram*>(made); }

void* zoo_training_forward(void* made, const float* in, float* const* parameters, int64_t images, unsigned low,
                           unsigned high, float* out, int threads) {
  auto* const training = static_cast<TrainingProgram*>(made);
  Arrays arrays{in, listed(training, parameters)};
  arrays.out = out;
  return training->forward(arrays, images, {low, high}, threads).release();
}

void zoo_training_backward(void* made, void* tape, const float* in, float* const* parameters, const float* gradient,
                           float* in_gradient, float* const* gradients) {
  auto* const training = static_cast<TrainingProgram*>(made);
  Arrays arrays{in, listed(training, parameters)};
  arrays.out_gradient = gradient;
  arrays.in_gradient = in_gradient;
  arrays.parameter_gradients = listed(training, gradients);
  training->backward(std::unique_ptr<Tape>(static_cast<Tape*>(tape)), arrays);
}

void zoo_training_drop(void* made, void* tape) {
  static_cast<TrainingProgram*>(made)->drop(std::unique_ptr<Tape>(static_cast<Tape*>(tape)));
}

}  // extern "C"
