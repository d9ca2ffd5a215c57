"""The table of MXNet's operators, each with the function that adds it to the plan and returns its output."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.c.building import Call
from export.c.plan import (
    Affine,
    Binary,
    Convolution,
    Crop,
    Dense,
    Elementwise,
    Function,
    Join,
    Pad,
    Pair,
    Pool,
    Slopes,
    Softmax,
    Tensor,
)  # fmt: skip
from export.onnx.folding import factor_and_shift

_LAYOUTS = (None, "None", "NCW", "NCHW")


def _pair(call: Call, key: str, default: int) -> Pair:
    """Return a setting for height and width; that of a row has no height."""
    values = call.settings.integers(key, (default,) * (len(call.data.shape) - 1))
    return (default, values[0]) if len(values) == 1 else (values[0], values[1])


def _padded(call: Call, pad: Pair) -> Tensor:
    """Return the data with zeros around them."""
    if pad == (0, 0):
        return call.data
    (channels, *sizes), extra = call.data.shape, pad[-len(call.data.shape) + 1 :]
    shape = (channels, *(size + 2 * more for size, more in zip(sizes, extra)))
    return call.builder.add(Pad(f"{call.node.name}_pad", (call.data,), call.builder.tensor(shape), (), before=pad))


def convolution(call: Call) -> Tensor:
    """``Convolution`` in one or two dimensions, of data that are padded before."""
    settings = call.settings
    settings.only("layout", *_LAYOUTS)
    settings.ignore("num_filter", "no_bias", "kernel")
    weight = call.weight(1)
    bias = call.weight(2) if len(call.inputs) > 2 else np.zeros(len(weight), np.float32)
    weight = weight if weight.ndim == 4 else weight[:, :, None]
    return call.builder.add(Convolution(
        call.node.name, (_padded(call, _pair(call, "pad", 0)),), call.new(), (), weight=weight, bias=bias,
        stride=_pair(call, "stride", 1), dilate=_pair(call, "dilate", 1), groups=settings.integer("num_group", 1),
    ))  # fmt: skip


def fully_connected(call: Call) -> Tensor:
    """``FullyConnected``, whose weight takes images as they are stored."""
    call.settings.ignore("num_hidden", "no_bias")
    data, weight = call.inputs[0], call.weight(1)
    if not isinstance(data, Tensor):
        raise call.refusal("it computes with weights alone")
    if not call.settings.flag("flatten", True) and len(data.shape) > 1:
        raise call.refusal("flatten=False is translated for vectors only")
    image = data.order or data.shape
    if len(image) > 1:
        weight = np.moveaxis(weight.reshape(-1, *image), 1, -1).reshape(weight.shape)
    bias = call.weight(2) if len(call.inputs) > 2 else np.zeros(len(weight), np.float32)
    return call.builder.add(Dense(call.node.name, (data,), call.new(), (), weight=weight, bias=bias))


def batch_norm(call: Call) -> Tensor:
    """``BatchNorm`` as a scale and a shift of every channel, folded into the weights where a layer with such ends."""
    settings = call.settings
    rank = len(call.data.shape) + 1
    if settings.integer("axis", 1) % rank != 1:
        raise call.refusal(f"there is no translation of axis={settings.get('axis')}, only of the channels' axis 1")
    settings.only("output_mean_var", False)
    settings.ignore("momentum", "use_global_stats", "min_calib_range", "max_calib_range", "eps", "fix_gamma")
    return call.apply(Affine(*factor_and_shift(call.node, [call.weight(number) for number in range(1, 5)])))


_ACTIVATIONS = ("relu", "sigmoid", "tanh", "softrelu", "softsign")


def activation(call: Call) -> Tensor:
    """``Activation`` as the function that its ``act_type`` names."""
    return call.apply(Function(call.settings.only("act_type", *_ACTIVATIONS)))


def leaky(call: Call) -> Tensor:
    """``LeakyReLU``; rrelu is refused."""
    kind = call.settings.only("act_type", "leaky", "elu", "selu", "gelu", "prelu")
    slope = call.settings.number("slope", 0.25)
    call.settings.ignore("lower_bound", "upper_bound")  # used by rrelu only
    if kind == "prelu":
        slopes = call.weight(1).astype(np.float64).ravel()
        return call.apply(Slopes(np.resize(slopes, call.data.stored[2])))
    return call.apply(Function(kind, (slope,) if kind in ("leaky", "elu") else ()))


def clip(call: Call) -> Tensor:
    """``clip`` between two numbers."""
    low, high = call.settings.number("a_min", -math.inf), call.settings.number("a_max", math.inf)
    if low > high:
        raise call.refusal(f"its least value {low} is larger than its largest, {high}")
    return call.apply(Function("clip", (low, high)))


def pooling(call: Call) -> Tensor:
    """``Pooling`` with windows that may end beyond the data; one over everything if ``global_pool`` is set."""
    settings = call.settings
    settings.only("layout", *_LAYOUTS)
    settings.only("pooling_convention", "valid", "full")
    settings.ignore("p_value")
    kind = settings.only("pool_type", "max", "avg", "sum")
    included = settings.get("count_include_pad") not in (False, "False", 0)
    kernel, stride, pad = _pair(call, "kernel", 1), _pair(call, "stride", 1), _pair(call, "pad", 0)
    if settings.flag("global_pool", False):
        kernel, stride, pad = call.data.stored[:2], (1, 1), (0, 0)
    target = call.new()
    places = zip(call.data.stored, target.stored, kernel, stride, pad)
    if any((count - 1) * step - before >= size or before >= extent for size, count, extent, step, before in places):
        raise call.refusal("one of its windows lies outside of the data")
    return call.builder.add(Pool(
        call.node.name, (call.data,), target, (), kind=kind, kernel=kernel, stride=stride, pad=pad,
        counts_padding=included,
    ))  # fmt: skip


def mean(call: Call) -> Tensor:
    """``mean`` over the height and the width of images."""
    settings = call.settings
    settings.only("exclude", False)
    settings.ignore("keepdims")  # implied by the shape of the output
    axes = {call.axis(value) for value in settings.integers("axis", ())}
    if axes != set(range(1, len(call.data.shape))) or not axes:
        raise call.refusal("it is translated over the height and the width of images only")
    return call.builder.add(Pool(call.node.name, (call.data,), call.new(), (), kind="avg", kernel=call.data.stored[:2]))


def same(call: Call) -> Tensor:
    """``Dropout`` and others, which change nothing outside training."""
    call.settings.only("mode", "training")
    call.settings.ignore("p", "axes", "grad_scale", "valid_thresh", "normalization")
    return call.data


def flatten(call: Call) -> Tensor:
    """``Flatten`` of an image, which stays stored as it is until something needs MXNet's order."""
    data = call.inputs[0]
    if isinstance(data, Tensor) and data.order is None and len(data.shape) > 1:
        return Tensor(data.number, call.shape, data.shape)
    return call.data


def reshape(call: Call) -> Tensor:
    """``Reshape`` and others that keep MXNet's order of the elements."""
    call.settings.ignore("shape", "reverse", "axis")  # implied by the shape of the output
    name = call.node.name
    return call.builder.image(name, call.builder.plain(name, call.data), call.shape)


def softmax(call: Call) -> Tensor:
    """``softmax`` and ``log_softmax`` over the channels."""
    settings = call.settings
    settings.only("use_length", False)
    settings.only("dtype", None, "None", "float32")
    settings.only("temperature", None, "None", 1)
    if call.axis(settings.integer("axis", -1)) != 0:
        raise call.refusal("it is translated over the channels only")
    return call.builder.add(
        Softmax(call.node.name, (call.data,), call.new(), (), is_logarithm=call.node.operator == "log_softmax")
    )


def softmax_activation(call: Call) -> Tensor:
    """``SoftmaxActivation`` over the channels."""
    if call.settings.only("mode", "instance", "channel") == "instance" and len(call.data.shape) > 1:
        raise call.refusal("mode=instance is translated for two dimensions only")
    return call.builder.add(Softmax(call.node.name, (call.data,), call.new(), ()))


def concat(call: Call) -> Tensor:
    """``Concat`` along any axis but the batch."""
    call.settings.ignore("num_args")
    sources = tuple(map(call.tensor, range(len(call.inputs))))
    axis = call.axis(call.settings.integer("dim", 1))
    stored = 2 if axis == 0 else axis - len(call.shape) + 2
    return call.builder.add(Join(call.node.name, sources, call.new(), (), axis=stored))


def slice_axis(call: Call) -> Tensor:
    """``slice_axis`` along any axis but the batch."""
    axis = call.axis(call.settings.integer("axis", 0))
    begin = call.settings.integer("begin", 0)
    call.settings.ignore("end")  # implied by the shape of the output
    start = [0, 0, 0]
    start[2 if axis == 0 else axis - len(call.shape) + 2] = begin % call.data.shape[axis]
    return call.builder.add(Crop(call.node.name, (call.data,), call.new(), (), start=(start[0], start[1], start[2])))


def pad(call: Call) -> Tensor:
    """``Pad`` with a constant around rows and columns."""
    call.settings.only("mode", "constant")
    widths = call.settings.integers("pad_width", ())
    if any(widths[:4]) or len(widths) != 8:
        raise call.refusal("only rows and columns can be padded")
    value = call.settings.number("constant_value", 0.0)
    return call.builder.add(
        Pad(call.node.name, (call.data,), call.new(), (), before=(widths[4], widths[6]), value=value)
    )


def _binary(sign: str) -> Callable[[Call], Tensor]:
    """Two arrays of the same shape, or an array and a weight with one number or one for every channel."""

    def function(call: Call) -> Tensor:
        left, right = call.inputs
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            first, second = call.tensor(0), call.tensor(1)
            if first.shape != second.shape:
                raise call.refusal(f"arrays of the shapes {first.shape} and {second.shape} are not combined")
            written = [layer.target.number for layer in call.builder.layers]
            is_left = first.number in written and written.index(first.number) > (
                written.index(second.number) if second.number in written else -1
            )
            data, other = (first, second) if is_left else (second, first)
            return call.builder.apply(call.node.name, data, Binary(sign, other, is_left=not is_left))
        is_left = isinstance(left, np.ndarray)
        data, constant = (call.tensor(1), call.weight(0)) if is_left else (call.tensor(0), call.weight(1))
        channels = data.stored[2]
        aligned = ((1,) * (len(data.shape) + 1 - constant.ndim) + constant.shape)[1]
        if constant.size != aligned or aligned not in (1, channels):
            raise call.refusal(f"a weight of the shape {constant.shape} is not combined with {data.shape}")
        return call.builder.apply(call.node.name, data, *_with(call, sign, np.resize(constant, channels), is_left))

    return function


def _with(call: Call, sign: str, numbers: np.ndarray, is_left: bool) -> list[Affine | Function]:
    """Return what combines an array with one number for every channel."""
    values = numbers.astype(np.float64)
    one, zero = np.ones_like(values), np.zeros_like(values)
    if sign == "+":
        return [Affine(one, values)]
    if sign == "-":
        return [Affine(-one, values)] if is_left else [Affine(one, -values)]
    if sign == "*":
        return [Affine(values, zero)]
    if is_left:
        return [Function("reciprocal"), Affine(values, zero)]
    if not values.all():
        raise call.refusal("it divides by zero")
    return [Affine(1 / values, zero)]


def _scalar(sign: str, is_left: bool = False) -> Callable[[Call], Tensor]:
    def function(call: Call) -> Tensor:
        call.settings.ignore("is_int")
        number = call.settings.number("scalar", 0.0)
        return call.apply(*_with(call, sign, np.full(call.data.stored[2], number), is_left))

    return function


def _function(kind: str) -> Callable[[Call], Tensor]:
    return lambda call: call.apply(Function(kind))


def add_n(call: Call) -> Tensor:
    """``add_n`` of arrays of the same shape."""
    call.settings.ignore("num_args")
    first, *others = map(call.tensor, range(len(call.inputs)))
    steps = tuple(Binary("+", each) for each in others)
    return call.builder.add(Elementwise(call.node.name, (first,), call.new(), steps))


OPERATORS: dict[str, Callable[[Call], Tensor]] = {
    "Activation": activation, "BatchNorm": batch_norm, "BlockGrad": same, "Concat": concat,
    "Convolution": convolution, "Dropout": same, "Flatten": flatten, "FullyConnected": fully_connected,
    "LeakyReLU": leaky, "MakeLoss": same, "Pad": pad, "Pooling": pooling, "Reshape": reshape,
    "SoftmaxActivation": softmax_activation, "_copy": same, "add_n": add_n, "clip": clip, "expand_dims": reshape,
    "log_softmax": softmax, "make_loss": same, "mean": mean, "slice_axis": slice_axis, "softmax": softmax,
    "squeeze": reshape,
    **{kind: _function(kind) for kind in ("abs", "exp", "reciprocal", "relu", "sigmoid", "softsign", "sqrt", "square",
                                          "tanh")},
    **{f"{prefix}_{word}": _binary(sign) for prefix in ("elemwise", "broadcast")
       for word, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/"))},
    **{f"_{word}_scalar": _scalar(sign) for word, sign in (("plus", "+"), ("minus", "-"), ("mul", "*"), ("div", "/"))},
    "_rminus_scalar": _scalar("-", is_left=True), "_rdiv_scalar": _scalar("/", is_left=True),
}  # fmt: skip
