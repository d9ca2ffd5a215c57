/* Stands in for libnvrtc, which compiles CUDA C++ while a program runs. */
#include "stand_in.h"

EXPORT int nvrtcCreateProgram(void** program, const char* source, const char* name, int headers,
                              const char* const* contents, const char* const* names) {
  *program = calloc(1, 512); /* holds the name of its kernel */
  return 0;
}

EXPORT int nvrtcAddNameExpression(char* program, const char* expression) {
  snprintf(program, 512, "%s", expression);
  return 0;
}

EXPORT int nvrtcGetLoweredName(char* program, const char* expression, const char** name) {
  *name = program;
  return 0;
}

EXPORT int nvrtcDestroyProgram(void** program) {
  free(*program);
  *program = NULL;
  return 0;
}

EXPORT int nvrtcGetPTXSize(void* program, size_t* size) {
  *size = 1;
  return 0;
}

EXPORT int nvrtcGetPTX(void* program, char* text) {
  *text = 0;
  return 0;
}

EXPORT int nvrtcGetProgramLogSize(void* program, size_t* size) { return nvrtcGetPTXSize(program, size); }
EXPORT int nvrtcGetProgramLog(void* program, char* text) { return nvrtcGetPTX(program, text); }
EXPORT const char* nvrtcGetErrorString(int error) { return error ? "error of the stand-in compiler" : "no error"; }
