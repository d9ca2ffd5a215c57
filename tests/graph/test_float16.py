"""float16: which operators compute in it, and the loss scaling that it needs. MXNet has it on GPUs only.

These tests inspect its graphs on CPUs, and run them with float32 rounded to float16 (see ``emulation``).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from emulation import emulate_float16
from networks import execution as executed
from networks import unsettled

import zoo
from zoo.graph import execution, lowering
from zoo.graph.execution import Execution
from zoo.graph.ir import Graph
from zoo.graph.passes import casting
from zoo.models import weights
from zoo.recipes import OPTIMIZERS
from zoo.runtime import contexts, mx
from zoo.training import Predictor, TrainingSession, scaling

nn = mx.gluon.nn
CPU, GPU = [mx.cpu()], [mx.gpu(0)]
HALF, SINGLE = np.float16, np.float32
RECIPE = zoo.Recipe(epochs=1, batch_size=100, learning_rate=0.05, momentum=0.9, weight_decay=1e-3, dtype="float16")


# -- graphs ------------------------------------------------------------------------------------------------------------


def dtypes(block: mx.gluon.HybridBlock) -> dict[str, tuple[str, type]]:
    """Operator and dtype of the first output of every node, by its name, as MXNet itself infers them."""
    graph = Graph.of(block(mx.sym.var("data")))
    operators = {node.name: node.operator for node in graph.nodes()}
    internals = graph.symbol().get_internals()
    _, inferred, _ = internals.infer_type(**dict.fromkeys(internals.list_arguments(), "float32"))
    found: dict[str, tuple[str, type]] = {}
    for name, dtype in zip(internals.list_outputs(), inferred):
        for ending in ("_output0", "_output", ""):
            node = name[: len(name) - len(ending)]
            if name.endswith(ending) and node in operators:
                found.setdefault(node, (operators[node], dtype))
                break
    return found


def assert_mixed(block: mx.gluon.HybridBlock, net: mx.gluon.HybridBlock) -> None:
    """All layers are in float16, from parameters in float32, and normalization and the logits are in float32."""
    layers = [node for node in Graph.of(net(mx.sym.var("data"))).nodes() if node.operator in casting.LAYERS]
    found = dtypes(block)
    assert [found[layer.name] for layer in layers] == [(layer.operator, HALF) for layer in layers] != []
    for operator, dtype in found.values():
        assert operator not in ("null", "BatchNorm", "LayerNorm", "softmax") or dtype == SINGLE
    graph = Graph.of(block(mx.sym.var("data")))
    assert found[graph.heads[0][0].name][1] == SINGLE
    for node in graph.nodes():
        if node.operator == "amp_cast":  # no cast to the dtype that is already there, and no cast of a cast
            assert found[node.inputs[0][0].name][1] != found[node.name][1]
            assert node.inputs[0][0].operator != "amp_cast"


@pytest.mark.parametrize("name", zoo.list_models())
def test_layers_of_every_model_are_in_float16_and_the_rest_is_not(name: str):
    net = zoo.get_model(name, seed=0)
    for make in (lowering.for_training, lowering.for_inference):
        assert_mixed(make(net, executed("float16", *GPU)), net)
    assert not any("float16" in key for key in weights.state(net))
    assert {array.dtype for array in weights.state(net).values()} == {np.dtype(SINGLE)}


class Branches(mx.gluon.HybridBlock):
    """What the zoo's own models do not do: branches, a shared layer, and other kinds of normalization."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.first, self.shared = nn.Conv2D(4, 3, padding=1), nn.Conv2D(4, 3, padding=1)
            self.norm, self.out = nn.LayerNorm(), nn.Dense(10)

    def hybrid_forward(self, F, x):
        one = self.first(x)
        two = self.shared(F.relu(one)) + self.shared(one)
        three = F.Dropout(F.concat(one, two, dim=1), p=0.5)
        return F.softmax(self.out(self.norm(F.Pooling(three, kernel=(2, 2), pool_type="max", stride=(2, 2)))))


def test_a_network_of_one_s_own():
    net = Branches()
    net.initialize()
    net(mx.nd.zeros((1, 1, 28, 28)))
    for make in (lowering.for_training, lowering.for_inference):
        block = make(net, executed("float16", *GPU))
        assert_mixed(block, net)


def test_float32_on_gpus_is_the_network_itself():
    net = zoo.get_model("cnn7", seed=0)
    on_gpu = executed("float32", *GPU)
    assert lowering.for_training(net, on_gpu) is lowering.for_inference(net, on_gpu) is net


# -- where it runs -----------------------------------------------------------------------------------------------------


def test_float16_is_for_gpus_and_for_those_who_ask(monkeypatch):
    monkeypatch.setattr(contexts, "usable", lambda: (mx.cpu(0), mx.gpu(0), mx.gpu(1)))
    net = zoo.get_model("cnn7", seed=0)
    assert Execution.of(net, GPU, "float16") == Execution((mx.gpu(0),), "float16", kernels=False, amx=False)
    assert Execution.of(net, [mx.gpu(0), mx.gpu(1)], "float16").dtype == "float16"
    assert Execution.of(net, GPU, "auto").dtype == "float32"
    for placed in (CPU, [mx.cpu(0), mx.cpu(1)], [mx.cpu(), *GPU]):
        with pytest.raises(zoo.ZooError, match="float16 runs on GPUs only: take float32 on a CPU"):
            Execution.of(net, placed, "float16")
    with pytest.raises(zoo.ZooError, match="bfloat16 runs on CPUs only"):
        Execution.of(net, GPU, "bfloat16")
    with pytest.raises(zoo.ZooError, match="one of auto, float32, bfloat16, float16, not 'float8'"):
        Execution.of(net, GPU, "float8")


@pytest.mark.parametrize("arguments", [
    ("zoo", "train", "mlp"), ("zoo", "evaluate", "mlp"), ("bench", "--models", "mlp", "--contexts", "cpu", "--dtypes"),
])  # fmt: skip
def test_a_cpu_is_refused_in_one_sentence(run_here, arguments: tuple):
    option = () if "--dtypes" in arguments else ("--dtype",)
    done = run_here(*arguments, *option, "float16")
    assert_refused(done, "float16 runs on GPUs only: take float32 on a CPU")
    assert done.stdout == ""


def test_parameters_in_float16_are_refused(mnist):
    net = zoo.get_model("mlp", seed=0)
    net.cast("float16")
    for use in (zoo.fit, zoo.evaluate):
        with pytest.raises(zoo.ZooError, match="must be float32, and fc1_weight is float16: .* dtype of a recipe"):
            use(net, mnist.train[:200])


# -- loss scaling ------------------------------------------------------------------------------------------------------


@pytest.fixture
def scaled(monkeypatch):
    """Make float16 recipes compute in float32, so that loss scaling is the only difference."""
    monkeypatch.setattr(execution, "check", lambda dtype, placed: None)
    monkeypatch.setattr(casting, "cast", lambda graph, low: {})


class Spoilt(TrainingSession):
    """A session in which the gradients of the steps ``bad`` (from 0) contain a number that is not finite."""

    def __init__(self, *arguments, bad: tuple[int, ...] = (), value: float = np.inf) -> None:
        super().__init__(*arguments)
        self.scales: list[float] = []  # after each step
        self.states = [self.state()]  # before the first step, and after each
        step = self._stepper.update.step

        def spoil(images: int, some_idle: bool) -> None:
            if len(self.scales) in bad:
                self._stepper.gradients[1][-1][3:4] = value  # on the last context
            step(images, some_idle)
            self.scales.append(self.loss_scale)
            self.states.append(self.state())

        self._stepper.update.step = spoil

    def state(self) -> list[np.ndarray]:
        """The weights and the optimizer's state."""
        return [array.asnumpy() for array in self._stepper.update.kept]


def sessions(optimizer: str, ctx: list[mx.Context], mnist, dtype: str, **spoilt):
    momentum = 0.9 if optimizer in ("sgd", "nag") else 0.0
    recipe = replace(RECIPE, optimizer=optimizer, learning_rate=0.01, momentum=momentum, dtype=dtype)
    net = zoo.get_model("mlp", ctx=ctx, seed=0)
    kind = Spoilt if spoilt else TrainingSession
    return net, kind(net, mnist.train[:450], recipe, ctx, **spoilt)


@pytest.mark.parametrize("ctx", [[mx.cpu(0)], [mx.cpu(0), mx.cpu(1), mx.cpu(2)]], ids=["one", "three"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_scaled_steps_are_those_without_a_scale(optimizer: str, ctx: list, mnist, scaled):
    """Whole batches, a partial one, and one with fewer images than there are contexts."""
    states = []
    for dtype in ("float32", "float16"):
        net, session = sessions(optimizer, ctx, mnist, dtype)
        session.set_learning_rate(0.002)
        results = list(session.run(np.concatenate([np.arange(350), [7]])))
        assert [result.images for result in results] == [100, 100, 100, 51]
        list(session.run(np.arange(1)))
        states.append(dict(weights.state(net)))
        for parameter in net.collect_params().values():
            first, *others = (copy.asnumpy() for copy in parameter.list_data())
            assert all(np.array_equal(first, other) for other in others)
    plain, found = states
    assert session.loss_scale == scaling.FIRST
    initial = weights.state(zoo.get_model("mlp", seed=0))
    for name, array in plain.items():  # relative to what was learnt; Adam and the like divide by gradients near 0
        moved = np.linalg.norm(array - initial[name])
        assert moved > 0 and np.linalg.norm(found[name] - array) < 1e-3 * moved, name


@pytest.mark.parametrize("ctx, value", [([mx.cpu(0)], np.nan), ([mx.cpu(0), mx.cpu(1)], np.inf)], ids=["one", "two"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_that_overflows_is_undone_to_the_last_bit(optimizer: str, ctx: list, value: float, mnist, scaled):
    net, session = sessions(optimizer, ctx, mnist, "float16", bad=(0, 2, 3), value=value)
    list(session.run(np.arange(450)))
    assert np.divide(session.scales, scaling.FIRST).tolist() == [1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 8]
    for number, (before, after) in enumerate(zip(session.states, session.states[1:])):
        undone = number in (0, 2, 3)
        assert all(np.array_equal(old, new) == undone and np.isfinite(new).all() for old, new in zip(before, after))
    assert len(session.states) == 6 and len(before) >= len(net.collect_params().keys())


def test_what_was_undone_leaves_no_trace(mnist, scaled):
    """The same weights as without that batch."""
    ours, session = sessions("sgd", CPU, mnist, "float16", bad=(2,))
    list(session.run(np.arange(450)))
    theirs, session = sessions("sgd", CPU, mnist, "float16")
    list(session.run(np.concatenate([np.arange(200), np.arange(300, 450)])))
    for name, array in weights.state(theirs).items():
        assert np.allclose(weights.state(ours)[name], array, rtol=0, atol=1e-7), name


def test_the_scale_grows_after_patience_and_has_bounds(mnist, scaled, monkeypatch):
    monkeypatch.setattr(scaling, "PATIENCE", 3)
    monkeypatch.setattr(scaling, "HIGHEST", 4 * scaling.FIRST)
    net = zoo.get_model("mlp", seed=0)
    session = Spoilt(net, mnist.train[:1500], RECIPE, CPU, bad=(4, 6))
    list(session.run(np.arange(1500)))
    in_first = np.divide(session.scales, scaling.FIRST).tolist()
    assert in_first == [1, 1, 2, 2, 1, 1, 1 / 2, 1 / 2, 1 / 2, 1, 1, 1, 2, 2, 2]
    list(session.run(np.arange(1200)))
    assert session.loss_scale == scaling.HIGHEST


def test_gradients_that_never_fit_are_a_divergence(mnist, scaled, monkeypatch):
    monkeypatch.setattr(scaling, "LOWEST", scaling.FIRST / 4)
    step = scaling.ScaledUpdate.step

    def spoilt(self, images: int, some_idle: bool) -> None:
        self._gradients[0][0][0] = np.nan
        step(self, images, some_idle)

    monkeypatch.setattr(scaling.ScaledUpdate, "step", spoilt)
    net = zoo.get_model("mlp", seed=0)
    before = weights.state(net)
    with pytest.raises(zoo.DivergenceError, match="gradients overflow float16, .* in epoch 1 with the learning rate"):
        zoo.fit(net, mnist.train[:500], recipe=RECIPE)
    assert all(np.array_equal(array, before[name]) for name, array in weights.state(net).items())


# -- with numbers that are rounded to float16 --------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_predicts_nearly_the_same(name: str, mnist, monkeypatch):
    net, images = unsettled(name, seed=1), mnist.test[:100]
    plain = Predictor(net, images, CPU, 50).evaluate().logits
    emulate_float16(monkeypatch)
    found = Predictor(net, images, CPU, 50, "float16").evaluate().logits
    assert 0 < np.abs(found - plain).max() < 5e-3 * np.abs(plain).max()


@pytest.mark.exhaustive
def test_float16_learns_as_float32_does_with_a_scale_that_it_finds_itself(mnist, monkeypatch, tmp_path: Path):
    emulate_float16(monkeypatch)
    scales, step = [], scaling.ScaledUpdate.step

    def watched(self, images: int, some_idle: bool) -> None:
        step(self, images, some_idle)
        scales.append(self.loss_scale)

    monkeypatch.setattr(scaling.ScaledUpdate, "step", watched)
    recipe = replace(RECIPE, batch_size=20, momentum=0.5, weight_decay=0)

    def train(first: float, **changes) -> zoo.EpochRecord:
        monkeypatch.setattr(scaling, "FIRST", first)
        scales.clear()
        net = zoo.get_model("lenet5", seed=0)
        chosen, folder = replace(recipe, **changes), tmp_path / f"{first:g}{changes}"
        history = zoo.fit(net, mnist.train[:2000], recipe=chosen, out=folder)
        assert json.loads((folder / "history.json").read_text())["recipe"]["dtype"] == chosen.dtype
        loaded = zoo.get_model("lenet5")
        zoo.load_parameters(loaded, folder / "final.params")
        assert zoo.parameter_hash(loaded) == zoo.parameter_hash(net)
        return history.records[-1]

    plain = train(1.0, dtype="float32")
    assert plain.train_accuracy > 0.6 and scales == []
    found = train(2.0**22)  # overflows: the first steps search for a scale that does not
    assert 1 < scales[-1] <= scaling.FIRST / 4 and len(scales) == 100
    assert found.train_loss == pytest.approx(plain.train_loss, rel=0.2)
    assert train(2.0**-20).train_accuracy < 0.2  # small enough to make the gradients vanish
