/* Stands in for libcudart: devices, and the count of calls on each. */
#include "runtime.h"

#include <sys/mman.h>

Device devices[MAX_DEVICES];
int device_count;
uintptr_t arenas;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
_Thread_local int current;
_Thread_local int last_error;

static void map_memory(void) {
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

void set_up(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, map_memory);
}

EXPORT int stand_in_is_here(const void* pointer) {
  uintptr_t first = arenas + current * ARENA;
  return (uintptr_t)pointer >= first && (uintptr_t)pointer < first + ARENA;
}

/* -- devices ----------------------------------------------------------------------------------------------------- */

EXPORT int cudaGetDeviceCount(int* count) {
  set_up();
  *count = device_count;
  return stand_in_driver() < 11000 ? failed(OLD_DRIVER) : device_count ? SUCCESS : failed(NO_DEVICE);
}

EXPORT int cudaSetDevice(int device) {
  set_up();
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
  set_up();
  if (device < 0 || device >= device_count) return failed(INVALID_DEVICE);
  *properties = (Properties){
      .name = "Stand-in GPU",
      .memory = stand_in_memory(),
      .shared_memory = 48 << 10,
      .registers = 65536,
      .warp_size = 32,
      .pitch = 1u << 31,
      .max_threads = 1024,
      .max_block = {1024, 1024, 64},
      .max_grid = {0x7fffffff, 65535, 65535},
      .clock_rate = 1500000,
      .constant_memory = 64 << 10,
      .major = devices[device].capability.major,
      .minor = devices[device].capability.minor,
      .texture_alignment = 512,
      .texture_pitch_alignment = 32,
      .overlap = 1,
      .multiprocessors = MULTIPROCESSORS,
  };
  return SUCCESS;
}

EXPORT int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  set_up();
  if (device < 0 || device >= device_count) return failed(INVALID_DEVICE);
  switch (attribute) { /* cudaDeviceAttr */
    case 1:
    case 2:
    case 3: *value = 1024; break; /* threads of a block */
    case 4: *value = 64; break;
    case 5: *value = 0x7fffffff; break; /* blocks of a grid */
    case 6:
    case 7: *value = 65535; break;
    case 8:
    case 81:
    case 97: *value = 48 << 10; break; /* shared memory */
    case 10: *value = 32; break;       /* threads of a warp */
    case 16: *value = MULTIPROCESSORS; break;
    case 39: *value = 1536; break; /* threads of a multiprocessor */
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

/* -- counting ---------------------------------------------------------------------------------------------------- */

enum { MAX_CALLS = 1 << 14 };

static struct {
  char* name;
  long counts[MAX_DEVICES];
} calls[MAX_CALLS]; /* a hash table */

EXPORT void stand_in_count(const char* call) { count_on(current, call); }

void count_on(int device, const char* call) {
  uint32_t hash = 2166136261u;
  for (const char* c = call; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  pthread_mutex_lock(&lock);
  for (uint32_t tried = 0; tried < MAX_CALLS; tried++) {
    uint32_t at = (hash + tried) % MAX_CALLS;
    if (!calls[at].name) calls[at].name = strdup(call);
    if (strcmp(calls[at].name, call) == 0) {
      calls[at].counts[device]++;
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
