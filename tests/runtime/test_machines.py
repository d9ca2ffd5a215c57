"""The same work on lesser machines: no AMX, no compiler, a single core."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BFLOAT16, ROOT
from toolchains import COMPILERS, command

from zoo.runtime import amx

DTYPES = ("auto", "float32", *BFLOAT16)
WORK = f"""
import json, zoo
from zoo import kernels
from zoo.runtime import STATUS, mx
from zoo.training import Predictor
mnist = zoo.load_mnist()
result = {{"amx": STATUS.amx, "reason": STATUS.amx_reason, "threads": STATUS.threads,
           "kernels": kernels.available().usable, "why": kernels.available().reason}}
for dtype in {DTYPES}:
    net = zoo.get_model("cnn7", seed=0)
    recipe = zoo.Recipe(epochs=1, batch_size=100, learning_rate=0.05, dtype=dtype)
    record = zoo.fit(net, mnist.train[:600], mnist.test[:200], recipe, progress=False).records[-1]
    plain = zoo.evaluate(net, mnist.test[:200])
    low = Predictor(net, mnist.test[:200], [mx.cpu()], 100, "{DTYPES[-1]}").evaluate()
    result[dtype] = [record.train_loss, record.validation_loss, plain.loss, low.loss]
print(json.dumps(result))
"""


def work(prefix: tuple[str, ...] = (), **environment: str) -> dict:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [*prefix, sys.executable, "-c", WORK],
        cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def here() -> dict:
    return work()


def assert_learned_the_same(found: dict, here: dict) -> None:
    """All draw different masks or round differently, but they learn the same: losses of one short epoch agree."""
    for dtype in DTYPES:
        train_loss, validation_loss, plain, low = found[dtype]
        assert train_loss == pytest.approx(here["float32"][0], rel=0.05)
        assert validation_loss == pytest.approx(plain, rel=1e-4)
        assert low == pytest.approx(plain, rel=0.02)


def test_dtypes_agree_here(here):
    assert_learned_the_same(here, here)


def test_without_amx(here):
    found = work(ZOO_AMX="0", DNNL_MAX_CPU_ISA="AVX512_CORE_AMX")  # what could not work is not tried
    assert not found["amx"] and found["reason"] == "off: ZOO_AMX=0"
    assert found["auto"][0] == found["float32"][0]  # bfloat16 would gain nothing
    assert_learned_the_same(found, here)


def test_without_kernels(here):
    found = work(ZOO_KERNELS="0")
    assert not found["kernels"] and found["why"] == "off: ZOO_KERNELS=0"
    assert found["auto"][0] == found["float32"][0]
    assert_learned_the_same(found, here)


@pytest.mark.parametrize("compiler, why", [("no-such-compiler", "no C++ compiler"), ("false", "could not be compiled")])
def test_without_a_compiler_that_works(compiler: str, why: str, here, tmp_path: Path):
    code = "from zoo import kernels; found = kernels.available(); print(found.usable, found.reason)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, "CXX": compiler}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("False ") and why in done.stdout


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", COMPILERS)
def test_with_every_compiler(name: str, here):
    """With a standard library of another compiler, too, masks are those of MXNet's generator."""
    found = work(CXX=shlex.join(command(name)))
    assert found["kernels"]
    assert found["float32"][:2] == pytest.approx(here["float32"][:2], rel=1e-4)


def test_on_one_core_without_amx_or_kernels(here):
    core = str(min(os.sched_getaffinity(0)))
    found = work(("taskset", "-c", core), ZOO_AMX="0", ZOO_KERNELS="0")
    assert found["threads"] == 1
    assert_learned_the_same(found, here)


def test_on_one_core(here):
    core = str(min(os.sched_getaffinity(0)))
    found = work(("taskset", "-c", core))
    assert found["threads"] == 1
    assert_learned_the_same(found, here)


@pytest.mark.parametrize("change, reason", [
    ({"machine": "aarch64"}, "not on this platform"),
    ({"system": "Darwin"}, "not on this platform"),
    ({"flags": frozenset({"avx2"})}, "this processor has none"),
    ({"permitted": False}, "the kernel does not grant it (Linux 5.16 or later does)"),
])  # fmt: skip
def test_amx_is_left_alone_where_it_is_not(change: dict, reason: str, monkeypatch):
    facts = {"machine": "x86_64", "system": "Linux", "flags": amx._NEEDED, "permitted": True, **change}
    monkeypatch.setattr(amx.platform, "machine", lambda: facts["machine"])
    monkeypatch.setattr(amx.platform, "system", lambda: facts["system"])
    monkeypatch.setattr(amx.cpus, "flags", lambda: facts["flags"])
    monkeypatch.setattr(amx, "_permitted", lambda: facts["permitted"])
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX")  # as another program may have left it
    monkeypatch.delenv("ZOO_AMX", raising=False)
    assert amx.request(too_late=False) == (False, reason)
    assert "AMX" not in os.environ["DNNL_MAX_CPU_ISA"]  # with it, oneDNN's next operator would kill the process


def test_programs_started_from_here_are_not_told_to_use_amx():
    assert "DNNL_MAX_CPU_ISA" not in os.environ or "AMX" not in os.environ["DNNL_MAX_CPU_ISA"]
