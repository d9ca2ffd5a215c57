/* What the smaller libraries have to put out: handles, and sizes of workspaces. */
#include "stand_in.h"

static int create(void** out) {
  *out = malloc(16);
  return 0;
}

#ifdef LIBRARY_curand
EXPORT int curandCreateGenerator(void** generator, int type) { return create(generator); }
#endif

#ifdef LIBRARY_cufft
EXPORT int cufftPlanMany(int* plan) {
  *plan = 1;
  return 0;
}
#endif

#ifdef LIBRARY_nccl
EXPORT int ncclCommInitAll(void** communicators, int count, const int* devices) {
  for (int i = 0; i < count; i++) create(&communicators[i]);
  return 0;
}
#endif

#ifdef LIBRARY_cusolver
enum { WORKSPACE = 1 << 10 }; /* elements */

EXPORT int cusolverDnCreate(void** handle) { return create(handle); }

#define GESVD(TYPE)                                                                      \
  EXPORT int cusolverDn##TYPE##gesvd_bufferSize(void* handle, int m, int n, int* size) { \
    *size = WORKSPACE;                                                                   \
    return 0;                                                                            \
  }
#define ORGQR(TYPE)                                                                                             \
  EXPORT int cusolverDn##TYPE##orgqr_bufferSize(void* handle, int m, int n, int k, void* a, int lda, void* tau, \
                                                int* size) {                                                    \
    *size = WORKSPACE;                                                                                          \
    return 0;                                                                                                   \
  }
#define SYEVD(TYPE)                                                                                        \
  EXPORT int cusolverDn##TYPE##syevd_bufferSize(void* handle, int jobs, int part, int n, void* a, int lda, \
                                                void* values, int* size) {                                 \
    *size = WORKSPACE;                                                                                     \
    return 0;                                                                                              \
  }
#define FACTORS(NAME)                                                                                 \
  EXPORT int cusolverDn##NAME##_bufferSize(void* handle, int m, int n, void* a, int lda, int* size) { \
    *size = WORKSPACE;                                                                                \
    return 0;                                                                                         \
  }

/* clang-format off */
GESVD(S) GESVD(D)
ORGQR(S) ORGQR(D) SYEVD(S) SYEVD(D)
FACTORS(Sgetrf) FACTORS(Dgetrf) FACTORS(Sgeqrf) FACTORS(Dgeqrf)
FACTORS(Spotrf) FACTORS(Dpotrf)
/* clang-format on */
#endif
