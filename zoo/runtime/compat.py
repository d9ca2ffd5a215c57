"""What MXNet 1.9.1 expects of NumPy and Python, and later releases took away."""

from __future__ import annotations

import importlib.util

import numpy

from zoo.errors import MXNetUnavailable


def patch() -> None:
    """Give NumPy and Python back what ``import mxnet`` looks up, in this process only."""
    if int(numpy.__version__.split(".")[0]) >= 2:
        raise MXNetUnavailable(
            f"MXNet 1.9.1 needs NumPy 1.x and this environment has {numpy.__version__}: pip install 'numpy<2'"
        )
    for alias, builtin in (("bool", bool), ("int", int)):  # gone since NumPy 1.24
        if alias not in vars(numpy):
            setattr(numpy, alias, builtin)
    if importlib.util.find_spec("distutils") is None:  # gone since Python 3.12
        if importlib.util.find_spec("setuptools") is None:
            raise MXNetUnavailable("MXNet 1.9.1 needs distutils, which Python 3.12 dropped: pip install setuptools")
        import setuptools  # noqa: F401  its import makes its own copy importable as distutils
