// The operators in the C interface of MXNet 1.9.1's extension libraries
// (include/mxnet/lib_api.h, version 11), written out so that bfloat16 arrays pass, which its C++ wrapper refuses.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "operators.h"
#ifdef __AMX_BF16__
#include "convolution_operators.h"
#endif
#include "peak.h"
#include "pixels.h"
#include "program_operator.h"
#include "step.h"
#include "training_operator.h"
#include "whole_step.h"

namespace {

using namespace zoo;

// An operator as the interface below calls it.
struct Operator {
  const char* name;
  bool is_differentiable;
  int outputs;
  int (*inputs)(const Attributes&);
  std::vector<int> (*mutated)(const Attributes&);
  bool (*infer)(const Attributes&, const std::vector<unsigned>&, Shapes&, Shapes&);
  void (*types)(const Attributes&, int*, int*);
  void (*run_float)(const Call&);
  void (*run_bfloat16)(const Call&);
};

template <class T>
Operator describe() {
  return {T::name,
          T::is_differentiable,
          T::outputs,
          T::inputs,
          T::mutated,
          T::infer,
          T::types,
          T::template run<float>,
          T::template run<bfloat16>};
}

Operator operators[] = {
    describe<ChainOperator>(),        describe<DropoutOperator>(),   describe<PixelsOperator>(),
    describe<CrossEntropyOperator>(), describe<SgdOperator>(),       describe<ProgramOperator>(),
    describe<TrainingOperator>(),     describe<WholeStepOperator>(),
#ifdef __AMX_BF16__
    describe<ConvolutionOperator>(),  describe<NetworkOperator>(),
#endif
};
constexpr int kCount = sizeof(operators) / sizeof(operators[0]);

// The interface hands functions around without looking at them: here they stand for an operator, and the
// odd one for its backward pass.
void* function_of(int index, bool forward) { return reinterpret_cast<char*>(&operators[index]) + (forward ? 0 : 1); }
bool is_forward(void* function) { return reinterpret_cast<uintptr_t>(function) % 2 == 0; }
const Operator& operator_of(void* function) {
  return *reinterpret_cast<Operator*>(static_cast<char*>(function) - (is_forward(function) ? 0 : 1));
}

// Shapes as the interface wants them: arrays that it frees.
void give(const Shapes& shapes, unsigned*** extents, int** dimensions) {
  *dimensions = static_cast<int*>(std::malloc(sizeof(int) * shapes.size()));
  *extents = static_cast<unsigned**>(std::malloc(sizeof(unsigned*) * shapes.size()));
  for (size_t i = 0; i < shapes.size(); ++i) {
    (*dimensions)[i] = int(shapes[i].size());
    (*extents)[i] = static_cast<unsigned*>(std::malloc(sizeof(unsigned) * (shapes[i].size() + 1)));
    std::memcpy((*extents)[i], shapes[i].data(), sizeof(unsigned) * shapes[i].size());
  }
}

using Malloc = void* (*)(void*, int);
using SparseMalloc = void (*)(void*, int, int, int, void**, int64_t**, int64_t**);

}  // namespace

extern "C" {

int _opVersion() { return 11; }
int initialize(int version) { return version == 10901; }
int _msgSize() { return 0; }
int _msgGet(int, const char**) { return 0; }
// Not MXNet's, but for whoever chooses the operators of a graph.
int zoo_has_convolution() {
#ifdef __AMX_BF16__
  return 1;
#else
  return 0;
#endif
}

int _opRegSize() { return kCount; }

void _opRegGet(int index, const char** name, int* is_subgraph, const char*** forward_contexts, void*** forward,
               int* forward_count, const char*** backward_contexts, void*** backward, int* backward_count,
               const char***, void***, int* create_count, void** parse, void** type, void** storage, void** shape,
               void** mutate) {
  static const char* cpu[] = {"cpu"};
  static void *forwards[kCount], *backwards[kCount];
  *name = operators[index].name;
  *is_subgraph = 0;
  forwards[index] = function_of(index, true);
  backwards[index] = function_of(index, false);
  *forward_contexts = *backward_contexts = cpu;
  *forward = &forwards[index];
  *backward = &backwards[index];
  *forward_count = *backward_count = 1;
  *create_count = 0;
  *parse = *type = *shape = *mutate = function_of(index, true);
  *storage = nullptr;
}

void _opCallFree(void* pointer) { std::free(pointer); }

int _opCallParseAttrs(void* function, const char* const* keys, const char* const* values, int count, int* inputs,
                      int* outputs) {
  *inputs = operator_of(function).inputs(Attributes(keys, values, count));
  *outputs = operator_of(function).outputs;
  return 1;
}

int _opCallInferShape(void* function, const char* const* keys, const char* const* values, int count, unsigned** in,
                      int* in_dimensions, int inputs, unsigned*** new_in, int** new_in_dimensions, unsigned*** out,
                      int** out_dimensions, int outputs) {
  Shapes in_shapes(inputs), out_shapes(outputs);
  for (int i = 0; i < inputs; ++i) in_shapes[i].assign(in[i], in[i] + std::max(0, in_dimensions[i]));
  const std::vector<unsigned> data = in_shapes[0];
  if (!operator_of(function).infer(Attributes(keys, values, count), data, in_shapes, out_shapes)) return 0;
  give(in_shapes, new_in, new_in_dimensions);
  give(out_shapes, out, out_dimensions);
  return 1;
}

int _opCallInferType(void* function, const char* const* keys, const char* const* values, int count, int* in, int inputs,
                     int* out, int) {
  std::fill(in + 1, in + inputs, kFloat32);
  operator_of(function).types(Attributes(keys, values, count), in, out);
  return 1;
}

int _opCallInferSType(void*, const char* const*, const char* const*, int, int*, int, int*, int) { return 0; }

int _opCallMutateInputs(void* function, const char* const* keys, const char* const* values, int count, int** indices,
                        int* size) {
  static thread_local std::vector<int> mutated;  // the interface reads it before it calls again
  mutated = operator_of(function).mutated(Attributes(keys, values, count));
  *indices = mutated.data();
  *size = int(mutated.size());
  return 1;
}

int _opCallFCompute(void* function, const char* const* keys, const char* const* values, int count,
                    const int64_t** in_shapes, int* in_dimensions, void** in, int* in_types, size_t* versions,
                    const char**, int*, int, const int64_t** out_shapes, int*, void** out, int* out_types, size_t*,
                    const char**, int*, int, Malloc, void*, Malloc, void*, void*, SparseMalloc, void*, int*, int*,
                    void**, void**, void**, void**, int64_t*, int64_t*, int64_t*, int64_t*, void* random_states,
                    void*) {
  const Operator& op = operator_of(function);
  const bool forward = is_forward(function);
  if (!forward && !op.is_differentiable) return 0;  // MXNet wants every operator to have a backward pass
  const int first = forward ? 0 : op.outputs;       // of the inputs
  const Attributes attributes(keys, values, count);
  const Call call{attributes, forward,  op.inputs(attributes), op.outputs, in_shapes + first, in_dimensions + first, in,
                  out,        versions, random_states,         out_shapes};
  const int type = in_types[first] == kUint8 ? out_types[0] : in_types[first];
  if (type != kBfloat16 && type != kFloat32) return 0;
  try {
    type == kBfloat16 ? op.run_bfloat16(call) : op.run_float(call);
  } catch (const std::exception& error) {  // out of memory, say: MXNet reports that the operator failed
    std::fprintf(stderr, "%s: %s\n", op.name, error.what());
    return 0;
  }
  return 1;
}

// The interface asks for these too; there are no stateful operators, partitioners or passes here.
#define ABSENT(name) \
  int name() { return 0; }
ABSENT(_opCallCreateOpState)
ABSENT(_opCallDestroyOpState)
ABSENT(_opCallFStatefulCompute)
ABSENT(_partRegSize)
ABSENT(_partRegGetCount)
ABSENT(_partRegGet)
ABSENT(_partCallSupportedOps)
ABSENT(_partCallCreateSelector)
ABSENT(_partCallSelect)
ABSENT(_partCallSelectInput)
ABSENT(_partCallSelectOutput)
ABSENT(_partCallFilter)
ABSENT(_partCallReset)
ABSENT(_partCallReviewSubgraph)
ABSENT(_passRegSize)
ABSENT(_passRegGet)
ABSENT(_passCallGraphPass)

}  // extern "C"
