// Programs for callers outside of this library, and for the operator that runs them.

#include "program.h"

extern "C" {

// A program written in the words of program.h, for parameters as MXNet has them, which need not stay.
void* zoo_program_new(const char* text, const float* const* parameters, int count) {
  return new zoo::program::Program(text, {parameters, parameters + count});
}

// `images` as MXNet has them, on at most so many threads.
void zoo_program_run(void* program, const float* in, int64_t images, float* out, int threads) {
  static_cast<zoo::program::Program*>(program)->run(in, images, out, threads);
}

void zoo_program_free(void* program) { delete static_cast<zoo::program::Program*>(program); }

}  // extern "C"
