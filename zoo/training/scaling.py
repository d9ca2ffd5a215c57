"""Updates from float16 gradients, which overflow and underflow where float32 gradients do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoo.runtime import mx
from zoo.training import optimizer_state

FIRST, HIGHEST, LOWEST = 2.0**16, 2.0**24, 2.0**-24  # values of the loss scale
PATIENCE = 2000  # steps without an overflow after which the scale is doubled
_AT_ONCE = 200  # arrays: MXNet's operator takes no more, and does not check


class ScaledUpdate:
    """Any optimizer, on any contexts, with dynamic loss scaling (Micikevicius et al. 2018, "Mixed Precision Training").

    The backward pass starts from the gradients of the mean loss times the loss scale, so that small gradients do not
    vanish in float16. The optimizer gets them in float32, divided by the scale. If one of them is not finite, the step
    is undone, to the last bit of the weights and the optimizer's state, and the scale is halved; after :data:`PATIENCE`
    steps without that it is doubled, up to :data:`HIGHEST`.

    All this stays on the device. MXNet's own ``mxnet.contrib.amp.LossScaler`` makes the host read after every batch
    whether the gradients are finite, so the device runs dry. Here weights and state are copied, every step is taken,
    and an operator chooses the old or the new arrays. That costs an operator or two per array, and an undone step still
    counts in the recipe's learning rates and in Adam's bias correction.

    With several contexts, the first is updated and sent to all, so that they agree to the last bit.
    """

    def __init__(
        self,
        parameters: Sequence[mx.gluon.Parameter],
        optimizer: mx.optimizer.Optimizer,
        contexts: Sequence[mx.Context],
    ) -> None:
        self._contexts = list(contexts)
        self._weights = [parameter.list_data() for parameter in parameters]  # one copy per context
        self._gradients = [parameter.list_grad() for parameter in parameters]
        self.optimizer, self._updater = optimizer, mx.optimizer.get_updater(optimizer)
        self.kept = [weight for weight, *_ in self._weights]  # on the first context: weights, then optimizer state
        self._state = optimizer_state.arrays(self._updater, self.kept)
        self.kept += self._state.values()
        self._store = mx.kv.create("device") if len(contexts) > 1 else None
        if self._store is not None:
            for index, (gradient, *_) in enumerate(self._gradients):
                self._store.init(index, mx.nd.zeros_like(gradient))
        self._prepare = _preparation(len(parameters), len(self.kept))
        self._choose = _choice(len(self.kept))
        self._scale = mx.nd.full((1,), FIRST, ctx=contexts[0])
        self._good = mx.nd.zeros((1,), ctx=contexts[0])  # steps since the scale was last changed

    @property
    def loss_scale(self) -> float:
        """The loss scale of the next step; waits for the device."""
        return self._scale.asscalar().item()

    def head_gradients(self, images: int) -> list[mx.nd.NDArray]:
        """Return the head gradient of the summed loss of a batch of ``images``: ``(1,)`` float32 on every context."""
        head = self._scale / images
        return [head.as_in_context(context) for context in self._contexts]

    def step(self, images: int, some_idle: bool) -> None:
        """Apply the gradients of a batch if they are all finite."""
        if self._store is not None:
            for index, gradients in enumerate(self._gradients):
                self._store.pushpull(index, gradients, priority=-index)
        first = [gradient for gradient, *_ in self._gradients]
        finite, self._scale, self._good, *prepared = self._prepare(self._scale, self._good, *first, *self.kept)
        gradients, copies = prepared[: len(first)], prepared[len(first) :]
        self._updater(list(range(len(first))), gradients, [weight for weight, *_ in self._weights])
        self._choose(finite, *self.kept, *copies, out=self.kept)
        for weight, *others in self._weights:
            for other in others:
                weight.copyto(other)

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of further steps, which applies to the mean loss of a batch."""
        self.optimizer.set_learning_rate(rate)

    def arrays(self) -> dict[str, mx.nd.NDArray]:
        """Return the optimizer's state, see :func:`optimizer_state.arrays`, and that of the loss scale."""
        return {**self._state, "scale": self._scale, "good": self._good}


def _operator(symbol: mx.sym.Symbol, inputs: Sequence[mx.sym.Symbol]) -> Callable[..., list[mx.nd.NDArray]]:
    """Return ``symbol`` as a function of arrays in the order of ``inputs``; MXNet's own order is that of first use."""
    names = [each.name for each in inputs]
    order = [names.index(name) for name in symbol.list_inputs()]
    cached = mx.nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])
    return lambda *arrays, **out: cached(*(arrays[number] for number in order), **out)


def _variables(name: str, count: int) -> list[mx.sym.Symbol]:
    return [mx.sym.var(f"{name}{number}") for number in range(count)]


def _preparation(gradients: int, kept: int) -> Callable[..., list[mx.nd.NDArray]]:
    """Build the operator that checks and unscales the gradients.

    It takes the loss scale, the steps since it changed, the gradients, and the arrays to keep. It returns whether all
    gradients are finite, the next scale, the steps since that changed, the gradients divided by the scale, and copies
    of the arrays.
    """
    scale, good = mx.sym.var("scale"), mx.sym.var("good")
    scaled, originals = _variables("gradient", gradients), _variables("kept", kept)
    finite = mx.sym.ones_like(scale)
    for start in range(0, gradients, _AT_ONCE):
        part = scaled[start : start + _AT_ONCE]
        finite = finite * mx.sym.BlockGrad(mx.sym.multi_all_finite(*part, num_arrays=len(part)))  # has no gradient
    patient = finite * (good + 1)
    grows = patient >= PATIENCE
    next_scale = mx.sym.where(finite, mx.sym.where(grows, mx.sym.minimum(2 * scale, HIGHEST), scale), scale / 2)
    divisor = scale.as_np_ndarray()  # NumPy's operators broadcast
    divided = [(each.as_np_ndarray() / divisor).as_nd_ndarray() for each in scaled]
    copies = [mx.sym.identity(each) for each in originals]
    symbol = mx.sym.Group([finite, next_scale, patient * (1 - grows), *divided, *copies])
    return _operator(symbol, [scale, good, *scaled, *originals])


def _choice(kept: int) -> Callable[..., list[mx.nd.NDArray]]:
    """Build the operator that chooses the arrays after the step if all gradients were finite, else those before."""
    finite, after, before = mx.sym.var("finite"), _variables("after", kept), _variables("before", kept)
    condition = finite.as_np_ndarray()
    chosen = [
        mx.sym.np.where(condition, new.as_np_ndarray(), old.as_np_ndarray()).as_nd_ndarray()
        for new, old in zip(after, before)
    ]
    return _operator(mx.sym.Group(chosen), [finite, *after, *before])
