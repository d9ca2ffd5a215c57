"""Export every network of GluonCV 0.10.5 to ONNX and compare ONNX Runtime with MXNet: the tables of docs/gluoncv.md.

Each network runs in a process of its own. Results are appended to a file, and networks that it has are not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

import export
from export.inference import graph_of
from export.onnx import DEFAULT_OPSET
from export.onnx.operators import OPERATORS
from export.runtimes import onnx_runtime_session
from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.graph import shapes
from zoo.graph.ir import Node
from zoo.io import temporary
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
TOLERANCE = 1e-4  # of an output's largest value
SIZES = (64, 96, 128, 192, 224, 256, 299, 300, 320, 480, 512)  # the first that a network takes is used
NOISE = np.random.default_rng(0).standard_normal(1_000_003, np.float32)
BATCHES = (1, 2)
CUSTOM = {"classes": ("cat", "dog"), "transfer": None}


def build(name: str) -> mx.gluon.HybridBlock:
    """Build a network, without fetching the pretrained weights that some start from."""
    np.float = float  # an old name that GluonCV uses
    from gluoncv.model_zoo import get_model, model_store

    model_store.get_model_file = lambda *_, **__: ""
    mx.gluon.Block.load_parameters = lambda net, *_, **__: net.initialize()
    options: dict[str, Any] = {}
    if name.startswith("i3d"):
        options["pretrained_base"] = False  # weights of images, from which those of videos would be computed
    if task_of(name) == "segmentation" and not name.startswith("hrnet"):
        options["crop_size"] = 192 if re.match("icnet|fastscnn", name) else 96  # the size that they resize to
    if name.endswith("custom"):
        options.update({"use_kinetics_pretrain": False} if task_of(name) == "action recognition" else CUSTOM)
    with contextlib.redirect_stdout(sys.stderr):
        net = get_model(name, **options)
    if hasattr(net, "rpn"):  # not 300 or 1000 regions of an image, which take minutes
        net._rpn_test_post_nms = net.rpn._test_post_nms = net._rcnn_max_dets = 30
    return net


def task_of(name: str) -> str:
    """Return what a network is for."""
    return next(task for task, pattern in TASKS.items() if re.search(pattern, name))


def input_shape(net: mx.gluon.HybridBlock, name: str) -> tuple[tuple[int, ...], int | None]:
    """Return the smallest input shape that MXNet takes, and the batch size if there is only one."""
    channels: tuple[int, ...] = (6,) if "posenet" in name else (3,)
    if hasattr(net, "slow_frames"):
        channels = (3, net.slow_frames + net.fast_frames)
    elif re.match("i3d|c3d|p3d|r2plus1d", name):
        channels = (3, 32 if name.startswith("i3d") else 16)
    sizes = (32,) if name.startswith("cifar") else (net.crop_size,) if hasattr(net, "crop_size") else SIZES
    if re.match("ssd|yolo3|center_net", name):
        sizes = [size for size in SIZES if size >= 256]  # below, their last layers see a single pixel
    graph = graph_of(net)
    for batch, size in [(2, size) for size in sizes] + [(1, size) for size in sizes]:
        try:
            shapes.infer(graph, {"data": (batch, *channels, size, size)})
        except ZooError as error:
            reason = error
        else:
            return (*channels, size, size), None if batch > 1 else 1
    raise reason


def set_weights(net: mx.gluon.HybridBlock, images: np.ndarray) -> None:
    """Set random weights that give every layer outputs of variance 1, and every BatchNorm the statistics of its input.

    With fixed statistics, differences between images would vanish in deep networks, or outputs explode.
    """
    net.initialize(mx.init.Zero())
    net(mx.nd.array(images))
    parameters = net.collect_params()
    for path, parameter in parameters.items():
        random = np.random.default_rng(len(path))
        if path.endswith("weight"):
            parameter.set_data(mx.nd.array(np.resize(NOISE, parameter.shape)))
        elif path.endswith(("gamma", "alpha")):  # small, so that the deepest networks do not amplify rounding
            parameter.set_data(mx.nd.array(random.uniform(0.1, 0.2, parameter.shape)))
        elif path.endswith(("beta", "bias")):
            parameter.set_data(mx.nd.array(random.uniform(-0.05, 0.05, parameter.shape)))
    nodes = list(graph_of(net).nodes())
    if any(node.subgraphs for node in nodes):  # of quantized networks, which are not run operator by operator
        return
    values: dict[int, list[mx.nd.NDArray]] = {}  # the outputs of a node, by its id
    scaled: set[str] = set()
    for node in nodes:
        if node.is_variable:
            values[id(node)] = [mx.nd.array(images) if node.name == "data" else parameters[node.name].data()]
            continue
        inputs = [values[id(each)][output] for each, output in node.inputs]
        if node.operator.endswith("BatchNorm"):
            axis = int(node.attributes.get("axis", "1")) % inputs[0].ndim
            mean = inputs[0].mean(axis=axis, exclude=True)
            shape = [-1 if each == axis else 1 for each in range(inputs[0].ndim)]
            spread = (inputs[0] - mean.reshape(shape)).square().mean()  # that of a single channel may be close to 0
            spread = mx.nd.maximum(spread, inputs[0].square().mean() / 10)  # so may that of a single pixel
            random = np.random.default_rng(0).uniform(0.8, 1.2, mean.shape)
            for (variable, _), value in zip(node.inputs[3:], (mean, spread * mx.nd.array(random))):
                parameters[variable.name].set_data(value)
        outputs = run_operator(node, inputs)
        own = {each.name for each, _ in node.inputs if each.is_variable and each.name.endswith(("weight", "bias"))}
        if own and not own & scaled:
            spread = (outputs[0] - outputs[0].mean()).square().mean().sqrt()
            for name in own:
                parameters[name].set_data(parameters[name].data() / spread)
            outputs[0] = outputs[0] / spread
            scaled |= own
        values[id(node)] = outputs


def run_operator(node: Node, inputs: list[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
    """Run one operator of a graph."""
    handle = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.NNGetOpHandle(mx.base.c_str(node.operator), ctypes.byref(handle)))
    settings = {key: value for key, value in node.attributes.items() if not key.startswith("__")}
    outputs = mx.nd._internal._imperative_invoke(
        handle.value, inputs, [*settings], [*settings.values()], None, False, False
    )
    return outputs if isinstance(outputs, list) else [outputs]


def outputs_of(net: mx.gluon.HybridBlock, images: np.ndarray) -> list[np.ndarray]:
    """Run a network in MXNet; returns all outputs, however nested."""

    def flat(outputs: Any) -> Iterator[np.ndarray]:
        if isinstance(outputs, mx.nd.NDArray):
            yield outputs.asnumpy()
        else:
            for each in outputs:
                yield from flat(each)

    return list(flat(net(mx.nd.array(images))))


def survey(name: str) -> dict[str, Any]:
    """Build, export and compare one network."""
    warnings.simplefilter("ignore")
    result: dict[str, Any] = {"name": name, "task": task_of(name), "verdict": "MXNet cannot run it"}
    try:
        net = build(name)
        try:
            graph_of(net)
        except ZooError as error:
            net.initialize()
            outputs_of(net, np.zeros((1, 3, 224, 224), np.float32))  # if it runs, its code is for arrays only
            return {**result, "verdict": "refused", "reason": str(error)}
        shape, batch = input_shape(net, name)
        result.update({"shape": shape, "batches": [batch] if batch else BATCHES})
        coarse = np.random.default_rng(0).standard_normal((3, *shape[:-2], 4, 4), np.float32)
        images = np.kron(coarse, np.ones([-(-size // 4) for size in shape[-2:]], np.float32))
        images = images[..., : shape[-2], : shape[-1]]
        parts = [images[:1], images[1:2]] if batch else [images[:1], images[1:]]
        set_weights(net, images[:batch])
        expected = [outputs_of(net, part) for part in parts]
    except Exception as error:  # GluonCV's own code
        return {**result, "reason": f"{type(error).__name__}: {mxnet_reason(error)}"}
    if not all(np.isfinite(each).all() for outputs in expected for each in outputs):
        return {**result, "reason": "its outputs are not finite"}
    if all(np.array_equal(one[:1], other[:1]) for one, other in zip(*expected)):
        return {**result, "reason": "its outputs for two images are the same"}
    try:
        with temporary.folder() as folder:
            opset = 19 if "dcnv2" in name else DEFAULT_OPSET  # ONNX has deformable convolutions since then
            session = onnx_runtime_session(export.to_onnx(net, folder / "net.onnx", shape, opset, batch))
    except ZooError as error:
        missing = sorted({node.operator for node in graph_of(net).nodes() if not node.is_variable} - OPERATORS.keys())
        return {**result, "verdict": "refused", "reason": str(error).partition(" (")[0], "missing": missing}
    result["verdict"] = "wrong"
    computed = [session.run(None, {session.get_inputs()[0].name: part}) for part in parts]
    for mine, theirs in zip(expected, computed):
        if [each.shape for each in mine] != [each.shape for each in theirs]:
            return {**result, "reason": f"shapes {[each.shape for each in theirs]} for {[each.shape for each in mine]}"}
    compare = rows_difference if result["task"] == "detection" else difference
    result["differences"] = [compare(mine, theirs) for mine, theirs in zip(expected, computed)]
    result["verdict"] = "agrees" if max(result["differences"]) <= TOLERANCE else "wrong"
    return result


def difference(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest difference of any output, relative to its largest value."""
    return max(float(np.abs(one - other).max() / np.abs(one).max()) for one, other in zip(mine, theirs))


def rows_difference(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest difference of any detection; those with the same score up to rounding are in any order."""
    scales = [np.abs(each).max() for each in mine]
    ours, others = (
        np.concatenate([(each / scale).reshape(*each.shape[:2], -1) for each, scale in zip(outputs, scales)], axis=2)
        for outputs in (mine, theirs)
    )
    largest = 0.0
    for one, other in [*zip(ours, others), *zip(others, ours)]:
        for row in range(len(one)):
            tied = np.abs(other[:, 1] - one[row, 1]) <= TOLERANCE
            nearest = np.abs(other[tied] - one[row]).max(axis=1).min() if tied.any() else np.inf
            largest = max(largest, float(nearest))
    return largest


def run(name: str, seconds: float) -> dict[str, Any]:
    """Survey one network in a process of its own."""
    begin = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--network", name], capture_output=True, text=True, timeout=seconds
        )
        line = done.stdout.strip().rpartition("\n")[2]
        result = json.loads(line) if line.startswith("{") else None
        reason = f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:300]}"
    except subprocess.TimeoutExpired:
        result, reason = None, f"took more than {seconds:g} seconds"
    result = result or {"name": name, "task": task_of(name), "verdict": "crashed", "reason": reason}
    return {**result, "seconds": round(time.monotonic() - begin, 1)}


def report(results: list[dict[str, Any]]) -> str:
    """Return the table of all networks, and the totals by task."""
    verdicts = ("agrees", "wrong", "refused", "crashed", "MXNet cannot run it")
    rows = [
        (
            each["name"],
            each.get("shape"),
            each["verdict"],
            max(each.get("differences", [None])),
            each.get("reason", "")[:100],
        )
        for each in results
    ]
    counts = Counter((each["task"], each["verdict"]) for each in results)
    totals = [(task, *(counts[task, verdict] for verdict in verdicts)) for task in TASKS]
    totals.append(("all", *(sum(row[1:][column] for row in totals) for column in range(len(verdicts)))))
    return "\n\n".join(
        [
            tabulate(rows, ("network", "input", "verdict", "max difference", "reason"), floatfmt=".1e", missingval=""),
            tabulate(totals, ("task", *verdicts)),
        ]
    )


def main() -> None:
    """Survey the networks that are not in the file yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gluoncv.jsonl"), help="the file of the results")
    parser.add_argument("--only", default="", metavar="PATTERN", help="networks whose names match it")
    parser.add_argument("--limit", type=int, help="at most so many networks")
    parser.add_argument("--again", action="store_true", help="networks that do not agree yet, too")
    parser.add_argument("--seconds", type=float, default=600, help="at most, for one network")
    parser.add_argument("--network", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.network:
        print(json.dumps(survey(arguments.network)))
        return
    try:
        from gluoncv.model_zoo import get_model_list
    except ImportError as error:
        sys.exit(
            f"the survey needs GluonCV ({error}): pip install --no-deps gluoncv==0.10.5 && pip install portalocker"
        )
    results: dict[str, dict[str, Any]] = {}
    if arguments.out.exists():
        results = {each["name"]: each for each in map(json.loads, arguments.out.read_text().splitlines())}
    done = {name for name, each in results.items() if not arguments.again or each["verdict"] == "agrees"}
    names = [name for name in get_model_list() if re.search(arguments.only, name)]
    for name in [name for name in names if name not in done][: arguments.limit]:
        results[name] = run(name, arguments.seconds)
        with arguments.out.open("a") as file:
            file.write(json.dumps(results[name]) + "\n")
        print(f"{name}: {results[name]['verdict']}, {results[name]['seconds']} s", file=sys.stderr, flush=True)
    print(report([results[name] for name in names if name in results]))


if __name__ == "__main__":
    main()
