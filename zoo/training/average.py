"""The moving average of a network on its way through training."""

from __future__ import annotations

from zoo.runtime import mx

_AT_ONCE = 50  # MXNet's operator has room for 60 arrays, and does not check


class Average:
    """An exponential moving average of weights and of BatchNorm's running statistics, kept beside them.

    The first steps count for more than ``decay`` gives them, since the initial weights should not count. On several
    contexts the average is that of the first, where weights are the same and statistics as good as elsewhere.
    """

    def __init__(self, net: mx.gluon.HybridBlock, decay: float) -> None:
        self._decay, self._steps = decay, 0
        self._parameters = list(net.collect_params().values())
        self._averages = [parameter.list_data()[0].copy() for parameter in self._parameters]
        self._own: list[mx.nd.NDArray] | None = None
        pairs = list(zip(self._averages, self._parameters))
        self._weights = [(average, each.list_data()[0]) for average, each in pairs if each.grad_req != "null"]
        self._statistics = [(average, each.list_data()[0]) for average, each in pairs if each.grad_req == "null"]
        self._smallest = min((weight for _, weight in self._weights), key=lambda weight: weight.size)

    def update(self) -> None:
        """Take in the network as it is after an update."""
        self._steps += 1
        rate = 1 - min(self._decay, self._steps / (self._steps + 10))
        # SGD with decay towards the parameter: average * (1 - rate) + parameter * rate, in one operator and in place.
        for average, weight in self._weights:
            mx.nd.sgd_update(average, weight, out=average, lr=rate, wd=1.0, rescale_grad=-1.0)
        for first in range(0, len(self._statistics), _AT_ONCE):
            self._take_in(self._statistics[first : first + _AT_ONCE], rate)

    def _take_in(self, statistics: list[tuple[mx.nd.NDArray, mx.nd.NDArray]], rate: float) -> None:
        """In one operator with a weight that it leaves as it is.

        MXNet's engine does not know that a forward pass writes the running statistics. It knows of the weight: that it
        was updated after that pass, and is written here before the next one.
        """
        pairs = [*statistics, (self._smallest, self._smallest)]
        idle = [0.0]
        mx.nd.multi_sgd_update(
            *[array for pair in pairs for array in pair],
            lrs=[rate] * len(statistics) + idle, wds=[1.0] * len(statistics) + idle, rescale_grad=-1.0,
            num_weights=len(pairs), out=[average for average, _ in pairs],
        )  # fmt: skip

    def apply(self) -> None:
        """Put the average into the network, until :meth:`withdraw`."""
        mx.nd.waitall()  # for the statistics, see above
        self._own = [parameter.list_data()[0].copy() for parameter in self._parameters]
        self._put(self._averages)

    def withdraw(self) -> None:
        """Put back what training goes on with, if the average was applied."""
        if self._own is not None:
            self._put(self._own)
            self._own = None

    def _put(self, arrays: list[mx.nd.NDArray]) -> None:
        for parameter, array in zip(self._parameters, arrays):
            for copy in parameter.list_data():  # set_data would make a trainer on several contexts forget its momentum
                array.copyto(copy)
        mx.nd.waitall()
