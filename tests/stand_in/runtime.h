/* What the parts of the stand-in for libcudart share. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "stand_in.h"

#include <pthread.h>

enum { /* cudaError_t */
       SUCCESS = 0,
       INVALID_VALUE = 1,
       OUT_OF_MEMORY = 2,
       INVALID_CONFIGURATION = 9,
       OLD_DRIVER = 35,
       INVALID_FUNCTION = 98,
       NO_DEVICE = 100,
       INVALID_DEVICE = 101,
       NO_KERNEL_IMAGE = 209,
       INVALID_HANDLE = 400,
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

extern Device devices[MAX_DEVICES];
extern int device_count; /* once set_up() has been called */
extern uintptr_t arenas; /* addresses of the devices' memory, which cannot be touched; its content lies behind them */
extern pthread_mutex_t lock;
extern _Thread_local int current;
extern _Thread_local int last_error;

void set_up(void);
void count_on(int device, const char* call);

static inline int failed(int error) {
  if (error) last_error = error;
  return error;
}

static inline int is_on_a_device(const void* pointer) {
  return (uintptr_t)pointer >= arenas && (uintptr_t)pointer < arenas + MAX_DEVICES * ARENA;
}

/* The device that `pointer` is on; only where it is on one. */
static inline int device_of(const void* pointer) { return ((uintptr_t)pointer - arenas) / ARENA; }

#endif
