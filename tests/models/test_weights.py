"""Parameter files: MXNet's format, with checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused

import zoo
from zoo.models import params, weights
from zoo.models.architectures import MODELS
from zoo.runtime import mx


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_saved_network_comes_back_bit_for_bit(name: str, tmp_path: Path):
    net, other = zoo.get_model(name, seed=1), zoo.get_model(name, seed=2)
    digest = zoo.save_parameters(net, tmp_path / "net.params")
    assert zoo.load_parameters(other, tmp_path / "net.params") == digest == zoo.parameter_hash(other)


def test_weights_are_read_right_while_a_forward_pass_is_in_flight():
    """MXNet rearranges weights in memory after a forward pass and does not make readers wait for it.

    Unless the reader waits for everything, this fails in about one of eight fresh processes.
    """
    digest = zoo.parameter_hash(zoo.get_model("cnn7", seed=1))
    code = "import zoo; print(zoo.parameter_hash(zoo.get_model('cnn7', seed=1)))"
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == digest


@pytest.mark.parametrize("name", zoo.list_models())
def test_mxnet_reads_what_is_written_here(name: str, tmp_path: Path):
    net, other = zoo.get_model(name, seed=1), zoo.get_model(name, seed=2)
    zoo.save_parameters(net, tmp_path / "net-0003.params")
    other.load_parameters(str(tmp_path / "net-0003.params"))
    assert zoo.parameter_hash(other) == zoo.parameter_hash(net)
    arguments, auxiliary = mx.model.load_params(str(tmp_path / "net"), 3)
    assert set(arguments) | set(auxiliary) == set(net.collect_params())


def test_what_mxnet_writes_is_read_here(tmp_path: Path):
    net, other = zoo.get_model("cnn7", seed=1), zoo.get_model("cnn7", seed=2)
    net.hybridize()
    net(mx.nd.zeros((1, 1, 28, 28)))
    net.export(str(tmp_path / "net"), epoch=13)
    zoo.load_parameters(other, tmp_path / "net-0013.params")
    assert zoo.parameter_hash(other) == zoo.parameter_hash(net)


@pytest.mark.parametrize("name", zoo.list_models())
def test_gluon_s_own_parameter_files_are_read(name: str, tmp_path: Path):
    net, other = zoo.get_model(name, seed=1), zoo.get_model(name, seed=2)
    net.save_parameters(str(tmp_path / "net.params"))  # names by structure: "0.weight"
    zoo.load_parameters(other, tmp_path / "net.params")
    assert zoo.parameter_hash(other) == zoo.parameter_hash(net)


def test_a_network_without_weights_is_refused():
    net = MODELS["cnn7"].build()
    with pytest.raises(zoo.ZooError, match="no weights yet"):
        zoo.parameter_hash(net)


@pytest.fixture(scope="module")
def content() -> bytes:
    return params.encode({"arg:a": np.arange(6, dtype=np.float32).reshape(2, 3), "aux:b": np.ones(2, np.int64)})


def test_every_truncation_is_noticed(content: bytes):
    for length in range(len(content)):
        with pytest.raises(zoo.WeightsError, match="x.params is damaged or no parameter file"):
            params.decode(content[:length], "x.params")


def flips(content: bytes) -> Iterator[bytes]:
    """``content`` with each of its bits flipped."""
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            yield bytes(damaged)


def test_every_flipped_bit_is_noticed(content: bytes):
    assert params.decode(content, "x.params")["arg:a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for damaged in flips(content):
        with pytest.raises(zoo.WeightsError, match="x.params is damaged or no parameter file"):
            params.decode(damaged, "x.params")


def test_files_without_a_seal_are_read_and_none_crashes_or_asks_for_gigabytes(content: bytes):
    """As MXNet writes them."""
    unsealed = content[:8] + bytes(8) + content[16:]
    assert params.decode(unsealed, "x.params").keys() == params.decode(content, "x.params").keys()
    for damaged in flips(unsealed):
        try:
            arrays = params.decode(damaged, "x.params")
        except zoo.WeightsError:
            continue
        assert sum(array.nbytes for array in arrays.values()) <= len(content)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(value: float, tmp_path: Path, run_here):
    net = zoo.get_model("mlp", seed=1)
    before = zoo.parameter_hash(net)
    arrays = weights.state(net)
    arrays["arg:fc2_weight"] = np.where(arrays["arg:fc2_weight"] > 0, np.float32(value), arrays["arg:fc2_weight"])
    weights.save_state(arrays, tmp_path / "diverged.params")
    with pytest.raises(zoo.WeightsError, match=r"diverged\.params cannot be used: fc2_weight holds values .* of 1,280"):
        zoo.load_parameters(net, tmp_path / "diverged.params")
    assert zoo.parameter_hash(net) == before
    assert_refused(run_here("zoo", "evaluate", "mlp", "--params", tmp_path / "diverged.params"), "not finite")


def test_safetensors_are_written_and_read(tmp_path: Path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "net.safetensors"
    net, other = zoo.get_model("cnn7", seed=1), zoo.get_model("cnn7", seed=2)
    assert zoo.save_parameters(net, path) == zoo.load_parameters(other, path)
    assert zoo.parameter_hash(other) == zoo.parameter_hash(net)
    arrays = safetensors.load_file(path)
    assert set(arrays) == set(net.collect_params())
    content = path.read_bytes()
    for place in range(0, len(content), 4999):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(zoo.WeightsError, match=r"net\.safetensors is damaged"):
            zoo.load_parameters(other, path)
    path.write_bytes(content[:-1])
    with pytest.raises(zoo.WeightsError, match=r"net\.safetensors is damaged"):
        zoo.load_parameters(other, path)
    safetensors.save_file({**arrays, "bn1_gamma": arrays["bn1_gamma"] * np.nan}, path)  # from elsewhere, unsealed
    with pytest.raises(zoo.WeightsError, match=r"bn1_gamma holds .* \(64 of 64\)"):
        zoo.load_parameters(other, path)
    safetensors.save_file({**arrays, "bn1_gamma": arrays["bn1_gamma"][:-1]}, path)
    with pytest.raises(zoo.WeightsError, match=r"bn1_gamma is float32 \(63,\) and should be float32 \(64,\)"):
        zoo.load_parameters(other, path)
    assert zoo.parameter_hash(other) == zoo.parameter_hash(net)


def test_files_of_pytorch_are_refused_with_the_way_out(tmp_path: Path):
    for name, content in (("new.pt", b"PK\3\4 a zip archive"), ("old.pth", b"\x80\2 a pickle")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(zoo.WeightsError, match=f"{name} is a file of PyTorch .* convert it to safetensors"):
            zoo.load_parameters(zoo.get_model("mlp"), tmp_path / name)


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path: Path):
    zoo.save_parameters(zoo.get_model("mlp_128_64", seed=1), tmp_path / "other.params")
    net = zoo.get_model("mlp", seed=1)
    before = zoo.parameter_hash(net)
    with pytest.raises(
        zoo.WeightsError, match="other.params belong to another network: not part of this one fc3_bias, fc3_weight"
    ):
        zoo.load_parameters(net, tmp_path / "other.params")
    wrong = {name: array[:-1] for name, array in weights.state(net).items()}
    with pytest.raises(zoo.WeightsError, match=r"float32 \(127, 784\) and should be float32 \(128, 784\)"):
        weights.restore(net, wrong)
    assert zoo.parameter_hash(net) == before


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(zoo.WeightsError, match="cannot read .*nothing.params: No such file"):
        zoo.load_parameters(zoo.get_model("mlp"), tmp_path / "nothing.params")
