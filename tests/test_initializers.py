"""Initial weights: bounds and standard deviations of each rule, for the fan-in and fan-out of each layer."""

import numpy as np
import pytest

from lenet5 import initializers
from lenet5.layers import Conv2D, Dense

TABLE = """
    X . X X
    X X . X
    . X . X
"""

# Function that returns the layer, input shape, fan-in and fan-out.
FANS = {
    "conv": (lambda init: Conv2D(40, 5, init=init), (30, 9, 9), 30 * 25, 40 * 25),
    "conv-wide": (lambda init: Conv2D(40, (3, 7), init=init), (30, 9, 9), 30 * 21, 40 * 21),
    "dense": (lambda init: Dense(70, init=init), (300,), 300, 70),
}


def weights(case, init):
    make, in_shape, fan_in, fan_out = FANS[case]
    layer = make(init)
    layer.build(in_shape, dtype=np.float64, rng=np.random.default_rng(0))
    return layer.weight.value.ravel(), fan_in, fan_out


@pytest.mark.parametrize("case", FANS)
def test_uniform_rules_fill_their_bounds(case):
    for name, bound in {
        "paper": lambda i, o: 2.4 / i,
        "fan-in": lambda i, o: i**-0.5,
        "fan-in-2.4": lambda i, o: 2.4 * i**-0.5,
        "xavier": lambda i, o: (6 / (i + o)) ** 0.5,
        "he-uniform": lambda i, o: (6 / i) ** 0.5,
    }.items():
        w, fan_in, fan_out = weights(case, initializers.INITIALIZERS[name])
        most = bound(fan_in, fan_out)
        # The largest of 20,000 or more weights is within 0.1 % of the bound.
        assert 0.999 * most < np.abs(w).max() <= most, name
        assert abs(w.mean()) < 0.03 * most and abs(w.std() - most / 3**0.5) < 0.02 * most, name


@pytest.mark.parametrize("case", FANS)
def test_normal_rules_have_their_spread(case):
    for name, spread in {
        "gaussian": lambda i, o: 0.1,
        "xavier-normal": lambda i, o: (2 / (i + o)) ** 0.5,
        "he": lambda i, o: (2 / i) ** 0.5,
        "truncated-normal": lambda i, o: 0.1 * 0.8796,  # of a normal distribution truncated at 2 sigma
    }.items():
        w, fan_in, fan_out = weights(case, initializers.INITIALIZERS[name])
        expected = spread(fan_in, fan_out)
        assert abs(w.std() / expected - 1) < 0.03 and abs(w.mean()) < 0.03 * expected, name
        assert (np.abs(w).max() <= 0.2) == (name == "truncated-normal") or expected < 0.05, name
        assert np.abs(w).max() > 1.9 * expected, name


def test_every_unit_of_a_table_has_its_own_fan_in():
    layer = Conv2D(4, 9, table=TABLE)
    layer.build((3, 9, 9), dtype=np.float64, rng=np.random.default_rng(0))
    kernels = layer.weight.value
    for o, (first, last) in enumerate(zip(layer.starts[:-1], layer.starts[1:], strict=True)):
        most = ((last - first) * 81) ** -0.5
        assert 0.95 * most < np.abs(kernels[first:last]).max() <= most, o
    seen = []
    Conv2D(4, 9, table=TABLE, init=lambda shape, i, o, rng: seen.append((i, o)) or np.zeros(shape)).build(
        (3, 9, 9), rng=np.random.default_rng(0)
    )
    # The first input maps are connected to three output maps each.
    assert seen == [(2 * 81, 3 * 81), (2 * 81, 3 * 81), (1 * 81, 3 * 81), (3 * 81, 3 * 81)]
