"""Parameter files: MXNet's format, with checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.models import weights
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
    return weights.encode({"arg:a": np.arange(6, dtype=np.float32).reshape(2, 3), "aux:b": np.ones(2, np.int64)})


def test_every_truncation_is_noticed(content: bytes):
    for length in range(len(content)):
        with pytest.raises(zoo.WeightsError, match="x.params is damaged or no parameter file"):
            weights.decode(content[:length], "x.params")


def test_no_flipped_bit_crashes_or_asks_for_gigabytes(content: bytes):
    intact = weights.decode(content, "x.params")
    assert intact["arg:a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            try:
                arrays = weights.decode(bytes(damaged), "x.params")
            except zoo.WeightsError:
                continue
            assert sum(array.nbytes for array in arrays.values()) <= len(content)


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
