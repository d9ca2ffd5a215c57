"""The dtypes that networks compute in."""

DTYPES = ("float32", "bfloat16", "float16")  # parameters are float32 in any case
INFERENCE_DTYPES = (*DTYPES, "int8")
