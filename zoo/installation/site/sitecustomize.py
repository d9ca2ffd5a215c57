"""Make a bare ``import mxnet`` work in every Python program that has this folder first on its PYTHONPATH.

``python -m zoo run`` puts it there for the processes that a script starts, and ``python -m zoo setup --hook`` copies
the first part of this file into the environment.
"""

import sys


class MXNetHook:
    """Import zoo only when mxnet is imported, since sys.path then decides which zoo it is, as for any import."""

    def find_spec(self, name, path=None, target=None):
        if name == "mxnet":
            sys.meta_path.remove(self)
            try:
                from zoo.runtime import hook
            except ImportError:
                return None
            hook.install()
            return sys.meta_path[0].find_spec(name, path, target)


sys.meta_path.insert(0, MXNetHook())

# The rest is only for PYTHONPATH: run the sitecustomize that this one hides.
# mypy: allow-untyped-defs
from importlib import util  # noqa: E402
from importlib.machinery import PathFinder  # noqa: E402
from os.path import dirname, realpath  # noqa: E402

_hidden = PathFinder.find_spec(
    "sitecustomize", [each for each in sys.path if realpath(each) != realpath(dirname(__file__))]
)
if _hidden is not None and _hidden.loader is not None:  # a mere folder has no loader
    _hidden.loader.exec_module(util.module_from_spec(_hidden))
