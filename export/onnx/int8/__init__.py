"""Networks in float32 as ONNX files that compute with 8-bit integers, in the QuantizeLinear/DequantizeLinear form.

``placing`` says which tensors become integers, ``calibration`` finds their ranges with ``simulation``, which runs
MXNet, and ``writing`` puts the operators into the ONNX graph. ``steps`` has the arithmetic they share.
"""
