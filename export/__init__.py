"""Trained networks as files that other programs run::

import export

export.to_symbol(net, "digits/cnn7")  # digits/cnn7-symbol.json and digits/cnn7-0000.params
"""

from export.symbol import to_symbol

__all__ = ["to_symbol"]
