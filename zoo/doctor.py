"""``python -m zoo doctor``: what was found on this machine, what was decided for it, and whether it can train."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

from zoo.console import mxnet_reason
from zoo.data import fetch, load_mnist
from zoo.errors import ZooError
from zoo.runtime import STATUS, cpus, gpus

_SPEED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def main() -> int:
    """Print the findings; 0 if a network can be trained on MNIST here, 1 if not."""
    problems: list[str] = []
    rows = [*_software(), *_processor(), *_contexts(problems), *_data(problems)]
    print(tabulate(rows, tablefmt="plain"))
    if not problems and STATUS.problem is None:
        problems += _trial()
    problems = [STATUS.problem, *problems] if STATUS.problem else problems
    print()
    for problem in problems:
        print(f"problem: {problem}")
    if not problems:
        print("all is well: one training step of cnn7 ran")
    return 1 if problems else 0


def _software() -> Iterator[tuple[str, str]]:
    import numpy

    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    yield "NumPy", numpy.__version__
    yield "MXNet", (STATUS.distribution or "not from a wheel") + (" (cannot be used)" if STATUS.problem else "")
    if STATUS.preloaded:
        yield "CUDA libraries", f"{len(STATUS.preloaded)} from pip: {', '.join(STATUS.preloaded)}"
    if STATUS.problem is None:
        from zoo.runtime import mx

        yield "MXNet's build", ", ".join(sorted(name for name, feature in mx.runtime.Features().items() if feature.enabled))


def _processor() -> Iterator[tuple[str, str]]:
    yield "processor", cpus.model_name()
    yield "instructions", ", ".join(flag for flag in _SPEED_FLAGS if flag in cpus.flags()) or "none of " + ", ".join(_SPEED_FLAGS)
    yield "CPUs", f"{cpus.usable()} usable of {os.cpu_count()}"
    yield "OpenMP threads", f"{STATUS.threads} ({STATUS.threads_from})"


def _contexts(problems: list[str]) -> Iterator[tuple[str, str]]:
    for gpu in gpus.installed():
        yield "GPU", str(gpu) if gpu.has_code or not STATUS.is_cuda_wheel else gpu.refusal
    if STATUS.problem is None:
        from zoo import contexts

        yield "contexts", ", ".join(map(str, contexts.usable()))


def _data(problems: list[str]) -> Iterator[tuple[str, str]]:
    folder = os.environ.get("MNIST_DIR")
    where = f"{folder} (MNIST_DIR)" if folder else str(fetch.cache())
    if not folder and not any((fetch.cache() / name).exists() for name in fetch.FILES):
        yield "MNIST", f"not fetched yet; the first use puts it into {where}"
    elif not folder and not fetch.is_complete(fetch.cache()):
        yield "MNIST", f"incomplete in {where}; the next use fetches it again"
    else:
        try:
            mnist = load_mnist()
            yield "MNIST", f"{len(mnist.train):,} + {len(mnist.test):,} images in {where}"
        except ZooError as error:
            yield "MNIST", "cannot be used"
            problems.append(str(error))
    yield "cache", f"{fetch.cache()} ({_writable(fetch.cache())})"


def _writable(folder: Path) -> str:
    while not folder.exists():
        folder = folder.parent
    return "writable" if os.access(folder, os.W_OK) else "not writable"


def _trial() -> list[str]:
    """Problems met by one real training step, on data made here."""
    from zoo import models, training
    from zoo.data import synthetic
    from zoo.recipes import Recipe
    from zoo.runtime import mx

    try:
        data = synthetic(train=32, test=1).train
        training.fit(models.get_model("cnn7", seed=0), data, recipe=Recipe(epochs=1, batch_size=32), progress=False)
        return []
    except mx.base.MXNetError as error:
        return [f"a training step of cnn7 failed: {mxnet_reason(error)}"]
