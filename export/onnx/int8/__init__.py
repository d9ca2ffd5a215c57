"""Networks in float32 as ONNX files that compute with 8-bit integers, in the QuantizeLinear/DequantizeLinear form.

``folding`` removes BatchNorm, ``placing`` says which tensors become integers, ``calibration`` finds their ranges by
running MXNet, and ``writing`` puts the operators into the ONNX graph. ``steps`` has the arithmetic they share.
"""
