"""The moving average of a network during training."""

from __future__ import annotations

from zoo.runtime import mx

_AT_ONCE = 50  # arrays: MXNet's operator takes at most 60, and does not check


class Average:
    """An exponential moving average of the weights and of BatchNorm's running statistics.

    The first steps weigh more than ``decay`` implies, so that the initial weights do not count. With several contexts,
    only the first is averaged: its weights equal those of the others, and its statistics are as good.
    """

    def __init__(self, net: mx.gluon.HybridBlock, decay: float) -> None:
        self._decay, self.steps = decay, 0
        self._parameters = list(net.collect_params().values())
        self.arrays = [parameter.list_data()[0].copy() for parameter in self._parameters]
        self.withheld: list[mx.nd.NDArray] | None = None  # what training continues from, while the average is applied
        pairs = list(zip(self.arrays, self._parameters))
        self._weights = [(average, each.list_data()[0]) for average, each in pairs if each.grad_req != "null"]
        self._statistics = [(average, each.list_data()[0]) for average, each in pairs if each.grad_req == "null"]
        self._smallest = min((weight for _, weight in self._weights), key=lambda weight: weight.size)

    def update(self) -> None:
        """Update the average; call after every optimizer step."""
        self.steps += 1
        rate = 1 - min(self._decay, self.steps / (self.steps + 10))
        # SGD with weight decay computes average * (1 - rate) + parameter * rate, in place and in one operator.
        for average, weight in self._weights:
            mx.nd.sgd_update(average, weight, out=average, lr=rate, wd=1.0, rescale_grad=-1.0)
        for first in range(0, len(self._statistics), _AT_ONCE):
            self._take_in(self._statistics[first : first + _AT_ONCE], rate)

    def _take_in(self, statistics: list[tuple[mx.nd.NDArray, mx.nd.NDArray]], rate: float) -> None:
        """Update the averages of ``statistics`` in one operator, together with a weight that stays unchanged.

        MXNet's engine does not know that a forward pass writes the running statistics. It does know that the weight was
        updated after that pass and is written here before the next one reads it, and so runs this operator between the
        two if each of them is one operator; otherwise, see :meth:`settle`.
        """
        pairs = [*statistics, (self._smallest, self._smallest)]
        idle = [0.0]
        mx.nd.multi_sgd_update(
            *[array for pair in pairs for array in pair],
            lrs=[rate] * len(statistics) + idle, wds=[1.0] * len(statistics) + idle, rescale_grad=-1.0,
            num_weights=len(pairs), out=[average for average, _ in pairs],
        )  # fmt: skip

    def settle(self) -> None:
        """Wait until the statistics are taken in: layers of the next forward pass would write them meanwhile."""
        for average, _ in self._statistics[::_AT_ONCE]:
            average.wait_to_read()

    def apply(self) -> None:
        """Load the average into the network, until :meth:`withdraw`."""
        mx.nd.waitall()  # the engine does not track writes to the statistics, see _take_in
        self.withheld = [parameter.list_data()[0].copy() for parameter in self._parameters]
        self._put(self.arrays)

    def withdraw(self) -> None:
        """Restore the weights and statistics that training continues from, if the average was applied."""
        if self.withheld is not None:
            self._put(self.withheld)
            self.withheld = None

    def _put(self, arrays: list[mx.nd.NDArray]) -> None:
        for parameter, array in zip(self._parameters, arrays):
            for copy in parameter.list_data():  # set_data would make a trainer on several contexts forget its momentum
                array.copyto(copy)
        mx.nd.waitall()
