"""MXNet's files, whole and damaged: loading gives a network or one sentence, and never ends the process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_refused

import export
import zoo
from zoo.models import params
from zoo.runtime import mx


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name in ("cnn7", "mlp"):
        export.to_symbol(zoo.get_model(name, seed=3), folder / name)
    return folder


@pytest.fixture(scope="module")
def pixels(mnist) -> mx.nd.NDArray:
    return mx.nd.array(mnist.test_images[:7, None] / 255)


@pytest.mark.parametrize("name", ["cnn7", "mlp"])
def test_what_is_written_here_is_read_here(name: str, folder: Path, pixels):
    net = zoo.get_model(name, seed=3)
    expected = net(pixels).softmax() if name == "mlp" else net(pixels)
    for loaded in (export.load_symbol(folder / name), export.load_symbol(folder / f"{name}-symbol.json")):
        assert np.abs(loaded(pixels).asnumpy() - expected.asnumpy()).max() < 1e-6


def test_what_gluon_and_module_write_is_read_here(tmp_path: Path, pixels):
    net = zoo.get_model("lenet5", seed=3)
    net.hybridize()
    expected = net(pixels).asnumpy()
    net.export(str(tmp_path / "gluon"), epoch=2)
    assert np.array_equal(export.load_symbol(tmp_path / "gluon", epoch=2)(pixels).asnumpy(), expected)
    module = mx.mod.Module(mx.sym.load(str(tmp_path / "gluon-symbol.json")), label_names=None)
    module.bind([("data", pixels.shape)], for_training=False)
    module.init_params(initializer=mx.init.Uniform())
    module.save_checkpoint(str(tmp_path / "module"), 1)
    assert export.load_symbol(tmp_path / "module", epoch=1)(pixels).shape == (7, 10)


def damage(raw: dict, **changes) -> dict:
    return {**raw, **changes}


def without_node(raw: dict, number: int) -> dict:
    return {**raw, "nodes": raw["nodes"][:number] + raw["nodes"][number + 1 :]}


def with_node(raw: dict, number: int, **changes) -> dict:
    nodes = list(raw["nodes"])
    nodes[number] = {**nodes[number], **changes}
    return {**raw, "nodes": nodes}


def with_setting(raw: dict, number: int, key: str, value: str) -> dict:
    return with_node(raw, number, attrs={**raw["nodes"][number].get("attrs", {}), key: value})


CONV = 3  # the node conv1_fwd of cnn7, after its data, weight and bias
SYMBOLS = {  # changes to the graph of cnn7, and the message for each
    "empty": (lambda raw: {}, "no nodes"),
    "a list": (lambda raw: [], "no nodes"),
    "no nodes": (lambda raw: damage(raw, nodes=[]), "no nodes"),
    "no heads": (lambda raw: damage(raw, heads=[]), "no outputs"),
    "no arg_nodes": (lambda raw: damage(raw, arg_nodes=[]), "arg_nodes are not its variables"),
    "a missing variable": (lambda raw: without_node(raw, 1), "Convolution 'conv1_fwd' refer to node 2"),
    "a missing operator": (lambda raw: without_node(raw, CONV), "does not come before"),
    "a head that is no node": (lambda raw: damage(raw, heads=[[999, 0, 0]]), "heads refer to node 999"),
    "a head that is no output": (lambda raw: damage(raw, heads=[[CONV, 7, 0]]), "output 7 of node 3, which has 1"),
    "a loop": (lambda raw: with_node(raw, CONV, inputs=[[CONV, 0, 0], [1, 0, 0], [2, 0, 0]]), "does not come before"),
    "a negative reference": (lambda raw: with_node(raw, CONV, inputs=[[-1, 0, 0]] * 3), "does not come before"),
    "no reference": (lambda raw: with_node(raw, CONV, inputs=["data", "w", "b"]), "no reference to a node"),
    "an input too few": (lambda raw: with_node(raw, CONV, inputs=[[0, 0, 0]]), "has 1 inputs and takes 3"),
    "an unknown operator": (lambda raw: with_node(raw, CONV, op="Convolve"), "no operator of MXNet 1.9.1"),
    "an operator with code": (lambda raw: with_node(raw, CONV, op="Custom"), "needs code of its own"),
    "a node without a name": (lambda raw: with_node(raw, CONV, name=None), "no name or no operator"),
    "settings that are no text": (lambda raw: with_node(raw, CONV, attrs={"kernel": 3}), "not a mapping of strings"),
    "an unknown setting": (lambda raw: with_setting(raw, CONV, "colour", "red"), "colour"),
    "no number": (lambda raw: with_setting(raw, CONV, "num_filter", "many"), "num_filter"),
    "a stride of 0": (lambda raw: with_setting(raw, CONV, "stride", "(0, 0)"), "stride"),
    "0 groups": (lambda raw: with_setting(raw, CONV, "num_group", "0"), "num_group"),
    "more filters": (lambda raw: with_setting(raw, CONV, "num_filter", "65"), "do not go together"),
    "a huge kernel": (lambda raw: with_setting(raw, CONV, "kernel", "(99999, 99999)"), "do not go together"),
    "a huge padding": (lambda raw: with_setting(raw, CONV, "pad", "(99999, 99999)"), "do not go together"),
    "a reshape beyond memory": (
        lambda raw: with_node(raw, CONV + 1, op="Reshape", attrs={"shape": "(1,)"}), "do not go together"),
    "two data": (lambda raw: with_node(raw, 1, name="more"), "not part of it are conv1_weight"),
    "two variables of one name": (lambda raw: with_node(raw, 2, name="conv1_weight"), "two of"),
    "subgraphs": (lambda raw: with_node(raw, CONV, subgraphs=[raw]), "subgraphs"),
}  # fmt: skip


@pytest.mark.parametrize("make, words", SYMBOLS.values(), ids=SYMBOLS)
def test_a_damaged_symbol_gets_one_sentence(make, words: str, folder: Path, tmp_path: Path):
    raw = json.loads((folder / "cnn7-symbol.json").read_text())
    (tmp_path / "net-symbol.json").write_text(json.dumps(make(raw)))
    with pytest.raises(zoo.ZooError, match="net-symbol.json") as caught:
        export.load_symbol(tmp_path / "net-symbol.json", folder / "cnn7-0000.params")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def refused(folder: Path, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "net-0000.params").write_bytes(content)
    with pytest.raises(zoo.WeightsError, match=words) as caught:
        export.load_symbol(folder / "cnn7-symbol.json", tmp_path / "net-0000.params")
    assert "net-0000.params" in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_or_foreign_parameters_get_one_sentence(folder: Path, tmp_path: Path):
    content = (folder / "cnn7-0000.params").read_bytes()
    arrays = params.decode(content, "it")
    for length in (0, 7, 24, 1000, len(content) - 1):
        refused(folder, tmp_path, content[:length], "is damaged or no parameter file")
    refused(
        folder, tmp_path, (folder / "mlp-0000.params").read_bytes(), "belongs to another network .*fc3|lacks|not part"
    )
    less = {name: array for name, array in arrays.items() if name != "arg:conv3_weight"}
    refused(folder, tmp_path, params.encode(less), "it lacks conv3_weight")
    more = {**arrays, "arg:conv9_weight": arrays["arg:conv3_weight"]}
    refused(folder, tmp_path, params.encode(more), "not part of it are conv9_weight")
    refused(
        folder, tmp_path, params.encode({**arrays, "arg:data": np.zeros(1, np.float32)}), "none is left for the data"
    )
    for name in ("arg:conv3_weight", "arg:bn1_gamma", "aux:bn1_running_mean"):
        refused(folder, tmp_path, params.encode({**arrays, name: arrays[name][:-1]}), "do not go together: .*63|127")
    for dtype in (np.float64, np.int32):
        changed = {**arrays, "arg:conv3_weight": arrays["arg:conv3_weight"].astype(dtype)}
        refused(folder, tmp_path, params.encode(changed), "do not go together")


@pytest.mark.parametrize("newer", ["net-symbol.json", "net-0000.params"])
def test_files_of_two_exports_are_noticed(newer: str, folder: Path, tmp_path: Path):
    """As when an export is killed after it has replaced one of its files."""
    export.to_symbol(zoo.get_model("cnn7", seed=4), tmp_path / "net")
    content = (folder / newer.replace("net", "cnn7")).read_bytes()
    (tmp_path / newer).write_bytes(content)
    with pytest.raises(zoo.WeightsError, match="net-0000.params does not hold the weights that .*net-symbol.json was"):
        export.load_symbol(tmp_path / "net")


def test_a_symbol_is_for_other_weights_too(folder: Path, tmp_path: Path, pixels):
    nets = [zoo.get_model("cnn7", seed=seed) for seed in (3, 4)]
    for epoch, net in enumerate(nets):
        export.to_symbol(net, tmp_path / "net", epoch)
    for epoch, net in enumerate(nets):
        loaded = export.load_symbol(tmp_path / "net", epoch=epoch)
        assert np.abs(loaded(pixels).asnumpy() - net(pixels).asnumpy()).max() < 1e-6
    mx.nd.save(str(tmp_path / "net-0001.params"), mx.nd.load(str(tmp_path / "net-0001.params")))  # without the seal
    export.load_symbol(tmp_path / "net", epoch=1)
    export.load_symbol(tmp_path / "net", folder / "cnn7-0000.params", epoch=1)


def test_another_input_shape_is_refused(folder: Path):
    with pytest.raises(zoo.WeightsError, match=r"data of the shape \(3, 32, 32\) do not go together"):
        export.load_symbol(folder / "cnn7", input_shape=(3, 32, 32))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{", b'{"nodes": 1}', b"null"])
def test_what_is_no_graph_gets_one_sentence(content: bytes, folder: Path, tmp_path: Path):
    (tmp_path / "net-symbol.json").write_bytes(content)
    with pytest.raises(export.SymbolError, match="net-symbol.json is damaged or no symbol of MXNet's"):
        export.load_symbol(tmp_path / "net-symbol.json", folder / "cnn7-0000.params")


def test_a_missing_file_is_named(folder: Path, tmp_path: Path):
    with pytest.raises(export.SymbolError, match="cannot read .*nothing-symbol.json: No such file"):
        export.load_symbol(tmp_path / "nothing")
    with pytest.raises(zoo.WeightsError, match="cannot read .*nothing.params: No such file"):
        export.load_symbol(folder / "mlp", tmp_path / "nothing.params")


def test_no_truncation_and_no_flipped_bit_ends_the_process(folder: Path, tmp_path: Path):
    """In a separate process, since files that are not refused are run."""
    text, chance = (folder / "mlp-symbol.json").read_bytes(), random.Random(0)
    for number in range(200):
        position = chance.randrange(len(text))
        flipped = bytes([text[position] ^ (1 << chance.randrange(8))])
        variant = text[:position] + (flipped + text[position + 1 :] if number % 4 else b"")
        (tmp_path / f"{number}-symbol.json").write_bytes(variant)
    code = (
        "import sys, export, zoo; from pathlib import Path; from zoo.runtime import mx; refused = 0\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    try: export.load_symbol(path, sys.argv[2])(mx.nd.zeros((2, 1, 28, 28))).wait_to_read()\n"
        "    except zoo.ZooError as error: refused += 1\n"
        "print(refused)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path, folder / "mlp-0000.params"],
                          capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert 100 < int(done.stdout) < 200


def test_the_command_says_what_is_wrong_with_a_file(run, folder: Path, tmp_path: Path):
    (tmp_path / "net-symbol.json").write_text('{"nodes": [], "arg_nodes": [], "heads": []}')
    arguments = ["--params", folder / "mlp-0000.params", "--out", tmp_path / "files"]
    assert_refused(run("export", "--symbol", tmp_path / "net-symbol.json", *arguments), "net-symbol.json", "no nodes")
    assert not (tmp_path / "files").exists()
