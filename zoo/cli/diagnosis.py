"""Diagnosis of this machine: what was found, what was chosen for it, and whether it can train."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from zoo.console import mxnet_reason
from zoo.data import fetch, load_mnist
from zoo.data.catalogue import DATASETS
from zoo.data.mnist import named_folder
from zoo.errors import ZooError
from zoo.installation import environment
from zoo.io import files, private
from zoo.runtime import STATUS, cpus, gpus, isa

_GPU_TESTS = "python -m pytest -m gpu tests"
_SPEED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Diagnosis:
    """The report of ``python -m zoo doctor``."""

    findings: tuple[tuple[str, str], ...]  # pairs of a name and a value
    problems: tuple[str, ...]  # one sentence each; empty if a network can be trained on MNIST here


def examine() -> Diagnosis:
    """Check everything that training depends on; if there is no problem, run a training step on each context."""
    mnist, problems = _data()
    if STATUS.problem is not None:
        problems = [STATUS.problem, *problems]
    if not problems:
        problems = _trial()
    return Diagnosis((*_software(), *_processor(), *_contexts(), *mnist), tuple(problems))


def _software() -> Iterator[tuple[str, str]]:
    import numpy

    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    yield "NumPy", numpy.__version__
    yield "MXNet", (STATUS.distribution or "not from a wheel") + (" (cannot be used)" if STATUS.problem else "")
    complaint = environment.complaint()
    if complaint:
        yield "pip check", complaint
    if environment.hook_file().exists():
        yield "import hook", f"'import mxnet' works in every program of this environment, by {environment.hook_file()}"
    if STATUS.preloaded:
        yield "CUDA libraries", f"{len(STATUS.preloaded)} from pip: {', '.join(STATUS.preloaded)}"
    if STATUS.problem is None:
        from zoo.runtime import mx

        yield (
            "MXNet's build",
            ", ".join(sorted(name for name, feature in mx.runtime.Features().items() if feature.enabled)),
        )


def _processor() -> Iterator[tuple[str, str]]:
    yield "processor", cpus.model_name()
    yield (
        "instructions",
        ", ".join(flag for flag in _SPEED_FLAGS if flag in isa.flags()) or "none of " + ", ".join(_SPEED_FLAGS),
    )
    yield "CPUs", f"{cpus.usable()} usable of {os.cpu_count()}"
    yield "OpenMP threads", f"{STATUS.threads} ({STATUS.threads_from})"
    yield "AMX", f"{'yes' if STATUS.amx else 'no'} ({STATUS.amx_reason})"
    if STATUS.problem is None:
        from zoo import kernels

        found = kernels.available()
        extent = "yes, for bfloat16 on AMX too" if found.convolution else "yes" if found.usable else "no"
        yield "kernels", f"{extent} ({found.why})"


def _contexts() -> Iterator[tuple[str, str]]:
    found = gpus.installed()
    for gpu in found:
        yield "GPU", str(gpu)
    if STATUS.is_cuda_wheel:
        refusal = gpus.refusal() if STATUS.problem is None else None
        if refusal:
            yield "GPUs not used", refusal
    elif any(gpu.has_code for gpu in found) and STATUS.distribution is not None:
        yield "GPUs not used", f"{STATUS.distribution} is for CPUs alone: run python -m zoo setup --wheel cu112"
    if STATUS.problem is None:
        from zoo.graph.execution import possible_dtypes
        from zoo.runtime import contexts

        yield "contexts", ", ".join(map(str, contexts.usable()))
        dtypes = (f"{context}: {', '.join(possible_dtypes([context]))}" for context in contexts.usable())
        yield "dtypes", "; ".join(dtypes)
        if any(context.device_type == "gpu" for context in contexts.usable()):
            yield "tests of GPUs", f"in a clone, {_GPU_TESTS} compares what they compute with the CPU"


def _data() -> tuple[list[tuple[str, str]], list[str]]:
    """Findings and problems about MNIST, without fetching anything."""
    dataset = DATASETS["mnist"]
    cache, problems = fetch.cache(dataset), []
    if named_folder(dataset) is None and not fetch.is_complete(dataset, cache):
        state = "not in the cache yet; the first use fetches it"
        with suppress(OSError):
            private.make(cache)
        try:
            files.output_directory(cache)
        except ZooError as error:
            problems.append(f"MNIST is not in the cache, and the cache is not writable: {error}")
    else:
        try:
            mnist = load_mnist()
            state = f"{len(mnist.train):,} + {len(mnist.test):,} images in {mnist.source}"
        except ZooError as error:
            state = "cannot be used"
            problems.append(str(error))
    return [("MNIST", state), ("cache", str(cache))], problems


def _trial() -> list[str]:
    """Run one training step on synthetic data on every usable context; returns the problems."""
    from zoo import models, training
    from zoo.data import synthetic
    from zoo.recipes import Recipe
    from zoo.runtime import contexts, mx

    data, problems = synthetic(train=32, test=1).train, []
    for context in contexts.usable():
        try:
            net = models.get_model("cnn7", ctx=context, seed=0)
            training.fit(net, data, recipe=Recipe(epochs=1, batch_size=32), progress=False)
        except mx.base.MXNetError as error:
            problems.append(f"a training step of cnn7 on {context} failed: {mxnet_reason(error)}")
    return problems
