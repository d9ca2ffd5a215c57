"""A graph of MXNet's, called without Gluon in between."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from zoo.runtime import mx


class CachedGraph:
    """``symbol`` with the parameters in it, over data that lie on every context, and inputs that change.

    Gluon's own call looks all of them up again and again, which takes longer than a small network's work. Here
    they are looked up once, so that a network that is moved to other contexts needs a new one.
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
        """Put the parameters into MXNet's plain layout, in place; before a run of many calls.

        Its own convolutions move them into oneDNN's, from which our operators would have them moved back again in
        every call. What is still to be moved must not be moved after this: an update in place would go to a copy.
        """
        mx.nd.waitall()
        for inputs in self._inputs:
            for name, array in zip(self._names, inputs):
                if array is not None and name in self._parameters and array.context.device_type == "cpu":
                    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(ctypes.c_void_p())))

    def __call__(self, device_index: int, *changing: mx.nd.NDArray) -> list[mx.nd.NDArray]:
        """The outputs for the ``changing`` inputs on the context number ``device_index``."""
        inputs = self._inputs[device_index]
        for place, array in zip(self._places, changing):
            inputs[place] = array
        outputs = self._operator(*inputs)
        return outputs if isinstance(outputs, list) else [outputs]

    def _array(self, name: str, device_index: int, context: mx.Context) -> mx.nd.NDArray | None:
        """A parameter or data; None where an input changes."""
        if name in self._parameters:
            return self._parameters[name].data(context)
        return self._data[name][device_index] if name in self._data else None
