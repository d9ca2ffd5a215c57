"""C files: a compiler takes them without a warning, and what they compute is what MXNet computes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import networks
import numpy as np
import pytest
from toolchains import COMPILERS, command

import export
import zoo
from export.c import model, program
from zoo.kernels import compilers
from zoo.runtime import mx

S, V = mx.sym, mx.sym.var
IMAGE = (4, 9, 9)
STRICT = ("-O1", "-Wall", "-Wextra", "-pedantic", "-Wshadow", "-Wconversion", "-Wdouble-promotion", "-Werror")


@pytest.fixture(scope="module")
def compiler() -> list[str]:
    return compilers.find() or pytest.skip("there is no compiler here")


def computed(net, items: np.ndarray, compiler: list[str], monkeypatch, **options) -> np.ndarray:
    """What the C file of ``net`` computes, compiled fast."""
    monkeypatch.setattr(program, "FLAGS", ("-std=c99", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror"))
    source = model.source_of(net, "some network", "a test", items.shape[1:], **options)
    kind = "uint8_t" if items.dtype == np.uint8 else "float"
    size = int(np.prod(net(mx.nd.zeros((1, *items.shape[1:]))).shape))
    with program.compiled(source, kind, size, compiler) as run:
        return run(items, 0.0)[0]


def close(found: np.ndarray, net, items: np.ndarray) -> bool:
    expected = net(mx.nd.array(items)).asnumpy().reshape(found.shape)
    return bool(np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.exhaustive) for name in zoo.list_models() if name != "nano"] + ["nano"],
)
def test_the_zoo_computes_the_same(name: str, mnist, compiler, monkeypatch):
    items = mnist.test_images[: 3 if networks.is_slow(name) else 100, None].astype(np.float32) / 255
    net = networks.unsettled(name, seed=3)
    assert close(computed(net, items, compiler, monkeypatch), net, items)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["mobilenet0.25", "mobilenetv2_0.25", "squeezenet1.1"])
def test_the_vision_zoo_of_mxnet_computes_the_same(name: str, compiler, monkeypatch):
    net, images = networks.vision(name)
    assert close(computed(net, images, compiler, monkeypatch), net, images)


def test_layers_of_every_kind_compute_the_same(compiler, monkeypatch):
    """One network with all of them, so that one compilation is enough."""
    x = V("data", dtype="float32")

    def flat(symbol):
        return S.Flatten(symbol)

    grouped = S.Convolution(x, kernel=(3, 3), num_filter=6, num_group=2, dilate=(2, 1), pad=(1, 2), stride=(2, 1))
    deep = S.Convolution(x, kernel=(3, 3), num_filter=4, num_group=4, no_bias=True, stride=(1, 2))
    wide = S.relu(S.Convolution(x, kernel=(1, 1), num_filter=37))
    parts = [
        *(flat(S.Activation(x - 0.5, act_type=kind)) for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")),
        *(flat(S.LeakyReLU(x - 0.5, act_type=kind)) for kind in ("leaky", "elu", "selu", "gelu")),
        flat(S.LeakyReLU(x - 0.5, V("gamma", shape=(4,)), act_type="prelu")),
        flat(S.Pooling(x, kernel=(3, 2), stride=(2, 2), pool_type="max", pooling_convention="full")),
        flat(S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg")),
        flat(S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False)),
        flat(S.Pooling(x, kernel=(2, 2), pool_type="sum")),
        flat(S.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="max")),
        flat(S.BatchNorm(S.tanh(grouped), fix_gamma=False)),
        flat(S.BatchNorm(deep)), flat(wide), S.FullyConnected(wide, num_hidden=70),
        flat(S.Concat(x, x * 2, dim=1) / 3), flat(S.Concat(x, 1 - x, dim=3)), flat(1 / (x + 1)),
        flat(S.slice_axis(x, axis=1, begin=1, end=3)), flat(S.slice_axis(x, axis=-1, begin=2, end=None)),
        flat(S.Pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=0.5)),
        S.mean(x, axis=(2, 3)), flat(S.clip(x, 0.2, 0.7)), flat(S.softmax(x, axis=1)), S.log_softmax(flat(x)),
        flat(S.broadcast_mul(x, V("scale", shape=(1, 4, 1, 1)))), flat((x - S.exp(x)) * S.sqrt(x)),
        flat(S.reshape(x, shape=(0, 9, 4, 9))), flat(S.add_n(x, x, x)), S.Dropout(flat(S.square(S.abs(x)))),
    ]  # fmt: skip
    net = networks.of(S.Concat(*parts, dim=1), IMAGE)
    items = np.random.default_rng(1).random((3, *IMAGE), np.float32)
    assert close(computed(net, items, compiler, monkeypatch), net, items)


def test_pixels_and_softmax(mnist, compiler, monkeypatch):
    net, items = networks.unsettled("mlp", seed=3), mnist.test_images[:9, None]
    found = computed(net, items, compiler, monkeypatch, uint8=True, softmax=True)
    expected = net(mx.nd.array(items / np.float32(255))).softmax().asnumpy()
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(
    "name", ["nano", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("mlp", "lenet5", "micro"))]
)
def test_integers_predict_the_same_digits(name: str, mnist, compiler, monkeypatch):
    net, test = zoo.get_model(name, pretrained=True), mnist.test[:2000]
    found = computed(net, test.images[:, None], compiler, monkeypatch, int8=mnist.train[-5000::50])
    expected = zoo.evaluate(net, test).logits
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.995
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_integers_through_functions_sums_and_several_inputs(compiler, monkeypatch):
    x = V("data", dtype="float32")
    left = S.BatchNorm(S.tanh(S.Convolution(x, kernel=(3, 3), num_filter=5, pad=(1, 1))), fix_gamma=False)
    right = S.relu(S.Convolution(x, kernel=(3, 3), num_filter=5, pad=(1, 1), num_group=1))
    joined = S.Concat(S.relu(left + right), left - right, S.sigmoid(right), dim=1)
    pooled = S.Pooling(joined, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg")
    padded = S.Pad(pooled, mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    net = networks.of(S.FullyConnected(padded, num_hidden=8) / 5, IMAGE)
    items = np.random.default_rng(1).integers(0, 256, (50, *IMAGE), np.uint8)
    found = computed(net, items, compiler, monkeypatch, int8=items)
    expected = net(mx.nd.array(items / np.float32(255))).asnumpy()
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("language", ["c99", "c++11"])
@pytest.mark.parametrize(
    "name", [COMPILERS[0], *(pytest.param(name, marks=pytest.mark.exhaustive) for name in COMPILERS[1:])]
)
def test_no_compiler_has_a_warning(name: str, language: str, int8: bool, mnist, tmp_path: Path):
    found = command(name)
    net = zoo.get_model("nano", seed=0)
    path = export.to_c(net, tmp_path / "nano.c", int8=mnist.train[-20:] if int8 else None)
    kind = "c" if language == "c99" else "c++"
    arguments = [
        *STRICT,
        f"-std={language}",
        "-DNANO_MAIN",
        "-x",
        kind,
        "-c",
        str(path),
        "-o",
        str(tmp_path / "nano.o"),
    ]
    done = subprocess.run([*found, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_program_reads_images_of_three_kinds(mnist, compiler, tmp_path: Path):
    net = zoo.get_model("mlp", pretrained=True)
    path = export.to_c(net, tmp_path / "7 Ziffern–数字.c")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["7 Ziffern–数字.c", "network_7_Ziffern.h"]
    binary = str(tmp_path / "program")
    arguments = ["-std=c99", "-O1", "-DNETWORK_7_ZIFFERN_MAIN", "-x", "c", str(path), "-o", binary, "-lm"]
    subprocess.run([*compiler, *arguments], check=True, timeout=300)
    pixels = mnist.test_images[:3].tobytes()
    for head, body in ((b"", pixels), (b"\0\0\x08\x03" + b"\0\0\0\x03" + b"\0\0\0\x1c" * 2, pixels),
                       (b"P5\n# drawn\n28 28\n255\n", pixels[:784])):  # fmt: skip
        done = subprocess.run([binary], input=head + body, capture_output=True, check=True)
        lines = done.stdout.decode().splitlines()
        assert [int(line.split()[0]) for line in lines] == [7, 2, 1][: len(body) // 784]
        assert all(len(line.split()) == 11 for line in lines)
    for bad in (b"", pixels[:700], b"P5 5 5 255\n" + pixels):
        done = subprocess.run([binary], input=bad, capture_output=True)
        assert done.returncode == 1 and done.stderr.startswith(b"error: ") and not done.stdout


def test_what_has_no_translation_is_refused_by_name_and_all_at_once(tmp_path: Path):
    x = V("data", dtype="float32")
    net = networks.of(S.sort(S.LRN(x, nsize=3, name="norm"), name="order"), IMAGE)
    with pytest.raises(zoo.ZooError, match="written as C: there is no translation of LRN 'norm', sort 'order'"):
        export.to_c(net, tmp_path / "net.c", IMAGE)
    for symbol, words in (
        (S.BatchNorm(x, axis=2, name="bn"), "BatchNorm 'bn' cannot be written as C: .*axis=2"),
        (S.Concat(x, x, dim=0, name="c"), r"Concat 'c' cannot be written as C: it puts out \(2, 4, 9, 9\)"),
        (S.LeakyReLU(x, act_type="rrelu", name="r")[0], "LeakyReLU 'r' .*act_type=rrelu"),
        (S.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=2, name="p"), "Pooling 'p' .*pool_type=lp"),
        (S.Pooling(x, kernel=(1, 1), stride=(5, 5), pooling_convention="full", name="p"), "'p' .*outside"),
        (S.clip(x, 1, -1, name="c"), "clip 'c' .*least value 1.0 is larger than its largest, -1.0"),
        (x * 1e39, "not finite in float32"),
        (S.mean(x, axis=1, name="m"), "mean 'm' .*height and the width"),
        (S.Group([x * 2, x * 3]), "2 outputs"),
    ):
        with pytest.raises(zoo.ZooError, match=words):
            export.to_c(networks.of(symbol, IMAGE), tmp_path / "net.c", IMAGE)
    with pytest.raises(zoo.ZooError, match=r"ends in \.c"):
        export.to_c(networks.of(x * 2, IMAGE), tmp_path / "net.cc", IMAGE)
    with pytest.raises(zoo.ZooError, match="int8 takes a Dataset or an array"):
        export.to_c(networks.of(x * 2, IMAGE), tmp_path / "net.c", IMAGE, int8=np.zeros((3, *IMAGE), np.float32))
    with pytest.raises(zoo.ZooError, match="'s' cannot be computed in 8-bit integers"):
        items = np.zeros((3, *IMAGE), np.uint8)
        export.to_c(networks.of(S.softmax(x, axis=1, name="s") + 1, IMAGE), tmp_path / "net.c", IMAGE, int8=items)
    net = networks.of(S.broadcast_div(x, V("weight", shape=(1, 4, 1, 1)), name="d"), IMAGE)
    net.collect_params()["weight"].set_data(mx.nd.zeros((1, 4, 1, 1)))
    with pytest.raises(zoo.ZooError, match="'d' cannot be written as C: it divides by zero"):
        export.to_c(net, tmp_path / "net.c", IMAGE)
    with pytest.raises(zoo.ZooError, match="items of one to 3 dimensions"):
        export.to_c(networks.of(S.Flatten(x), (2, *IMAGE)), tmp_path / "net.c", (2, *IMAGE))
    assert not any(tmp_path.iterdir())


def test_integers_that_overflow_are_refused(tmp_path: Path):
    x = V("data", dtype="float32")
    for symbol, size, words in (
        (S.FullyConnected(x, num_hidden=1, no_bias=True), 70_000, "too many weights for sums of 32 bits"),
        (S.exp(x * 100), 4, "finite values only"),
        (S.FullyConnected(S.exp(x) - S.exp(x) * 1.0000002, num_hidden=1), 4, "differ too much for 8-bit integers"),
    ):
        net = networks.of(symbol, (size,))
        for parameter in net.collect_params().values():
            parameter.set_data(mx.nd.ones(parameter.shape))
        with pytest.raises(zoo.ZooError, match=words):
            export.to_c(net, tmp_path / "net.c", (size,), int8=np.full((2, size), 255, np.uint8))
    assert not any(tmp_path.iterdir())


def test_the_command_verifies_and_writes(run, tmp_path: Path, compiler):
    done = run("export", "nano", "--format", "c", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "10,000 of 10,000" in done.stdout and "agrees" in done.stdout and "buffer 25,040 bytes" in done.stdout
    assert sorted(each.name for each in tmp_path.iterdir()) == ["nano.c", "nano.h"]
    done = run("export", "nano", "--format", "c", "--out", tmp_path, "--batch", 2)
    assert done.returncode == 2 and "--batch is for ONNX, and --format c writes none" in done.stderr
    done = run("export", "nano", "--format", "c", "--out", tmp_path, "--outputs", "logits")
    assert done.returncode == 2 and "--outputs is for ONNX" in done.stderr


def test_without_a_compiler_there_is_a_note(monkeypatch, tmp_path: Path, capsys):
    import argparse

    from export import cli

    monkeypatch.setattr(compilers, "find", lambda: None)
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert cli.run(parser.parse_args(["mlp", "--format", "c", "--out", str(tmp_path)])) == 0
    assert "note: there is no C compiler here" in capsys.readouterr().err and (tmp_path / "mlp.c").exists()
