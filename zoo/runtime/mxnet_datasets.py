"""Redirect MXNet's own loaders of MNIST and Fashion-MNIST from hosts that are gone to this project's data.

Importing this module imports neither MXNet nor NumPy, and :func:`install` reads no files, so it is cheap enough to be
part of every ``import mxnet``.
"""

from __future__ import annotations

import functools
from importlib import import_module
from types import ModuleType

_MARK = "_loads_data_of_zoo"


def install(mx: ModuleType) -> None:
    """Make ``mx.test_utils.get_mnist*`` and ``gluon.data.vision.MNIST`` and ``FashionMNIST`` find their data.

    ``mx`` is MXNet 1.9.1, imported. The functions keep their results, names, signatures and docstrings, and use first
    the files that MXNet would use. They raise :class:`zoo.errors.DataError` if data are damaged, or can neither be
    found nor fetched. A second call changes nothing.
    """
    for name in ("get_mnist", "get_mnist_ubyte", "get_mnist_pkl"):  # get_mnist_iterator calls the second
        _replace(mx, mx.test_utils, name)
    _replace(mx, mx.gluon.data.vision.MNIST, "_get_data")  # FashionMNIST inherits it


def _replace(mx: ModuleType, owner: object, name: str) -> None:
    """Replace the attribute ``name`` of ``owner`` by the function of that name in :mod:`zoo.data.mxnet_loaders`."""
    original = getattr(owner, name)
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def replacement(*arguments: object, **named: object) -> object:
        function = getattr(import_module("zoo.data.mxnet_loaders"), name.lstrip("_"))
        return function(mx, original, *arguments, **named)

    setattr(replacement, _MARK, True)
    setattr(owner, name, replacement)
