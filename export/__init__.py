"""Trained networks as files that other programs run, and files of MXNet's as networks.

    import export
    export.to_symbol(net, "digits/cnn7")  # digits/cnn7-symbol.json and digits/cnn7-0000.params
    export.to_onnx(net, "digits/cnn7.onnx")  # with the package onnx
    print(export.verify("digits/cnn7.onnx", net, mnist.test))  # beside every installed runtime
    net = export.load_symbol("digits/cnn7")  # any network of MXNet's

Names are imported when they are first used, so ``import export`` does not load MXNet.
"""

from importlib import import_module

import zoo  # noqa: F401  so that MXNet works wherever it is imported from now on

_HOMES = {
    "SymbolError": "export.loading",
    "Verification": "export.verification",
    "load_symbol": "export.loading",
    "to_onnx": "export.onnx.model",
    "to_symbol": "export.symbol",
    "verify": "export.verification",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'export' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
