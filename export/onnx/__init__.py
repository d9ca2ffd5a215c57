"""MXNet's symbol graphs as ONNX models, for inference.

``model`` assembles the file, ``translation`` walks the graph, and ``operators`` holds one small function for each MXNet
operator. An operator without a function there, or a setting that ONNX expresses differently, is refused by name rather
than translated approximately.
"""

DEFAULT_OPSET = 17
