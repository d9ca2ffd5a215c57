/* Stands in for libcublas: matrix products are counted with their dtype and sizes. */
#include "stand_in.h"

enum { SUCCESS = 0, INVALID_VALUE = 7 }; /* cublasStatus_t */

static const char* dtype(int type) { /* cudaDataType */
  return type == 0 ? "float32" : type == 1 ? "float64" : type == 2 ? "float16" : "other";
}

static int product(const char* type, int m, int n, int k, const void* a, const void* b, const void* c) {
  if (m < 1 || n < 1 || k < 1) return INVALID_VALUE;
  if (!stand_in_is_here(a) || !stand_in_is_here(b) || !stand_in_is_here(c)) return INVALID_VALUE;
  char call[128];
  snprintf(call, sizeof call, "gemm %s %dx%dx%d", type, m, n, k);
  stand_in_count(call);
  return SUCCESS;
}

EXPORT int cublasCreate_v2(void** handle) {
  *handle = malloc(16);
  return SUCCESS;
}

EXPORT int cublasGetMathMode(void* handle, int* mode) {
  *mode = 0;
  return SUCCESS;
}

EXPORT int cublasSgemm_v2(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int lda,
                          const void* b, int ldb, const void* beta, void* c, int ldc) {
  return product("float32", m, n, k, a, b, c);
}

EXPORT int cublasDgemm_v2(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int lda,
                          const void* b, int ldb, const void* beta, void* c, int ldc) {
  return product("float64", m, n, k, a, b, c);
}

EXPORT int cublasSgemmEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int type,
                         int lda, const void* b, int b_type, int ldb, const void* beta, void* c, int c_type, int ldc) {
  return product(dtype(type), m, n, k, a, b, c);
}

EXPORT int cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int type,
                        int lda, const void* b, int b_type, int ldb, const void* beta, void* c, int c_type, int ldc,
                        int compute, int algorithm) {
  return product(dtype(type), m, n, k, a, b, c);
}

EXPORT int cublasGemmStridedBatchedEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha,
                                      const void* a, int type, int lda, long long stride_a, const void* b, int b_type,
                                      int ldb, long long stride_b, const void* beta, void* c, int c_type, int ldc,
                                      long long stride_c, int batch, int compute, int algorithm) {
  return product(dtype(type), m, n, k, a, b, c);
}
