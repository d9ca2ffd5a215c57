/* Stands in for libcudnn: descriptors keep dtype and shape, and what is done with them is counted by these. */
#include "stand_in.h"

enum { SUCCESS = 0, BAD_PARAMETER = 3 }; /* cudnnStatus_t */
enum { MAX_RANK = 8, ALGORITHM = 1, WORKSPACE = 1 << 16 };

typedef struct {
  int dtype, rank, shape[MAX_RANK];
} Descriptor;

static int create(void** out) {
  *out = calloc(1, sizeof(Descriptor));
  return SUCCESS;
}

EXPORT int cudnnCreate(void** handle) { return create(handle); }
EXPORT int cudnnCreateActivationDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateConvolutionDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateDropoutDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateFilterDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreatePoolingDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateRNNDataDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateRNNDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateSpatialTransformerDescriptor(void** out) { return create(out); }
EXPORT int cudnnCreateTensorDescriptor(void** out) { return create(out); }

EXPORT size_t cudnnGetVersion(void) { return 8906; } /* the newest that pip installs for CUDA 11 */
EXPORT const char* cudnnGetErrorString(int status) {
  return status == SUCCESS ? "CUDNN_STATUS_SUCCESS" : "CUDNN_STATUS_BAD_PARAM";
}

static int describe(Descriptor* descriptor, int dtype, int rank, const int* shape) {
  if (rank < 1 || rank > MAX_RANK) return BAD_PARAMETER;
  for (int i = 0; i < rank; i++)
    if (shape[i] < 1) return BAD_PARAMETER;
  descriptor->dtype = dtype;
  descriptor->rank = rank;
  memcpy(descriptor->shape, shape, rank * sizeof *shape);
  return SUCCESS;
}

EXPORT int cudnnSetTensor4dDescriptor(Descriptor* tensor, int format, int dtype, int n, int c, int h, int w) {
  return describe(tensor, dtype, 4, (int[]){n, c, h, w});
}

EXPORT int cudnnSetTensorNdDescriptor(Descriptor* tensor, int dtype, int rank, const int* shape, const int* strides) {
  return describe(tensor, dtype, rank, shape);
}

EXPORT int cudnnSetFilter4dDescriptor(Descriptor* filter, int dtype, int format, int k, int c, int h, int w) {
  return describe(filter, dtype, 4, (int[]){k, c, h, w});
}

EXPORT int cudnnSetFilterNdDescriptor(Descriptor* filter, int dtype, int format, int rank, const int* shape) {
  return describe(filter, dtype, rank, shape);
}

EXPORT int cudnnDeriveBNTensorDescriptor(Descriptor* derived, const Descriptor* input, int mode) {
  *derived = *input;
  if (derived->dtype == 2) derived->dtype = 0; /* statistics of float16 are float32 */
  return SUCCESS;
}

/* Count `what` with the dtype and shape of `first`, and the shape of `second` if there is one. */
static int counted(const char* what, const Descriptor* first, const Descriptor* second, const void* data,
                   const void* result) {
  static const char* const DTYPES[] = {"float32", "float64", "float16"};
  if (!first->rank || !stand_in_is_here(data) || !stand_in_is_here(result)) return BAD_PARAMETER;
  char call[256];
  int length = snprintf(call, sizeof call, "%s %s", what, first->dtype < 3 ? DTYPES[first->dtype] : "other");
  for (int which = 0; which < 2; which++) {
    const Descriptor* descriptor = which ? second : first;
    for (int i = 0; descriptor && i < descriptor->rank; i++)
      length += snprintf(call + length, sizeof call - length, "%c%d", i ? 'x' : ' ', descriptor->shape[i]);
  }
  stand_in_count(call);
  return SUCCESS;
}

/* -- convolutions ------------------------------------------------------------------------------------------------ */

typedef struct { /* cudnnConvolutionFwdAlgoPerf_t and its likes */
  int algorithm, status;
  float milliseconds;
  size_t memory;
  int determinism, math, reserved[3];
} Performance;

static int one(int requested, int* returned, Performance* found) {
  *returned = requested > 0;
  if (requested > 0) *found = (Performance){.algorithm = ALGORITHM, .memory = WORKSPACE, .determinism = 1};
  return SUCCESS;
}

#define CHOICES(KIND)                                                                                             \
  EXPORT int cudnnGetConvolution##KIND##AlgorithmMaxCount(void* handle, int* count) {                             \
    *count = 8;                                                                                                   \
    return SUCCESS;                                                                                               \
  }                                                                                                               \
  EXPORT int cudnnGetConvolution##KIND##Algorithm_v7(void* handle, void* a, void* b, void* convolution, void* c,  \
                                                     int requested, int* returned, Performance* found) {          \
    return one(requested, returned, found);                                                                       \
  }                                                                                                               \
  EXPORT int cudnnFindConvolution##KIND##Algorithm(void* handle, void* a, void* b, void* convolution, void* c,    \
                                                   int requested, int* returned, Performance* found) {            \
    return one(requested, returned, found);                                                                       \
  }                                                                                                               \
  EXPORT int cudnnGetConvolution##KIND##WorkspaceSize(void* handle, void* a, void* b, void* convolution, void* c, \
                                                      int algorithm, size_t* size) {                              \
    *size = WORKSPACE;                                                                                            \
    return algorithm == ALGORITHM ? SUCCESS : BAD_PARAMETER;                                                      \
  }

CHOICES(Forward)
CHOICES(BackwardData)
CHOICES(BackwardFilter)

EXPORT int cudnnConvolutionForward(void* handle, const void* alpha, Descriptor* x_shape, const void* x,
                                   Descriptor* w_shape, const void* w, void* convolution, int algorithm,
                                   void* workspace, size_t size, const void* beta, Descriptor* y_shape, void* y) {
  if (!stand_in_is_here(w) || !stand_in_is_here(workspace) || size < WORKSPACE) return BAD_PARAMETER;
  return counted("convolution", x_shape, w_shape, x, y);
}

EXPORT int cudnnConvolutionBackwardData(void* handle, const void* alpha, Descriptor* w_shape, const void* w,
                                        Descriptor* dy_shape, const void* dy, void* convolution, int algorithm,
                                        void* workspace, size_t size, const void* beta, Descriptor* dx_shape,
                                        void* dx) {
  if (!stand_in_is_here(w) || !stand_in_is_here(workspace) || size < WORKSPACE) return BAD_PARAMETER;
  return counted("convolution-data-gradient", dx_shape, w_shape, dy, dx);
}

EXPORT int cudnnConvolutionBackwardFilter(void* handle, const void* alpha, Descriptor* x_shape, const void* x,
                                          Descriptor* dy_shape, const void* dy, void* convolution, int algorithm,
                                          void* workspace, size_t size, const void* beta, Descriptor* dw_shape,
                                          void* dw) {
  if (!stand_in_is_here(x) || !stand_in_is_here(workspace) || size < WORKSPACE) return BAD_PARAMETER;
  return counted("convolution-weight-gradient", x_shape, dw_shape, dy, dw);
}

/* -- the rest that networks are made of --------------------------------------------------------------------------- */

EXPORT int cudnnActivationForward(void* handle, void* activation, const void* alpha, Descriptor* x_shape, const void* x,
                                  const void* beta, Descriptor* y_shape, void* y) {
  return counted("activation", x_shape, NULL, x, y);
}

EXPORT int cudnnPoolingForward(void* handle, void* pooling, const void* alpha, Descriptor* x_shape, const void* x,
                               const void* beta, Descriptor* y_shape, void* y) {
  return counted("pooling", x_shape, NULL, x, y);
}

EXPORT int cudnnBatchNormalizationForwardTraining(void* handle, int mode, const void* alpha, const void* beta,
                                                  Descriptor* x_shape, const void* x, Descriptor* y_shape, void* y,
                                                  Descriptor* statistics, const void* scale, const void* bias,
                                                  double factor, void* mean, void* variance, double epsilon,
                                                  void* saved_mean, void* saved_variance) {
  if (!stand_in_is_here(scale) || !stand_in_is_here(bias)) return BAD_PARAMETER;
  return counted("batchnorm-training", x_shape, NULL, x, y);
}

EXPORT int cudnnBatchNormalizationForwardInference(void* handle, int mode, const void* alpha, const void* beta,
                                                   Descriptor* x_shape, const void* x, Descriptor* y_shape, void* y,
                                                   Descriptor* statistics, const void* scale, const void* bias,
                                                   const void* mean, const void* variance, double epsilon) {
  if (!stand_in_is_here(scale) || !stand_in_is_here(mean)) return BAD_PARAMETER;
  return counted("batchnorm-inference", x_shape, NULL, x, y);
}

EXPORT int cudnnDropoutForward(void* handle, void* dropout, Descriptor* x_shape, const void* x, Descriptor* y_shape,
                               void* y, void* reserve, size_t size) {
  return counted("dropout", x_shape, NULL, x, y);
}

EXPORT int cudnnDropoutGetStatesSize(void* handle, size_t* size) {
  *size = WORKSPACE;
  return SUCCESS;
}

EXPORT int cudnnDropoutGetReserveSpaceSize(Descriptor* x_shape, size_t* size) {
  size_t elements = 1;
  for (int i = 0; i < x_shape->rank; i++) elements *= x_shape->shape[i];
  *size = elements / 8 + 1; /* a bit for each */
  return SUCCESS;
}

EXPORT int cudnnGetRNNParamsSize(void* handle, void* rnn, Descriptor* x_shape, size_t* size, int dtype) {
  *size = WORKSPACE;
  return SUCCESS;
}

EXPORT int cudnnGetRNNWorkspaceSize(void* handle, void* rnn, int length, Descriptor** x_shapes, size_t* size) {
  *size = WORKSPACE;
  return SUCCESS;
}

EXPORT int cudnnGetRNNTrainingReserveSize(void* handle, void* rnn, int length, Descriptor** x_shapes, size_t* size) {
  *size = WORKSPACE;
  return SUCCESS;
}
