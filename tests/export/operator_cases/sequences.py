"""Sequences: the four channels of an item, or the items of a batch, with lengths that are computed from the data."""

from zoo.runtime import mx

S, V = mx.sym, mx.sym.var


def turned(x):
    return S.SwapAxis(x, dim1=0, dim2=1)


def lengths(x):  # from 1 to 4, of which MXNet cuts off the fraction
    return S.reshape(S.slice_axis(S.Flatten(x), axis=1, begin=0, end=1), shape=(-1,)) * 3.9 + 1


def counts(x, axis):  # from 0 to 3
    return S.Cast(S.squeeze(S.slice_axis(x, axis=axis, begin=0, end=1), axis=axis) * 3.9, dtype="int32")


def rnn(x, parameters, *states, **settings):
    return S.RNN(S.reshape(x, shape=(0, 0, -1)), parameters, *states, state_size=5, **settings)


CASES = [
    lambda x: S.SequenceLast(x, axis=1) + S.SequenceLast(turned(x)),
    lambda x: S.SequenceLast(x, lengths(x), use_sequence_length=True, axis=1),
    lambda x: S.SequenceLast(turned(x), lengths(x), use_sequence_length=True),
    lambda x: S.SequenceMask(x, value=2, axis=1) + S.SequenceMask(x, lengths(x), True, value=-1, axis=1),
    lambda x: S.SequenceMask(turned(x), lengths(x), use_sequence_length=True),
    lambda x: S.SequenceReverse(x),
    lambda x: S.SequenceReverse(turned(x), lengths(x), use_sequence_length=True),
    lambda x: S.softmax(x, counts(x, 1), use_length=True, axis=1, temperature=2.0),
    lambda x: S.softmax(x, counts(x, -1), use_length=True),
    lambda x: rnn(x, V("weights"), V("state"), V("cell"), mode="lstm", num_layers=2) * 1,
    lambda x: rnn(x, V("weights"), V("state"), mode="gru", num_layers=1, state_outputs=True)[1] * 1,
    lambda x: rnn(x, S._internal._rnn_param_concat(V("w", shape=(430,)), V("b", shape=(10,)), dim=0), V("state"),
                  mode="rnn_tanh", num_layers=1),
]  # fmt: skip
