/* Stands in for libcudart: devices, memory, copies, streams, events and launches. */
#include "stand_in.h"

#include <pthread.h>
#include <sys/mman.h>

enum { /* cudaError_t */
  SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, OLD_DRIVER = 35, NO_DEVICE = 100, INVALID_DEVICE = 101, NO_KERNEL_IMAGE = 209,
};

typedef struct Block {
  uintptr_t address;
  size_t size;
  struct Block* next;
} Block;

typedef struct {
  Capability capability;
  uintptr_t next; /* address of the next allocation: none is used twice */
  size_t used;
  Block* blocks;
} Device;

static Device devices[MAX_DEVICES];
static int device_count;
static uintptr_t arenas; /* addresses of the devices' memory, which cannot be touched; its content lies behind them */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int current;
static _Thread_local int last_error;

static int failed(int error) {
  if (error) last_error = error;
  return error;
}

static void set_up(void) {
  Capability found[MAX_DEVICES];
  device_count = stand_in_devices(found);
  size_t size = ARENA * MAX_DEVICES;
  void* hidden = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (hidden == MAP_FAILED || mprotect((char*)hidden + size, size, PROT_READ | PROT_WRITE)) {
    perror("stand-in for libcudart");
    abort();
  }
  arenas = (uintptr_t)hidden;
  for (int i = 0; i < device_count; i++) devices[i] = (Device){found[i], arenas + i * ARENA, 0, NULL};
}

static int is_on_a_device(const void* pointer) {
  return (uintptr_t)pointer >= arenas && (uintptr_t)pointer < arenas + MAX_DEVICES * ARENA;
}

/* Where the bytes at `pointer` really are. */
static void* content(const void* pointer) {
  return (char*)pointer + (is_on_a_device(pointer) ? MAX_DEVICES * ARENA : 0);
}

EXPORT int stand_in_is_here(const void* pointer) {
  uintptr_t first = arenas + current * ARENA;
  return (uintptr_t)pointer >= first && (uintptr_t)pointer < first + ARENA;
}

/* -- counting ---------------------------------------------------------------------------------------------------- */

enum { MAX_CALLS = 1 << 14 };

static struct {
  char* name;
  long counts[MAX_DEVICES];
} calls[MAX_CALLS]; /* a hash table */

EXPORT void stand_in_count(const char* call) {
  uint32_t hash = 2166136261u;
  for (const char* c = call; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  pthread_mutex_lock(&lock);
  for (uint32_t tried = 0; tried < MAX_CALLS; tried++) {
    uint32_t at = (hash + tried) % MAX_CALLS;
    if (!calls[at].name) calls[at].name = strdup(call);
    if (strcmp(calls[at].name, call) == 0) {
      calls[at].counts[current]++;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
}

/* Add all calls since the last time to the file. */
EXPORT __attribute__((destructor)) void stand_in_flush(void) {
  const char* path = getenv("STAND_IN_LOG");
  FILE* file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  pthread_mutex_lock(&lock);
  for (int at = 0; at < MAX_CALLS; at++)
    for (int device = 0; calls[at].name && device < MAX_DEVICES; device++)
      if (calls[at].counts[device]) {
        fprintf(file, "%d\t%s\t%ld\n", device, calls[at].name, calls[at].counts[device]);
        calls[at].counts[device] = 0;
      }
  pthread_mutex_unlock(&lock);
  fclose(file);
}

/* -- devices ----------------------------------------------------------------------------------------------------- */

EXPORT int cudaGetDeviceCount(int* count) {
  pthread_once(&once, set_up);
  *count = device_count;
  return stand_in_driver() < 11000 ? failed(OLD_DRIVER) : device_count ? SUCCESS : failed(NO_DEVICE);
}

EXPORT int cudaSetDevice(int device) {
  pthread_once(&once, set_up);
  if (device < 0 || device >= device_count) return failed(INVALID_DEVICE);
  current = device;
  return SUCCESS;
}

EXPORT int cudaGetDevice(int* device) {
  *device = current;
  return SUCCESS;
}

typedef struct { /* cudaDeviceProp of CUDA 11; MXNet reads nothing behind these */
  char name[256], uuid[16], luid[8];
  unsigned luid_mask;
  size_t memory, shared_memory;
  int registers, warp_size;
  size_t pitch;
  int max_threads, max_block[3], max_grid[3], clock_rate;
  size_t constant_memory;
  int major, minor;
  size_t texture_alignment, texture_pitch_alignment;
  int overlap, multiprocessors;
} Properties;

EXPORT int cudaGetDeviceProperties(Properties* properties, int device) {
  pthread_once(&once, set_up);
  if (device < 0 || device >= device_count) return failed(INVALID_DEVICE);
  *properties = (Properties){
      .name = "Stand-in GPU", .memory = stand_in_memory(), .shared_memory = 48 << 10, .registers = 65536,
      .warp_size = 32, .pitch = 1u << 31, .max_threads = 1024, .max_block = {1024, 1024, 64},
      .max_grid = {0x7fffffff, 65535, 65535}, .clock_rate = 1500000, .constant_memory = 64 << 10,
      .major = devices[device].capability.major, .minor = devices[device].capability.minor,
      .texture_alignment = 512, .texture_pitch_alignment = 32, .overlap = 1,
      .multiprocessors = MULTIPROCESSORS,
  };
  return SUCCESS;
}

EXPORT int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  pthread_once(&once, set_up);
  if (device < 0 || device >= device_count) return failed(INVALID_DEVICE);
  switch (attribute) { /* cudaDeviceAttr */
    case 1: case 2: case 3: *value = 1024; break;  /* threads of a block */
    case 4: *value = 64; break;
    case 5: *value = 0x7fffffff; break;            /* blocks of a grid */
    case 6: case 7: *value = 65535; break;
    case 8: case 81: case 97: *value = 48 << 10; break; /* shared memory */
    case 10: *value = 32; break;                   /* threads of a warp */
    case 16: *value = MULTIPROCESSORS; break;
    case 39: *value = 1536; break;                 /* threads of a multiprocessor */
    case 75: *value = devices[device].capability.major; break;
    case 76: *value = devices[device].capability.minor; break;
    default: *value = 0;
  }
  return SUCCESS;
}

EXPORT int cudaDriverGetVersion(int* version) {
  *version = stand_in_driver();
  return SUCCESS;
}

EXPORT int cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = device != peer;
  return SUCCESS;
}

EXPORT int cudaDeviceGetP2PAttribute(int* value, int attribute, int source, int target) {
  *value = source != target;
  return SUCCESS;
}

EXPORT int cudaGetLastError(void) {
  int error = last_error;
  last_error = SUCCESS;
  return error;
}

EXPORT int cudaPeekAtLastError(void) { return last_error; }

EXPORT const char* cudaGetErrorString(int error) {
  switch (error) {
    case SUCCESS: return "no error";
    case INVALID_VALUE: return "invalid argument";
    case OUT_OF_MEMORY: return "out of memory";
    case NO_DEVICE: return "no CUDA-capable device is detected";
    case INVALID_DEVICE: return "invalid device ordinal";
    case NO_KERNEL_IMAGE: return "no kernel image is available for execution on the device";
    default: return "unknown error";
  }
}

EXPORT const char* cudaGetErrorName(int error) { return cudaGetErrorString(error); }

/* -- memory ------------------------------------------------------------------------------------------------------ */

EXPORT int cudaMalloc(void** pointer, size_t size) {
  pthread_once(&once, set_up);
  if (!device_count) return failed(NO_DEVICE);
  Device* device = &devices[current];
  size_t rounded = (size + 4095) / 4096 * 4096;
  pthread_mutex_lock(&lock);
  int fits = device->used + rounded <= stand_in_memory() &&
             device->next + rounded <= arenas + (current + 1) * ARENA;
  if (fits) {
    Block* block = malloc(sizeof(Block));
    *block = (Block){device->next, rounded, device->blocks};
    device->blocks = block;
    device->used += rounded;
    device->next += rounded + 4096; /* what reads behind its end meets nobody else's */
    *pointer = (void*)block->address;
  }
  pthread_mutex_unlock(&lock);
  stand_in_count("cudaMalloc");
  return fits ? SUCCESS : failed(OUT_OF_MEMORY);
}

EXPORT int cudaMallocPitch(void** pointer, size_t* pitch, size_t width, size_t height) {
  *pitch = (width + 511) / 512 * 512;
  return cudaMalloc(pointer, *pitch * height);
}

EXPORT int cudaFree(void* pointer) {
  if (!pointer) return SUCCESS;
  if (!is_on_a_device(pointer)) return failed(INVALID_VALUE);
  Device* device = &devices[((uintptr_t)pointer - arenas) / ARENA];
  int error = INVALID_VALUE; /* freed already, or no allocation's first byte */
  pthread_mutex_lock(&lock);
  for (Block** each = &device->blocks; *each; each = &(*each)->next)
    if ((*each)->address == (uintptr_t)pointer) {
      Block* block = *each;
      madvise(content(pointer), block->size, MADV_DONTNEED);
      device->used -= block->size;
      *each = block->next;
      free(block);
      error = SUCCESS;
      break;
    }
  pthread_mutex_unlock(&lock);
  return failed(error);
}

EXPORT int cudaMemGetInfo(size_t* available, size_t* total) {
  pthread_once(&once, set_up);
  if (!device_count) return failed(NO_DEVICE);
  *total = stand_in_memory();
  *available = *total - devices[current].used;
  return SUCCESS;
}

EXPORT int cudaHostAlloc(void** pointer, size_t size, unsigned flags) {
  *pointer = calloc(1, size);
  return *pointer ? SUCCESS : failed(OUT_OF_MEMORY);
}

EXPORT int cudaFreeHost(void* pointer) {
  free(pointer);
  return SUCCESS;
}

/* -- copies ------------------------------------------------------------------------------------------------------ */

static const char* const DIRECTIONS[] = {"HtoH", "HtoD", "DtoH", "DtoD", "default"};

static int copy(void* target, const void* source, size_t size, int kind) {
  int to = is_on_a_device(target), from = is_on_a_device(source);
  int found = from ? (to ? 3 : 2) : (to ? 1 : 0);
  if (kind < 0 || kind > 4 || (kind != 4 && kind != found)) return failed(INVALID_VALUE);
  char call[64];
  snprintf(call, sizeof call, "memcpy %s", DIRECTIONS[found]);
  stand_in_count(call);
  memmove(content(target), content(source), size);
  return SUCCESS;
}

EXPORT int cudaMemcpy(void* target, const void* source, size_t size, int kind) {
  return copy(target, source, size, kind);
}

EXPORT int cudaMemcpyAsync(void* target, const void* source, size_t size, int kind, void* stream) {
  return copy(target, source, size, kind);
}

EXPORT int cudaMemcpyPeerAsync(
    void* target, int target_device, const void* source, int source_device, size_t size, void* stream) {
  return copy(target, source, size, 3);
}

EXPORT int cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source, size_t source_pitch, size_t width,
                             size_t height, int kind, void* stream) {
  for (size_t row = 0; row < height; row++) {
    int error = copy((char*)target + row * target_pitch, (const char*)source + row * source_pitch, width, kind);
    if (error) return error;
  }
  return SUCCESS;
}

EXPORT int cudaMemsetAsync(void* target, int value, size_t size, void* stream) {
  if (!is_on_a_device(target)) return failed(INVALID_VALUE);
  stand_in_count("memset");
  memset(content(target), value, size);
  return SUCCESS;
}

/* -- streams, events and graphs: all work is done at once --------------------------------------------------------- */

static int handle(void** out) {
  *out = malloc(16);
  return SUCCESS;
}

EXPORT int cudaStreamCreate(void** stream) { return handle(stream); }
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
  struct { unsigned x, y, z; } grid, block;
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
                            __typeof__(configuration.grid) block, void** arguments, size_t shared_memory,
                            void* stream) {
  if (!grid.x || !grid.y || !grid.z || !block.x || block.x * block.y * block.z > 1024) return failed(9);
  if (!has_code()) return failed(NO_KERNEL_IMAGE);
  const char* name = kernel(function)->name;
  char call[1024];
  snprintf(call, sizeof call, "launch %s", name ? name : "?");
  stand_in_count(call);
  return name ? SUCCESS : failed(98); /* cudaErrorInvalidDeviceFunction */
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

EXPORT int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, const void* function, int threads, size_t shared_memory, unsigned flags) {
  *blocks = 1;
  return has_code() ? SUCCESS : failed(NO_KERNEL_IMAGE);
}
