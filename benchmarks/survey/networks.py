"""The networks of GluonCV: without pretrained weights, on small images, with weights that reveal faults."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from export.inference import graph_of
from zoo.errors import ZooError
from zoo.graph import shapes
from zoo.graph.ir import Graph, Node
from zoo.runtime import mx

TASKS = {
    "detection": r"ssd_|rcnn_|yolo3_|center_net_",
    "segmentation": r"(fcn|psp|deeplab|icnet|fastscnn|danet)_|hrnet_.*_s$",
    "pose": r"(simple|mobile|alpha)_pose_",
    "tracking": r"siamrpn_",
    "depth": r"monodepth2_",
    "action recognition": r"_(ucf101|hmdb51|kinetics400|kinetics700|sthsthv2|custom)(_int8)?$",
    "classification": r"",
}  # a network's is the first whose pattern matches its name
_SIZES = (64, 96, 128, 192, 224, 256, 299, 300, 320, 480, 512)
_NOISE = np.random.default_rng(0).standard_normal(1_000_003, np.float32)


def task_of(name: str) -> str:
    """Return what the network ``name`` is for."""
    return next(task for task, pattern in TASKS.items() if re.search(pattern, name))


def family_of(name: str) -> str:
    """Return the first words of ``name``, which networks of one kind share."""
    first = r"((alpha|center|cifar|custom|doublehead|faster|mask|mobile|se|simple)_)*([cip]3d|r2plus1d|[a-z]+)"
    return re.match(first, name)[0] + (" int8" if name.endswith("int8") else "")


def build(name: str) -> mx.gluon.HybridBlock:
    """Build the network ``name``; nothing is fetched."""
    np.float = float  # an old name that GluonCV uses
    from gluoncv.model_zoo import get_model, model_store

    model_store.get_model_file = lambda *_, **__: ""
    mx.gluon.Block.load_parameters = lambda net, *_, **__: net.initialize()
    task, options = task_of(name), dict[str, Any]()
    if re.match("i3d|alpha_pose|.*posenet", name):
        options["pretrained_base"] = False  # or they compute with the pretrained weights
    if task == "segmentation" and not name.startswith("hrnet"):
        options["crop_size"] = 192 if re.match("icnet|fastscnn", name) else 96  # the size that they resize to
    if "custom" in name and task == "detection":
        options.update(classes=("cat", "dog"), transfer=None)
    elif "custom" in name:
        options["use_kinetics_pretrain"] = False
    with contextlib.redirect_stdout(sys.stderr):
        net = get_model(name, **options)
    if hasattr(net, "rpn"):  # the regions of an image; 300 or 1000 of them take minutes
        net._rpn_test_post_nms = net.rpn._test_post_nms = net._rcnn_max_dets = 30
    return net


def inputs(net: mx.gluon.HybridBlock, name: str) -> list[np.ndarray]:
    """Return images for ``net``, of the smallest size that it takes: one, and two if it takes more than one at once."""
    channels: tuple[int, ...] = (6,) if "posenet" in name else (3,)
    if hasattr(net, "slow_frames"):
        channels = (3, net.slow_frames + net.fast_frames)
    elif re.match("i3d|c3d|p3d|r2plus1d", name):
        channels = (3, 32 if name.startswith("i3d") else 16)
    sizes = (net.crop_size,) if hasattr(net, "crop_size") else (32,) if name.startswith("cifar") else _SIZES
    if task_of(name) == "detection":  # below, the last layers see one pixel, and most boxes are cut to the same
        sizes = tuple(size for size in sizes if size >= 256)
    graph = graph_of(net)
    for batch in (2, 1):
        for size in sizes:
            try:
                shapes.infer(graph, {"data": (batch, *channels, size, size)})
            except ZooError as error:
                reason = error
                continue
            coarse = np.random.default_rng(0).standard_normal((3, *channels, 4, 4), np.float32)
            images = np.kron(coarse, np.ones((-(-size // 4),) * 2, np.float32))[..., :size, :size]
            return [images[:1], images[1 : 1 + batch]]
    raise reason


def outputs(net: mx.gluon.HybridBlock, images: np.ndarray) -> list[np.ndarray]:
    """Return all outputs of ``net`` in MXNet, however nested."""

    def flat(found: Any) -> Iterator[np.ndarray]:
        if isinstance(found, mx.nd.NDArray):
            yield found.asnumpy()
        else:
            for each in found:
                yield from flat(each)

    return list(flat(net(mx.nd.array(images))))


def set_weights(net: mx.gluon.HybridBlock, images: np.ndarray) -> None:
    """Set random weights with which every layer's outputs have the variance 1, and measured statistics of BatchNorm.

    With others, outputs would explode in some networks, and differences between images vanish in most.
    """
    graph, parameters = graph_of(net), net.collect_params()
    for path, found in shapes.infer(graph, {"data": images.shape}).items():
        if path in parameters:
            parameters[path].shape = found[0]
    net.initialize(mx.init.Zero())
    for path, parameter in parameters.items():
        random = np.random.default_rng(len(path))
        if path.endswith("weight"):
            parameter.set_data(mx.nd.array(np.resize(_NOISE, parameter.shape)))
        elif path.endswith(("gamma", "alpha")):  # small, so that the deepest networks do not amplify rounding
            parameter.set_data(mx.nd.array(random.uniform(0.1, 0.2, parameter.shape)))
        elif path.endswith(("beta", "bias")):
            parameter.set_data(mx.nd.array(random.uniform(-0.05, 0.05, parameter.shape)))
    if not any(node.subgraphs for node in graph.nodes()):  # quantized networks are not run operator by operator
        _settle(graph, parameters, mx.nd.array(images))


def _settle(graph: Graph, parameters: mx.gluon.ParameterDict, images: mx.nd.NDArray) -> None:
    """Run ``graph`` operator by operator, and set the statistics and the scales of weights as they are met."""
    values: dict[int, list[mx.nd.NDArray]] = {}  # the outputs of a node, by its id
    scaled: set[str] = set()
    for node in graph.nodes():
        if node.is_variable:  # copies, because convolutions lay out their weights anew
            values[id(node)] = [images if node.name == "data" else parameters[node.name].data().copy()]
            continue
        taken = [values[id(each)][output] for each, output in node.inputs]
        if node.operator.endswith("BatchNorm"):
            taken[3:] = _statistics(node, taken[0])
            for (variable, _), value in zip(node.inputs[3:], taken[3:]):
                parameters[variable.name].set_data(value)
        made = _run(node, taken)
        own = {each.name for each, _ in node.inputs if each.is_variable and each.name.endswith(("weight", "bias"))}
        if own and not own & scaled:
            spread = (made[0] - made[0].mean()).square().mean().sqrt()
            for path in own:
                parameters[path].set_data(parameters[path].data() / spread)
            made[0] = made[0] / spread
            scaled |= own
        values[id(node)] = made


def _statistics(node: Node, data: mx.nd.NDArray) -> tuple[mx.nd.NDArray, mx.nd.NDArray]:
    axis = int(node.attributes.get("axis", "1")) % data.ndim
    mean = data.mean(axis=axis, exclude=True)
    centered = data - mean.reshape([-1 if each == axis else 1 for each in range(data.ndim)])
    # Of all channels together: that of one channel, or of a single pixel, may be close to 0.
    spread = mx.nd.maximum(centered.square().mean(), data.square().mean() / 10)
    return mean, spread * mx.nd.array(np.random.default_rng(0).uniform(0.8, 1.2, mean.shape))


def _run(node: Node, taken: list[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
    handle = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.NNGetOpHandle(mx.base.c_str(node.operator), ctypes.byref(handle)))
    settings = {key: value for key, value in node.attributes.items() if not key.startswith("__")}
    made = mx.nd._internal._imperative_invoke(
        handle.value, taken, [*settings], [*settings.values()], None, False, False
    )
    return made if isinstance(made, list) else [made]
