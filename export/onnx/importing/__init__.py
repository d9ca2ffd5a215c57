"""ONNX graphs as networks of MXNet: the way back from ``export.onnx``.

``source`` reads the file, ``folding`` computes its constants, ``operators`` holds one small function for each operator
of ONNX, and ``network`` puts their results together. What has no function there, or a setting that MXNet expresses
differently, is refused by name rather than translated approximately.
"""
