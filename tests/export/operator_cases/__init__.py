"""Graphs of data of the shape IMAGE that test_operators.py runs in MXNet and in ONNX Runtime, a file for each topic."""

from operator_cases import basic, boxes, generation, indexing, ordering, rearranging, sampling

IMAGE = (4, 9, 9)
CASES = [
    *basic.CASES,
    *boxes.CASES,
    *generation.CASES,
    *indexing.CASES,
    *ordering.CASES,
    *rearranging.CASES,
    *sampling.CASES,
]
