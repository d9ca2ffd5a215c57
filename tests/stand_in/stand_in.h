/* What the stand-ins for the CUDA libraries share. They move bytes and count calls; they compute nothing.
 *
 * STAND_IN_GPUS          compute capabilities of the devices, such as "8.6" or "8.6,9.0"; none: no device
 * STAND_IN_MEMORY_MIB    memory of each device (default: 4096)
 * STAND_IN_DRIVER        the newest CUDA that the driver knows (default: 11.2)
 * STAND_IN_LOG           a file to which a process adds its calls when it ends: device, call, count, separated by tabs
 */
#ifndef STAND_IN_H
#define STAND_IN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { MAX_DEVICES = 16, MULTIPROCESSORS = 28 };

/* Devices lie far apart in the address space, and nothing but a copy can touch what lies there: an operator that runs
 * on the CPU over an array that is on a GPU dies here as it does on a real one. */
static const uintptr_t ARENA = (uintptr_t)64 << 30; /* bytes of addresses for each device */

typedef struct {
  int major, minor;
} Capability;

/* The devices that STAND_IN_GPUS names and CUDA_VISIBLE_DEVICES leaves: their number, and what each can do. */
static inline int stand_in_devices(Capability* found) {
  Capability all[MAX_DEVICES];
  int count = 0;
  const char* text = getenv("STAND_IN_GPUS");
  while (text && *text && count < MAX_DEVICES) {
    if (sscanf(text, "%d.%d", &all[count].major, &all[count].minor) != 2) break;
    count++;
    text = strchr(text, ',');
    if (text) text++;
  }
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  if (!visible) {
    memcpy(found, all, sizeof(Capability) * count);
    return count;
  }
  int shown = 0;
  for (char* end; shown < count; visible = end + 1) {
    long index = strtol(visible, &end, 10);
    if (end == visible || index < 0 || index >= count) break; /* as NVIDIA's: whatever follows is hidden, too */
    found[shown++] = all[index];
    if (*end != ',') break;
  }
  return shown;
}

static inline size_t stand_in_memory(void) {
  const char* text = getenv("STAND_IN_MEMORY_MIB");
  return (size_t)(text ? atoll(text) : 4096) << 20;
}

static inline int stand_in_driver(void) {
  Capability version = {11, 2};
  const char* text = getenv("STAND_IN_DRIVER");
  if (text) sscanf(text, "%d.%d", &version.major, &version.minor);
  return 1000 * version.major + 10 * version.minor;
}

/* Count a call on this thread's current device. In libcudart, to which the other libraries are linked. */
#ifndef LIBRARY_cuda /* the driver has one of its own */
EXPORT
#endif
void stand_in_count(const char* call);
/* Whether `pointer` lies on this thread's current device. */
EXPORT int stand_in_is_here(const void* pointer);

#endif
