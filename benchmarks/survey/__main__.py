"""Export every network of GluonCV 0.10.5 to ONNX, and compare ONNX Runtime with MXNet: the tables of docs/gluoncv.md.

Each network runs in a process of its own. Results are appended to a file, and networks that it has are not run again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import networks
import numpy as np
from tabulate import tabulate

import export
from export.inference import graph_of
from export.onnx import DEFAULT_OPSET
from export.runtimes import onnx_runtime_session
from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.io import temporary

TOLERANCE = 1e-4  # of an output's largest value
VERDICTS = ("agrees", "wrong", "refused", "crashed", "MXNet cannot run it")


def survey(name: str) -> dict[str, Any]:
    """Build, export and compare the network ``name``."""
    warnings.simplefilter("ignore")
    result: dict[str, Any] = {"name": name, "verdict": "MXNet cannot run it"}
    try:
        net = networks.build(name)
        try:
            graph_of(net)
        except ZooError as error:
            net.initialize()
            networks.outputs(net, np.zeros((1, 3, 224, 224), np.float32))  # if this runs, its code is for arrays only
            return {**result, "verdict": "refused", "reason": str(error)}
        batches = networks.inputs(net, name)
        networks.set_weights(net, batches[1] if len(batches[1]) == 1 else np.concatenate(batches))
        expected = [networks.outputs(net, images) for images in batches]
    except Exception as error:  # GluonCV's own code
        return {**result, "reason": f"{type(error).__name__}: {mxnet_reason(error)}"}
    shape, batch = batches[0].shape[1:], None if len(batches[1]) > 1 else 1
    result.update(shape=shape, batches=[len(images) for images in batches])
    if not all(np.isfinite(each).all() for outputs in expected for each in outputs):
        return {**result, "reason": "its outputs are not finite"}
    if all(np.array_equal(one, other[:1]) for one, other in zip(*expected)):
        return {**result, "reason": "its outputs for two images are the same"}
    opset = 19 if "dcnv2" in name else DEFAULT_OPSET  # ONNX has deformable convolutions since then
    compare = rows_difference if networks.task_of(name) == "detection" else difference
    with temporary.folder() as folder:
        try:
            path = export.to_onnx(net, folder / "net.onnx", shape, opset, batch)
        except ZooError as error:
            return {**result, "verdict": "refused", "reason": str(error).partition(" (")[0]}
        for result["optimized"] in (True, False):  # what only ONNX Runtime's optimizations change is rounding
            session = onnx_runtime_session(path, optimizes=result["optimized"])
            computed = [session.run(None, {session.get_inputs()[0].name: images}) for images in batches]
            result["differences"] = [compare(mine, theirs) for mine, theirs in zip(expected, computed)]
            if max(result["differences"]) <= TOLERANCE:
                return {**result, "verdict": "agrees"}
    return {**result, "verdict": "wrong"}


def difference(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest difference of any output, relative to its largest value; infinite for other shapes."""
    if [each.shape for each in mine] != [each.shape for each in theirs]:
        return np.inf
    return max(float(np.abs(one - other).max() / np.abs(one).max()) for one, other in zip(mine, theirs))


def rows_difference(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest difference of any detection; those with the same score up to rounding are in any order.

    The outputs are (batch, detections, …), the second of them the scores. Which ones with the score of the last are
    among them is chance, too, so these are left out.
    """
    if [each.shape for each in mine] != [each.shape for each in theirs]:
        return np.inf
    scales = [np.abs(each).max() for each in mine]
    ours, others = (
        np.concatenate([(each / scale).reshape(*each.shape[:2], -1) for each, scale in zip(outputs, scales)], axis=2)
        for outputs in (mine, theirs)
    )
    largest = 0.0
    for one, other in [*zip(ours, others), *zip(others, ours)]:
        for row in one[one[:, 1] > one[-1, 1] + TOLERANCE]:
            tied = np.abs(other[:, 1] - row[1]) <= TOLERANCE
            largest = max(largest, float(np.abs(other[tied] - row).max(axis=1).min()) if tied.any() else np.inf)
    return largest


def run(name: str, seconds: float) -> dict[str, Any]:
    """Survey the network ``name`` in a process of its own."""
    command, begin = [sys.executable, __file__, "--network", name], time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        reason = f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"
    except subprocess.TimeoutExpired:
        done, reason = None, f"took more than {seconds:g} seconds"
    if done is not None and done.returncode == 0:
        result = json.loads(done.stdout.strip().rpartition("\n")[2])
    else:
        result = {"name": name, "verdict": "crashed", "reason": reason}
    return {**result, "seconds": round(time.monotonic() - begin, 1)}


def report(results: list[dict[str, Any]]) -> str:
    """Return three tables: the totals by task, those that agree by family, and those that do not by name."""
    counts = Counter((networks.task_of(each["name"]), each["verdict"]) for each in results)
    totals = [(task, *(counts[task, verdict] for verdict in VERDICTS)) for task in networks.TASKS]
    totals.append(("all", *map(sum, zip(*(row[1:] for row in totals)))))
    families: dict[tuple[str, str], list[float]] = {}
    for each in results:
        if each["verdict"] == "agrees":
            family = networks.task_of(each["name"]), networks.family_of(each["name"])
            families.setdefault(family, []).append(max(each["differences"]))
    agreeing = [(*family, len(found), max(found)) for family, found in sorted(families.items())]
    others = [
        (each["name"], each["verdict"], each.get("reason") or f"differs by {max(each['differences']):.1e}")
        for each in results
        if each["verdict"] != "agrees"
    ]
    return "\n\n".join([
        tabulate(totals, ("task", *VERDICTS)),
        tabulate(agreeing, ("task", "family", "agree", "max difference"), floatfmt=".1e"),
        tabulate(others, ("network", "verdict", "reason"), maxcolwidths=[None, None, 100]),
    ])  # fmt: skip


def main() -> None:
    """Survey the networks that are not in the file yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gluoncv.jsonl"), help="the file of the results")
    parser.add_argument("--only", default="", metavar="PATTERN", help="networks whose names match it")
    parser.add_argument("--limit", type=int, help="at most so many networks")
    parser.add_argument("--again", action="store_true", help="those that do not agree yet, too")
    parser.add_argument("--seconds", type=float, default=600, help="at most, for one network (default: 600)")
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
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    results = {each["name"]: each for each in map(json.loads, lines)}
    done = {name for name, each in results.items() if each["verdict"] == "agrees" or not arguments.again}
    names = [name for name in get_model_list() if re.search(arguments.only, name)]
    for name in [name for name in names if name not in done][: arguments.limit]:
        results[name] = run(name, arguments.seconds)
        with arguments.out.open("a") as file:
            file.write(json.dumps(results[name]) + "\n")
        print(f"{name}: {results[name]['verdict']}, {results[name]['seconds']} s", file=sys.stderr, flush=True)
    print(report([results[name] for name in names if name in results]))


if __name__ == "__main__":
    main()
