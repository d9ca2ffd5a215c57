"""MXNet's cached graphs, called directly rather than through Gluon."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from zoo.runtime import mx


class CachedGraph:
    """``symbol`` bound to its parameters and to data that reside on every context; ``changing`` inputs vary by call.

    Gluon looks up all inputs in every call, which takes longer than the work of a small network. Here they are looked
    up once, so a network that moves to other contexts needs a new graph.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        parameters: Mapping[str, mx.gluon.Parameter],
        data: Mapping[str, Sequence[mx.nd.NDArray]],
        changing: Sequence[str],
        static_shape: bool = True,
    ) -> None:
        self._names = symbol.list_inputs()
        self._parameters = parameters
        self._data = data
        self._places = [self._names.index(name) for name in changing]
        flags = [
            ("static_alloc", True),
            ("static_shape", static_shape),
            ("data_indices", [number for number, name in enumerate(self._names) if name not in parameters]),
            ("param_indices", [number for number, name in enumerate(self._names) if name in parameters]),
        ]
        self._operator = mx.nd.CachedOp(symbol, flags)
        contexts = [array.context for array in next(iter(data.values()))]
        self._inputs = [
            [self._array(name, device_index, context) for name in self._names]
            for device_index, context in enumerate(contexts)
        ]

    def restore_plain_layout(self) -> None:
        """Convert the parameters to MXNet's plain layout in place, before a run of many calls.

        MXNet's own convolutions convert them to oneDNN's layout, and this project's operators would convert them back
        in every call. Pending operations finish first: if one converted a parameter after this, an in-place update
        would go to a copy.
        """
        mx.nd.waitall()
        for inputs in self._inputs:
            for name, array in zip(self._names, inputs):
                if array is not None and name in self._parameters and array.context.device_type == "cpu":
                    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(ctypes.c_void_p())))

    def __call__(self, device_index: int, *changing: mx.nd.NDArray) -> list[mx.nd.NDArray]:
        """Return the outputs for the ``changing`` inputs on the context with the index ``device_index``."""
        inputs = self._inputs[device_index]
        for place, array in zip(self._places, changing):
            inputs[place] = array
        outputs = self._operator(*inputs)
        return outputs if isinstance(outputs, list) else [outputs]

    def _array(self, name: str, device_index: int, context: mx.Context) -> mx.nd.NDArray | None:
        """Return a parameter or data array, None for a changing input."""
        if name in self._parameters:
            return self._parameters[name].data(context)
        return self._data[name][device_index] if name in self._data else None
