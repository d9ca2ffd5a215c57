"""Layers, activations, arithmetic, pooling, reductions and shapes."""

from zoo.runtime import mx

S, V = mx.sym, mx.sym.var
W = V("w", shape=(1, 4, 1, 1))


def conv(x, **settings):
    return S.Convolution(x, num_filter=4, kernel=(3, 3), **settings)


def padded(x, **settings):
    """Windows that average over padding, and of which the last ends beyond it."""
    return S.Pooling(x, kernel=(4, 4), stride=(2, 2), pad=(1, 1), pooling_convention="full", **settings)


def beyond(x, **settings):
    """Windows of which the last begins beyond the data."""
    return S.Pooling(x - 2, kernel=(2, 2), stride=(4, 3), pooling_convention="full", **settings)


def whole(x):
    """Integers from -3 to 3, as floats."""
    return S.floor(x * 7) - 3


def other(x):
    """The same integers at other places."""
    return whole(S.transpose(x, axes=(0, 1, 3, 2)))


def logic(x, name, *number):
    """``_logical_*`` of two tensors, or of a tensor and a number."""
    operator = getattr(S._internal, f"_logical_{name}{'_scalar' * len(number)}")
    return operator(whole(x), *([other(x)] if not number else []), **dict(zip(["scalar"], number)))


CASES = [
    lambda x: S.Activation(x, act_type="sigmoid"),
    lambda x: S.Activation(x, act_type="softrelu"),
    lambda x: S.Activation(x, act_type="softsign"),
    lambda x: S.Activation(x, act_type="tanh"),
    lambda x: S.BatchNorm(x, fix_gamma=True, eps=1e-2),
    lambda x: S.BatchNorm(x, fix_gamma=False, use_global_stats=True, axis=-3),
    lambda x: S.BatchNorm(x, axis=-1, fix_gamma=False) + S.BatchNorm(x, axis=2, fix_gamma=True),
    lambda x: S.BatchNorm(x, V("gamma", shape=(4,)) * 2, V("beta"), V("mean"), V("var"), fix_gamma=True),
    lambda x: S.BlockGrad(x) + S.make_loss(x) + S.MakeLoss(x) + S.identity(x),
    lambda x: S.Cast(S.Cast(x * 9, dtype="int32"), dtype="float32"),
    lambda x: S.Concat(x, x * 2, x * 3, dim=-1),
    lambda x: S.Concat(x, dim=2),
    lambda x: conv(x, stride=(2, 1), pad=(1, 2), dilate=(2, 2), no_bias=True),
    lambda x: conv(x, num_group=2, layout="NCHW"),
    lambda x: S.Convolution(S.reshape(x, shape=(0, 0, -1)), num_filter=3, kernel=(5,), stride=(2,), pad=(1,)),
    lambda x: S.Deconvolution(x, num_filter=6, kernel=(3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 1), num_group=2),
    lambda x: S.Deconvolution(x, num_filter=2, kernel=(2, 2), no_bias=False),
    lambda x: S.Crop(x, h_w=(3, 4), offset=(2, 5), num_args=1) + S.Crop(x, h_w=(3, 4), center_crop=True, num_args=1),
    lambda x: S.Crop(x, S.Pooling(x, kernel=(2, 2), stride=(2, 2)), num_args=2, offset=(1, 3)),
    lambda x: S.Deconvolution(x, num_filter=4, kernel=(3, 3), stride=(2, 2), dilate=(2, 2), num_group=2, adj=(1, 1)),
    lambda x: S.Dropout(x, p=0.4, axes=(1,)),
    lambda x: S.Embedding(S.floor(x * 5), input_dim=5, output_dim=3),
    lambda x: S.Embedding(x * 20 - 10, input_dim=5, output_dim=3),
    lambda x: S.Flatten(S.Flatten(x)),
    lambda x: S.FullyConnected(x, num_hidden=5, no_bias=True),
    lambda x: S.FullyConnected(x, num_hidden=5, flatten=False),
    lambda x: S.FullyConnected(x, num_hidden=5, flatten=False, no_bias=True),
    lambda x: S.FullyConnected(x, S.transpose(V("w", shape=(9, 5))), V("b"), num_hidden=5, flatten=False),
    lambda x: S.GroupNorm(x, V("gamma"), V("beta"), num_groups=2, eps=1e-2),
    lambda x: S.InstanceNorm(x, V("gamma"), V("beta"), eps=1e-2),
    lambda x: S.L2Normalization(x, mode="instance") + S.L2Normalization(x, mode="channel"),
    lambda x: S.L2Normalization(x, mode="spatial"),
    lambda x: S.LRN(x, nsize=3, alpha=0.1, beta=0.5, knorm=1.5),
    lambda x: S.LayerNorm(x, V("gamma"), V("beta"), axis=3),
    lambda x: S.LayerNorm(x, V("gamma") * 2, V("beta"), axis=1, eps=1e-2) + S.LayerNorm(x, V("g"), V("b"), axis=-2),
    lambda x: S.LeakyReLU(x - 0.5, act_type="leaky", slope=0.1),
    lambda x: S.LeakyReLU(x - 0.5, act_type="elu", slope=0.3),
    lambda x: S.LeakyReLU(x - 0.5, act_type="selu"),
    lambda x: S.LeakyReLU(x - 0.5, act_type="gelu"),
    lambda x: S.LeakyReLU(x - 0.5, V("slopes", shape=(4,)), act_type="prelu"),
    lambda x: S.LeakyReLU(x - 0.5, V("slope", shape=(1,)), act_type="prelu"),
    lambda x: S.LeakyReLU(x - 0.5, V("slopes", shape=(4,)) * 2, act_type="prelu"),
    lambda x: S.LeakyReLU(x - 0.5, act_type="rrelu", lower_bound=0.2)[0],
    lambda x: S.LinearRegressionOutput(x, V("label")),
    lambda x: S.LogisticRegressionOutput(x, V("label")),
    lambda x: S.Pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 4), constant_value=0.5),
    lambda x: S.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 4)),
    lambda x: S.Pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 3, 4)),
    lambda x: S.Pooling(x, kernel=(3, 2), stride=(2, 2), pad=(1, 0)),
    lambda x: S.Pooling(x, kernel=(2, 2), stride=(2, 2), pooling_convention="full"),
    lambda x: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg"),
    lambda x: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False),
    lambda x: S.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg", pooling_convention="full"),
    lambda x: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="lp", p_value=2),
    lambda x: S.Pooling(x - 0.5, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="lp", p_value=1),
    lambda x: S.Pooling(x - 0.5, kernel=(4, 2), stride=(2, 2), pool_type="lp", p_value=3, pooling_convention="full"),
    lambda x: S.Pooling(x - 0.5, global_pool=True, pool_type="lp", p_value=3) + S.Pooling(x, global_pool=True),
    lambda x: S.Pooling(x, kernel=(3, 2), stride=(2, 3), pad=(1, 1), pool_type="sum", pooling_convention="full"),
    lambda x: S.Pooling(x, global_pool=True, pool_type="sum"),
    lambda x: padded(x, pool_type="avg"),
    lambda x: padded(x, pool_type="avg", count_include_pad=False),
    lambda x: beyond(x, pool_type="max") + beyond(x, pool_type="sum"),
    lambda x: beyond(x, pool_type="avg") + beyond(x, pool_type="avg", count_include_pad=False),
    lambda x: S.Pooling(
        S.reshape(x, shape=(0, 2, 2, 9, 9)),
        kernel=(2, 3, 2),
        stride=(1, 2, 3),
        pad=(1, 1, 1),
        pool_type="avg",
        pooling_convention="full",
    ),
    lambda x: S.Pooling(x, global_pool=True, pool_type="avg"),
    lambda x: S.Pooling(x, global_pool=True, kernel=(7, 7), pad=(3, 3)),
    lambda x: S.Pooling(x, global_pool=True, pool_type="lp", p_value=2),
    lambda x: S.Reshape(x, shape=(-4, -1, 1, 0, -3)),
    lambda x: S.Reshape(x, shape=(0, -1)),
    lambda x: S.Reshape(x, shape=(-1, 9)),
    lambda x: S.Reshape(x, shape=(9, -1), reverse=True),
    lambda x: sum(S.SliceChannel(x, num_outputs=2)[1] * factor for factor in (1, 2)),
    lambda x: S.SliceChannel(x, num_outputs=9, axis=-1, squeeze_axis=True)[4],
    lambda x: S.SoftmaxActivation(x, mode="channel"),
    lambda x: S.SoftmaxActivation(x) + S.SoftmaxActivation(x, mode="instance"),
    lambda x: S.SoftmaxOutput(x, V("label")),
    lambda x: S.SoftmaxOutput(S.Flatten(x), V("label")),
    lambda x: S.SoftmaxOutput(x, V("label"), multi_output=True),
    lambda x: S.SoftmaxOutput(x, V("label"), multi_output=True, preserve_shape=True),
    lambda x: S.SoftmaxOutput(x, V("label"), preserve_shape=True),
    lambda x: S.SwapAxis(x, dim1=1, dim2=3),
    lambda x: S.UpSampling(x, scale=2, sample_type="nearest", num_args=1),
    lambda x: S.UpSampling(x, S.Pooling(x, kernel=(3, 3), stride=(3, 3)), scale=2, sample_type="nearest", num_args=2),
    lambda x: S.UpSampling(x, x, scale=2, sample_type="nearest", num_args=2, multi_input_mode="sum"),
    lambda x: S.UpSampling(x, V("w"), scale=3, sample_type="bilinear", num_filter=4, num_args=2),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x, output_size=(4, 7)),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x, output_size=(12, 2)),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x, output_size=(3, 9)),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x),
    lambda x: 2 / (3 - x) + 5 * x - 1 + (x + 1) ** 2 + 2**x + x / 3,
    lambda x: S.maximum(x, 0.5) + S.minimum(x, 0.5),
    lambda x: (x > 0.5) + (x < 0.2) * 2 + (S.floor(x * 5) == 2) * 3,
    lambda x: (whole(x) != 1) + (whole(x) >= 1) * 2 + (whole(x) <= 1) * 4,
    lambda x: (whole(x) == other(x)) + (whole(x) != other(x)) * 2 + (whole(x) > other(x)) * 4,
    lambda x: (whole(x) >= other(x)) + (whole(x) < other(x)) * 2 + (whole(x) <= other(x)) * 4,
    lambda x: S.broadcast_not_equal(whole(x), whole(W)) + S.broadcast_greater_equal(whole(x), whole(W)) * 2,
    lambda x: S.broadcast_lesser_equal(whole(x), whole(W)) + S.logical_not(whole(x)) * 2,
    lambda x: S.broadcast_logical_and(whole(x), other(x)) + S.broadcast_logical_or(whole(x), other(x)) * 2,
    lambda x: S.broadcast_logical_xor(whole(x), other(x)) + logic(x, "and") * 2 + logic(x, "or") * 4,
    lambda x: logic(x, "xor") + logic(x, "and", 1) * 2 + logic(x, "or", 0) * 4 + logic(x, "xor", 0) * 8,
    lambda x: whole(x) % 2 + whole(x) % -2 * 10 + (x - 0.5) % 0.3 + whole(x) % 0,
    lambda x: 2 % whole(x) + -2 % (x - 0.5) * 10 + S.broadcast_mod(x - 0.5, W) + whole(x) % other(x),
    lambda x: S.Cast(S.Cast(whole(x), dtype="int64") % S.Cast(other(x), dtype="int64"), dtype="float32"),
    lambda x: S.broadcast_greater(x, W) + S.broadcast_lesser(x, W),
    lambda x: S.broadcast_equal(S.floor(x * 2), S.floor(S.slice_axis(x, axis=1, begin=0, end=1) * 2)),
    lambda x: S.abs(x - 0.5) + S.ceil(x) + S.cos(x) + S.erf(x) + S.exp(x) + S.floor(x) + S.log(x + 1),
    lambda x: S.negative(x) + S.reciprocal(x + 1) + S.relu(x - 0.5) + S.rsqrt(x + 1) + S.sigmoid(x) + S.sign(x),
    lambda x: S.arccos(x) + S.arccosh(x + 1) + S.arcsin(x) + S.arcsinh(x) + S.arctan(x) + S.arctanh(x / 2),
    lambda x: S.cosh(x) + S.sinh(x) + S.tan(x) + S.degrees(x) + S.radians(x) + S.cbrt(x - 0.5) + S.rcbrt(x + 1),
    lambda x: S.log1p(x * 1e-6) * 1e6 + S.expm1(x * 1e-6) * 1e6 + S.log1p(x * 1e9) + S.expm1(x * 9 - 5),
    lambda x: S.log2(x + 1) + S.log10(x + 1) + S.smooth_l1(x * 3 - 1) + S.smooth_l1(x * 3 - 1, scalar=2),
    lambda x: S.rint(whole(x) / 2) + S.round(whole(x) / 2) * 10 + S.trunc(x * 9 - 4) * 100 + S.fix(x * 9 - 4),
    lambda x: S.sin(x) + S.softsign(x) + S.sqrt(x) + S.square(x) + S.tanh(x) + S.hard_sigmoid(x, alpha=0.3),
    lambda x: S.add_n(x, x * 2, x * 3) + S.add_n(x, x),
    lambda x: S.argmax(x, axis=1) + S.argmin(x, axis=1),
    lambda x: S.argmax(whole(x), axis=2, keepdims=True) + S.argmin(whole(x), axis=-2, keepdims=True),
    lambda x: S.batch_dot(S.reshape(x, shape=(0, 0, -1)), S.reshape(x, shape=(0, 0, -1)), transpose_b=True),
    lambda x: S.dot(S.Flatten(x), V("w", shape=(5, 324)), transpose_b=True),
    lambda x: S.dot(x, V("w", shape=(9, 5))) + S.dot(x, V("v", shape=(5, 9)), transpose_b=True),
    lambda x: S.broadcast_add(x, W) - S.broadcast_div(x, W),
    lambda x: S.broadcast_mul(x, W) * S.broadcast_sub(x, W),
    lambda x: S.broadcast_maximum(x, W) / S.broadcast_minimum(x, W),
    lambda x: S.broadcast_power(x, W),
    lambda x: S.maximum(x, 1 - x) + S.minimum(x, 1 - x) + S.pow(x, 1 - x),
    lambda x: S.clip(x, 0.2, 0.6),
    lambda x: S.squeeze(S.expand_dims(x, axis=-1), axis=-1) + S.squeeze(S.expand_dims(x, axis=1), axis=1),
    lambda x: S.mean(x, axis=(2, 3)) + S.sum(x, axis=(-1, -2)) + S.prod(x, axis=(2, 3)),
    lambda x: S.mean(x) + S.sum(x, axis=()) + S.max(x) - S.min(x) + S.norm(x) + S.sum(x, exclude=True),
    lambda x: S.max(x, axis=(0, 2), exclude=True) + S.min(x, axis=(1, 3), keepdims=False),
    lambda x: S.norm(x, ord=1, axis=1) + S.norm(x, axis=1),
    lambda x: S.slice(x, begin=(None, 1), end=(None, 3)),
    lambda x: S.slice(x, begin=(None, 3, 8, 0), end=(None, 0, 0, 9), step=(None, -1, -3, 2)),
    lambda x: S.slice(x, begin=(None, None, -1), end=(None, None, None), step=(1, -1, -2)),
    lambda x: S.slice_axis(x, axis=2, begin=1, end=-2) + S.slice_axis(x, axis=2, begin=-6, end=None),
    lambda x: S.softmax(x, axis=1, temperature=2.0) + S.log_softmax(x),
    lambda x: S.softmin(x, axis=1) + S.softmin(x, temperature=0.5),
    lambda x: S.stack(x, x * 2, axis=1),
    lambda x: S.transpose(x, axes=(0, 2, 3, 1)) + S.transpose(S.transpose(x), axes=(3, 1, 0, 2)),
]
