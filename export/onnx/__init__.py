"""MXNet's symbol graphs as ONNX models, for inference.

``model`` puts the file together, ``translation`` walks the graph, and ``operators`` holds one small function for each
operator of MXNet. Whatever has no function there, or a setting that ONNX expresses differently, is refused by name
rather than translated approximately.
"""

DEFAULT_OPSET = 17
