/* Stands in for libcudart: memory, and copies. */
#include "runtime.h"

#include <sys/mman.h>

/* Where the bytes at `pointer` really are. */
static void* content(const void* pointer) {
  return (char*)pointer + (is_on_a_device(pointer) ? MAX_DEVICES * ARENA : 0);
}

/* -- memory ------------------------------------------------------------------------------------------------------ */

EXPORT int cudaMalloc(void** pointer, size_t size) {
  set_up();
  if (!device_count) return failed(NO_DEVICE);
  Device* device = &devices[current];
  size_t rounded = (size + 4095) / 4096 * 4096;
  pthread_mutex_lock(&lock);
  int fits = device->used + rounded <= stand_in_memory() && device->next + rounded <= arenas + (current + 1) * ARENA;
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
  Device* device = &devices[device_of(pointer)];
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
  set_up();
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
  /* MXNet's threads for copies need not be on the device that they copy to or from. */
  count_on(to ? device_of(target) : from ? device_of(source) : current, call);
  memmove(content(target), content(source), size);
  return SUCCESS;
}

EXPORT int cudaMemcpy(void* target, const void* source, size_t size, int kind) {
  return copy(target, source, size, kind);
}

EXPORT int cudaMemcpyAsync(void* target, const void* source, size_t size, int kind, void* stream) {
  return copy(target, source, size, kind);
}

EXPORT int cudaMemcpyPeerAsync(void* target, int target_device, const void* source, int source_device, size_t size,
                               void* stream) {
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
  count_on(device_of(target), "memset");
  memset(content(target), value, size);
  return SUCCESS;
}
