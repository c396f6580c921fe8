"""The `operation` of every layer, computed with plain NumPy, equals its `forward`."""

import numpy as np
import pytest
from layer_cases import CASES
from numpy.lib.stride_tricks import sliding_window_view

from lenet5.layers import operation as op


def framed(x, frame):
    top, left, bottom, right = frame
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


def windows(x, sides, steps):
    """Return windows of x, (N, C, Ho, Wo, h, w)."""
    return sliding_window_view(x, sides, axis=(2, 3))[:, :, :: steps[0], :: steps[1]]


def over(values, x):
    return values.reshape(-1, *[1] * (x.ndim - 2))


def convolved(o, x):
    y = np.einsum("ncpqij,ocij->nopq", windows(framed(x, o.frame), o.weight.shape[2:], o.stride), o.weight)
    return y + o.bias[:, None, None]


def pooled(o, x):
    cells = windows(x, (o.size, o.size), (o.stride, o.stride))
    y = {"sum": cells.sum, "mean": cells.mean, "max": cells.max}[o.kind](axis=(4, 5))
    y = y if o.scale is None else o.scale[:, None, None] * y
    return y if o.shift is None else y + o.shift[:, None, None]


def squashed(o, x):
    a, b = (*o.numbers, 1.0, 1.0)[:2]
    return {
        "tanh": lambda: a * np.tanh(b * x),
        "sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "relu": lambda: np.maximum(x, 0),
        "leaky-relu": lambda: np.where(x > 0, x, a * x),
        "elu": lambda: np.where(x > 0, x, a * np.expm1(x)),
        "prelu": lambda: np.where(x > 0, x, over(o.slopes, x) * x),
    }[o.name]()


COMPUTED = {
    op.Convolution: convolved,
    op.Pooling: pooled,
    op.FullConnection: lambda o, x: x.reshape(len(x), -1) @ o.weight.T + o.bias,
    op.Distances: lambda o, x: ((x.reshape(len(x), 1, -1) - o.codes) ** 2).sum(axis=2),
    op.Normalisation: lambda o, x: (
        over(o.weight, x) * (x - over(o.mean, x)) / np.sqrt(over(o.variance, x) + o.epsilon) + over(o.bias, x)
    ),
    op.Squash: squashed,
    op.Padding: lambda o, x: framed(x, o.frame),
    op.Copies: lambda o, x: np.repeat(x, o.copies, axis=1),
    op.Flattening: lambda o, x: x.reshape(len(x), -1),
    op.Dropping: lambda o, x: x,
}


@pytest.mark.parametrize("name", CASES)
def test_operation_is_what_forward_computes(name):
    make, shape = CASES[name]
    layer, rng = make(), np.random.default_rng(3)
    layer.build(shape, dtype=np.float64, rng=rng)
    for p in layer.parameters():
        p.value[...] = rng.normal(size=p.value.shape)
    for key, array in layer.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if key == "variance" else rng.normal(size=array.shape)
    layer.eval()
    operation, x = layer.operation(), rng.normal(size=(3, *shape))
    expected = layer.forward(x)
    found = COMPUTED[type(operation)](operation, x)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-11, atol=1e-12)
    # The arrays are copies: an exporter may scale them without changing the network.
    for array in operation:
        if isinstance(array, np.ndarray) and array.dtype.kind == "f":
            array *= 2
    np.testing.assert_allclose(layer.forward(x).reshape(found.shape), found, rtol=1e-11, atol=1e-12)


def test_every_operation_is_used():
    assert {type(make_built(*CASES[name]).operation()) for name in CASES} == set(COMPUTED)


def make_built(make, shape):
    layer = make()
    layer.build(shape)
    return layer
