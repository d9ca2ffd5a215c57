"""Graphs of data of the shape IMAGE that test_operators.py runs in MXNet and in ONNX Runtime, a file for each topic."""

import pkgutil
from importlib import import_module

IMAGE = (4, 9, 9)
CASES = [case for each in pkgutil.iter_modules(__path__) for case in import_module(f"{__name__}.{each.name}").CASES]
