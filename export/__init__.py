"""Export trained networks as files that other programs run, and load such files as networks.

    import export
    export.to_symbol(net, "digits/cnn7")  # digits/cnn7-symbol.json and digits/cnn7-0000.params
    export.to_onnx(net, "digits/cnn7.onnx")  # needs the package onnx
    export.to_c(net, "digits/cnn7.c")  # plain C99, and digits/cnn7.h
    print(export.verify("digits/cnn7.onnx", net, mnist.test))  # against every installed runtime
    net = export.load_symbol("digits/cnn7")  # any MXNet network
    net = export.from_onnx("digits/cnn7.onnx")  # likewise, to run, train or export

Names are imported when they are first used, so ``import export`` does not load MXNet.
"""

from importlib import import_module

import zoo  # noqa: F401  so that MXNet works wherever it is imported from now on

TYPE_CHECKING = False  # as in typing, whose import takes longer than everything here
if TYPE_CHECKING:  # the names of _HOMES, for editors and type checkers
    from export.c.model import to_c as to_c
    from export.loading import SymbolError as SymbolError
    from export.loading import load_symbol as load_symbol
    from export.onnx.importing.network import from_onnx as from_onnx
    from export.onnx.model import to_onnx as to_onnx
    from export.parity import Verification as Verification
    from export.symbol import to_symbol as to_symbol
    from export.verification import verify as verify
    from zoo.graph.heads import output_kind as output_kind

_HOMES = {
    "SymbolError": "export.loading",
    "Verification": "export.parity",
    "from_onnx": "export.onnx.importing.network",
    "load_symbol": "export.loading",
    "output_kind": "zoo.graph.heads",
    "to_c": "export.c.model",
    "to_onnx": "export.onnx.model",
    "to_symbol": "export.symbol",
    "verify": "export.verification",
}
__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'export' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:  # what help() shows
    return __all__
