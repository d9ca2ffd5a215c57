"""``ZOO_ISA``: the instructions of an older processor."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import assert_refused

import zoo
from zoo import kernels
from zoo.runtime import cpus, isa, mx

LACKING = [each.name for each in isa.ALL if not each.needs <= cpus.flags()]
ABLE = [each.name for each in isa.ALL if each.needs <= cpus.flags()]
COMPUTE = """
import json, sys, numpy as np, zoo
from zoo import kernels
from zoo.runtime import STATUS, isa
net = zoo.get_model("nano", seed=0)
images = np.random.default_rng(0).random((7, 1, 28, 28), np.float32)
logits = zoo.compile(net)(images)
mnist = zoo.load_mnist()
history = zoo.fit(net, mnist.train[:300], recipe=zoo.Recipe(epochs=1, batch_size=60))
print(json.dumps({
    "usable": kernels.available().usable, "amx": STATUS.amx, "flags": sorted(isa.flags()), "logits": logits.tolist(),
    "sha256": kernels.available().sha256, "loss": history.records[0].train_loss,
}))
"""


@pytest.mark.skipif(not kernels.available().usable, reason=kernels.available().reason)
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.exhaustive) for name in ABLE])
def test_kernels_compute_the_same_with_older_instructions(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(isa.SWITCH, name)
    done = subprocess.run([sys.executable, "-c", COMPUTE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["usable"] and not [each for each in found["flags"] if each.startswith(isa.chosen().beyond or "!")]
    assert not found["amx"] or name == "amx"
    monkeypatch.delenv(isa.SWITCH)
    net = zoo.get_model("nano", seed=0)
    images = mx.nd.array(np.random.default_rng(0).random((7, 1, 28, 28), np.float32))
    expected = net(images).asnumpy()
    assert np.abs(np.array(found["logits"]) - expected).max() < 1e-5 * np.abs(expected).max()
    history = zoo.fit(net, zoo.load_mnist().train[:300], recipe=zoo.Recipe(epochs=1, batch_size=60, dtype="float32"))
    assert found["loss"] == pytest.approx(history.records[0].train_loss, rel=1e-4)


@pytest.mark.parametrize("name, words", [
    ("avx3", ["ZOO_ISA must be one of sse4, avx2, avx512, amx, not 'avx3'"]),
    *((name, [f"ZOO_ISA is {name}, and this processor has only"]) for name in LACKING[:1]),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(run, monkeypatch: pytest.MonkeyPatch, name: str, words: list):
    monkeypatch.setenv(isa.SWITCH, name)
    assert_refused(run("zoo", "explain", "mlp"), *words)


def test_other_libraries_are_restricted_likewise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(isa.SWITCH, raising=False)
    assert isa.settings() == {} and isa.compiler_flags() == ("-march=native",) and isa.flags() == cpus.flags()
    monkeypatch.setattr(cpus, "flags", lambda: frozenset({"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f"}))
    monkeypatch.setenv(isa.SWITCH, "AVX2")
    assert isa.settings()["ONEDNN_MAX_CPU_ISA"] == "AVX2" and isa.settings()["ATEN_CPU_CAPABILITY"] == "avx2"
    assert isa.compiler_flags() == ("-march=haswell",) and isa.flags() == cpus.flags() - {"avx512f"}
