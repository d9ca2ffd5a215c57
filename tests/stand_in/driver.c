/* Stands in for libcuda, NVIDIA's driver: devices, and the kernels that MXNet compiles while it runs. */
#define _GNU_SOURCE
#include "stand_in.h"

#include <dlfcn.h>

/* The driver is loaded alone, too, by those who ask for devices; then nobody counts. */
void stand_in_count(const char* call) {
  void (*count)(const char*) = (void (*)(const char*))dlsym(RTLD_DEFAULT, "stand_in_count");
  if (count) count(call);
}

enum { SUCCESS = 0, NO_DEVICE = 100, INVALID_DEVICE = 101 }; /* CUresult */

EXPORT int cuInit(unsigned flags) {
  Capability found[MAX_DEVICES];
  return stand_in_devices(found) ? SUCCESS : NO_DEVICE;
}

EXPORT int cuDriverGetVersion(int* version) {
  *version = stand_in_driver();
  return SUCCESS;
}

EXPORT int cuDeviceGetCount(int* count) {
  Capability found[MAX_DEVICES];
  *count = stand_in_devices(found);
  return SUCCESS;
}

EXPORT int cuDeviceGet(int* device, int index) {
  *device = index;
  return SUCCESS;
}

EXPORT int cuDeviceGetName(char* name, int size, int device) {
  snprintf(name, size, "Stand-in GPU");
  return SUCCESS;
}

EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  Capability found[MAX_DEVICES];
  if (device < 0 || device >= stand_in_devices(found)) return INVALID_DEVICE;
  *value = attribute == 75 ? found[device].major : attribute == 76 ? found[device].minor : 0;
  return SUCCESS;
}

EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  *bytes = stand_in_memory();
  return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = malloc(16);
  return SUCCESS;
}

EXPORT int cuGetErrorString(int error, const char** text) {
  *text = error == SUCCESS ? "no error" : error == NO_DEVICE ? "no CUDA-capable device is detected" : "an error";
  return SUCCESS;
}

EXPORT int cuModuleLoadData(void** module, const void* image) {
  *module = malloc(16);
  return SUCCESS;
}

EXPORT int cuModuleLoadDataEx(void** module, const void* image, unsigned count, void* options, void** values) {
  return cuModuleLoadData(module, image);
}

EXPORT int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = strdup(name);
  return SUCCESS;
}

EXPORT int cuLaunchKernel(const char* function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y,
                          unsigned block_z, unsigned shared_memory, void* stream, void** arguments, void** extra) {
  char call[256];
  snprintf(call, sizeof call, "launch compiled %s", function);
  stand_in_count(call);
  return SUCCESS;
}
