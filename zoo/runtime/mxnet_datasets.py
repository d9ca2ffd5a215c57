"""MXNet's own ways to get MNIST and Fashion-MNIST, with this project's data instead of hosts that are gone.

Importing this module imports neither MXNet nor NumPy, and :func:`install` reads nothing: it is cheap enough to be part
of every ``import mxnet``.
"""

from __future__ import annotations

import functools
from importlib import import_module
from types import ModuleType

_MARK = "_loads_data_of_zoo"


def install(mx: ModuleType) -> None:
    """Let ``mx.test_utils.get_mnist*`` and ``gluon.data.vision.MNIST`` and ``FashionMNIST`` find their data.

    ``mx`` is MXNet 1.9.1, imported. What the functions return, their names, signatures and docstrings stay as they are,
    and the files that MXNet would use are used first. Where data can neither be found nor fetched, or are damaged, they
    raise :class:`zoo.errors.DataError`. A second call changes nothing.
    """
    for name in ("get_mnist", "get_mnist_ubyte", "get_mnist_pkl"):  # get_mnist_iterator calls the second
        _replace(mx, mx.test_utils, name)
    _replace(mx, mx.gluon.data.vision.MNIST, "_get_data")  # FashionMNIST inherits it


def _replace(mx: ModuleType, owner: object, name: str) -> None:
    """Put the function ``name`` of :mod:`zoo.data.mxnet_loaders` in place of what ``owner`` calls so."""
    original = getattr(owner, name)
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def replacement(*arguments: object, **named: object) -> object:
        function = getattr(import_module("zoo.data.mxnet_loaders"), name.lstrip("_"))
        return function(mx, original, *arguments, **named)

    setattr(replacement, _MARK, True)
    setattr(owner, name, replacement)
