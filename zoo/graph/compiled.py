"""A network compiled for inference: called directly, without MXNet's engine in between."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from functools import partial

import numpy as np

from zoo import kernels
from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.graph import lowering
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.execution import BFLOAT16, FLOAT32, Execution, check_interface
from zoo.graph.ir import Graph, Node
from zoo.graph.shapes import Shape
from zoo.runtime import STATUS, mx

_FLOAT32 = np.dtype(np.float32)


class Compiled:
    """The logits of a network with the weights that it had when it was compiled.

    A call may come from any thread, several at once included.

    Attributes:
        input_shape: shape of one image, without the batch axis.
        is_direct: whether calls pass MXNet by. They do if one program of this project's kernels computes the whole
            network; otherwise MXNet's engine runs it, operator by operator.
        why: what computes the network, or why MXNet has to.
    """

    def __init__(self, net: mx.gluon.HybridBlock, input_shape: Shape, threads: int, dtype: str) -> None:
        execution = Execution.of(net, "cpu(0)", dtype)
        lowered = lowering.inference(net, execution, input_shape, for_few=True)
        node, self.why = _whole(lowered, execution)
        self.input_shape = input_shape
        self.is_direct = node is not None
        self._run = _by_mxnet(lowered, net) if node is None else _directly(node, net, threads)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The logits ``(n, ...)`` float32 of ``images``, ``(n, *input_shape)`` float32; n is any number from 1.

        Raises :class:`ZooError` for images of another shape or dtype.
        """
        images = np.asarray(images)
        if images.dtype != _FLOAT32 or images.shape[1:] != self.input_shape or not len(images):
            wanted = ", ".join(("n", *map(str, self.input_shape)))
            raise ZooError(f"the images must be ({wanted}) float32, not {images.shape} {images.dtype}")
        return self._run(np.ascontiguousarray(images))


def compile(
    net: mx.gluon.HybridBlock,
    input_shape: Shape = INPUT_SHAPE,
    threads: int | None = None,
    dtype: str = FLOAT32,
) -> Compiled:
    """Compile ``net``, which must be initialized, for inference on the CPU.

    Args:
        net: the network; later changes of its weights do not reach what is compiled.
        input_shape: shape of one image, without the batch axis.
        threads: at most so many compute a batch; None for as many as MXNet uses.
        dtype: float32; or bfloat16, in which AMX computes the layers that it is faster for, where images and logits are
            float32; or auto, for the faster one.

    Raises:
        ZooError: the network is not initialized, on a GPU, or does not take images of ``input_shape``; or the processor
            does not compute in ``dtype``.
    """
    if threads is not None and threads < 1:
        raise ZooError(f"the number of threads must be at least 1, not {threads}")
    try:
        placed = {context for parameter in net.collect_params().values() for context in parameter.list_ctx()}
    except RuntimeError:
        raise ZooError("the network is not initialized: call net.initialize() before compiling it") from None
    if any(context.device_type != "cpu" for context in placed):
        raise ZooError("the network is on a GPU: call net.collect_params().reset_ctx(mx.cpu()) before compiling it")
    if dtype not in ("auto", FLOAT32, BFLOAT16):
        raise ZooError(f"a network is compiled in auto, {FLOAT32} or {BFLOAT16}, not {dtype!r}")
    check_interface(net)
    try:
        outputs = net(mx.nd.zeros((1, *input_shape)))  # also draws weights that wait for their shapes
    except mx.base.MXNetError as error:
        raise ZooError(f"the network does not take images of {tuple(input_shape)}: {mxnet_reason(error)}") from None
    if not isinstance(outputs, mx.nd.NDArray):
        raise ZooError(f"the network has {len(outputs)} outputs, and only networks with one can be compiled")
    return Compiled(net, tuple(input_shape), threads or STATUS.threads or 1, dtype)


def _whole(lowered: lowering.Lowered, execution: Execution) -> tuple[Node | None, str]:
    """The one operator that computes the whole network, or None and the reason why there is none."""
    operators = [node for node in Graph.of(lowered.symbol).nodes() if not node.is_variable]
    if [node.operator for node in operators] == ["zoo_program"]:
        return operators[0], "one program of kernels compiled for this processor"
    if not kernels.available().usable:
        return None, f"MXNet, since there are no kernels of this project: {kernels.available().reason}"
    if execution.dtype == BFLOAT16 and not execution.amx:
        return None, f"MXNet, since this project's kernels for bfloat16 need AMX ({STATUS.amx_reason})"
    left = [f"{each.node}: {each.reason}" for each in lowered.decisions if not each.is_done]
    if not left:
        return None, "MXNet, since the network needs several programs"
    return None, f"MXNet, since some layers are left to it ({'; '.join(left)})"


def _directly(node: Node, net: mx.gluon.HybridBlock, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    library = kernels.available().library
    assert library is not None
    parameters = net.collect_params()
    arrays = [np.ascontiguousarray(parameters[each.name].data().asnumpy()) for each, _ in node.inputs[1:]]
    pointers = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
    program = ctypes.c_void_p(library.zoo_program_new(node.attributes["program"].encode(), pointers, len(arrays)))
    shape = tuple(int(node.attributes[key]) for key in ("channels", "height", "width") if key in node.attributes)
    compute = library.zoo_program_run

    def run(images: np.ndarray) -> np.ndarray:
        logits = np.empty((len(images), *shape), np.float32)
        compute(program, _address(images), len(images), _address(logits), threads)
        return logits

    freeing = weakref.finalize(run, partial(library.zoo_program_free, program))
    freeing.atexit = False  # other threads may still compute then
    return run


def _address(array: np.ndarray) -> int:
    """Where the values of a contiguous array lie, found faster than by ``array.ctypes.data``."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except TypeError:  # it must not be written to
        return array.ctypes.data


def _by_mxnet(lowered: lowering.Lowered, net: mx.gluon.HybridBlock) -> Callable[[np.ndarray], np.ndarray]:
    block = lowering.block(lowered.symbol)
    for name, parameter in block.collect_params().items():  # copies: later changes must not reach them
        values = net.collect_params()[name].data()
        parameter.shape = values.shape
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(values)
    block.hybridize(static_alloc=True)
    one_at_a_time = threading.Lock()  # calls of a cached graph from several threads wait for each other forever

    def run(images: np.ndarray) -> np.ndarray:
        with one_at_a_time:
            logits: np.ndarray = block(mx.nd.array(images)).asnumpy()
        return logits

    return run
