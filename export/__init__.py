"""Trained networks as files that other programs run.

    import export
    export.to_symbol(net, "digits/cnn7")  # digits/cnn7-symbol.json and digits/cnn7-0000.params

Names are imported when they are first used, so ``import export`` does not load MXNet.
"""

__all__ = ["to_symbol"]


def __getattr__(name: str):
    if name == "to_symbol":
        from export.symbol import to_symbol

        return to_symbol
    raise AttributeError(f"module 'export' has no attribute {name!r}")
