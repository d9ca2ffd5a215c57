/* Stands in for libcudart: streams, events, graphs and kernels. */
#include "runtime.h"

/* -- streams, events and graphs: all work is done at once --------------------------------------------------------- */

static int handle(void** out) {
  *out = malloc(16);
  return SUCCESS;
}

EXPORT int cudaStreamCreate(int** stream) {
  *stream = malloc(sizeof **stream);
  **stream = current; /* a kernel can be launched there from this device only */
  return SUCCESS;
}

EXPORT int cudaStreamSynchronize(void* stream) { return SUCCESS; }
EXPORT int cudaEventCreateWithFlags(void** event, unsigned flags) { return handle(event); }
EXPORT int cudaStreamEndCapture(void* stream, void** graph) { return handle(graph); }
EXPORT int cudaGraphInstantiate(void** executable, void* graph, void** node, char* log, size_t size) {
  return handle(executable);
}
EXPORT int cudaGraphGetNodes(void* graph, void** nodes, size_t* count) {
  *count = 0;
  return SUCCESS;
}
EXPORT int cudaGraphExecUpdate(void* executable, void* graph, void** node, int* result) {
  *result = 0;
  return SUCCESS;
}

/* -- kernels ------------------------------------------------------------------------------------------------------ */

typedef struct {
  const void* function;
  const char* name;
} Kernel;

static Kernel* kernels; /* a hash table, filled by one thread before main() */
static size_t kernel_count, kernel_room;

static Kernel* kernel(const void* function) {
  size_t at = ((uintptr_t)function >> 4) * 2654435761u % kernel_room;
  while (kernels[at].function && kernels[at].function != function) at = (at + 1) % kernel_room;
  return &kernels[at];
}

EXPORT void** __cudaRegisterFatBinary(void* binary) {
  static void* registered;
  return &registered;
}

EXPORT void __cudaRegisterFunction(void** binary, const char* function, char* device_function, const char* name,
                                   int threads, void* thread, void* block, void* block_size, void* grid, int* warp) {
  if (2 * ++kernel_count > kernel_room) {
    Kernel* old = kernels;
    size_t old_room = kernel_room;
    kernel_room = old_room ? 2 * old_room : 1 << 16;
    kernels = calloc(kernel_room, sizeof(Kernel));
    for (size_t i = 0; i < old_room; i++)
      if (old[i].function) *kernel(old[i].function) = old[i];
    free(old);
  }
  *kernel(function) = (Kernel){function, name};
}

/* The machine code in MXNet's CUDA wheels is for 5.0, 6.0, 7.0, 8.0 and 8.6. */
static int has_code(void) {
  Capability here = devices[current].capability;
  return here.major >= 5 && here.major <= 8;
}

typedef struct { /* <<<grid, block, shared memory, stream>>> */
  struct {
    unsigned x, y, z;
  } grid, block;
  size_t shared_memory;
  void* stream;
} Configuration;

static _Thread_local Configuration configuration;

EXPORT unsigned __cudaPushCallConfiguration(__typeof__(configuration.grid) grid, __typeof__(configuration.grid) block,
                                            size_t shared_memory, void* stream) {
  memcpy(&configuration.grid, &grid, sizeof grid);
  memcpy(&configuration.block, &block, sizeof block);
  configuration.shared_memory = shared_memory;
  configuration.stream = stream;
  return 0;
}

EXPORT int __cudaPopCallConfiguration(void* grid, void* block, size_t* shared_memory, void** stream) {
  memcpy(grid, &configuration.grid, sizeof configuration.grid);
  memcpy(block, &configuration.block, sizeof configuration.block);
  *shared_memory = configuration.shared_memory;
  *stream = configuration.stream;
  return 0;
}

EXPORT int cudaLaunchKernel(const void* function, __typeof__(configuration.grid) grid,
                            __typeof__(configuration.grid) block, void** arguments, size_t shared_memory, int* stream) {
  unsigned threads = block.x * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || !threads || threads > 1024) return failed(INVALID_CONFIGURATION);
  if (stream && *stream != current) return failed(INVALID_HANDLE);
  if (!has_code()) return failed(NO_KERNEL_IMAGE);
  const char* name = kernel(function)->name;
  char call[1024];
  snprintf(call, sizeof call, "launch %s", name ? name : "?");
  stand_in_count(call);
  return name ? SUCCESS : failed(INVALID_FUNCTION);
}

typedef struct { /* cudaFuncAttributes of CUDA 11 */
  size_t shared_memory, constant_memory, local_memory;
  int max_threads, registers, ptx_version, binary_version, cache_mode, max_dynamic_shared_memory, carveout;
} FunctionAttributes;

EXPORT int cudaFuncGetAttributes(FunctionAttributes* attributes, const void* function) {
  if (!has_code()) return failed(NO_KERNEL_IMAGE);
  Capability here = devices[current].capability;
  int version = 10 * here.major + here.minor;
  *attributes = (FunctionAttributes){0, 0, 0, 1024, 32, version, version, 0, 48 << 10, -1};
  return SUCCESS;
}

EXPORT int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function, int threads,
                                                                  size_t shared_memory, unsigned flags) {
  *blocks = 1;
  return has_code() ? SUCCESS : failed(NO_KERNEL_IMAGE);
}
