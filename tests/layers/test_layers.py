"""Checks of all layers in layer_cases.py: derivatives, agreement of the implementations, API."""

import numpy as np
import pytest
from layer_cases import CASES

import lenet5
from lenet5 import MAP, ConfigError, SquaredError, engine, gradcheck, initializers
from lenet5.errors import ShapeError
from lenet5.layers import (
    ELU,
    RBF,
    TABLE_I,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    PReLU,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Subsampling,
    Tanh,
)
from lenet5.layers.table import parse_table
from lenet5.training.shards import Shards


@pytest.fixture(params=CASES)
def case(request):
    make, in_shape = CASES[request.param]
    return make(), in_shape


def run(layer, x, dy, hy):
    """Return copies of all results of a layer for one batch: y, dx, hx, and grad and hess of each parameter."""
    results = {"y": layer.forward(x).copy(), "dx": layer.backward(dy).copy(), "hx": layer.bbprop(hy).copy()}
    for p in layer.parameters():
        results |= {f"{p.name} grad": p.grad.copy(), f"{p.name} hess": p.hess.copy()}
    return results


def built(layer, in_shape, n=3, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    out_shape = layer.build(in_shape, dtype=dtype, rng=rng)
    x = gradcheck.distinct((n, *in_shape), rng).astype(dtype)
    dy, hy = (rng.uniform(0.5, 1.5, (n, *out_shape)).astype(dtype) for _ in range(2))
    return x, dy, hy


def test_gradients_and_curvatures(case):
    report = gradcheck.check(*case)
    assert set(report.gradient) == set(report.curvature) == {"x", *(p.name for p in built_parameters(case))}
    assert report.ok, f"\n{report}"


def built_parameters(case):
    layer, in_shape = case
    layer.build(in_shape, rng=np.random.default_rng(0))
    return layer.parameters()


def test_float32_agrees_with_float64(case):
    layer, in_shape = case
    double = run(layer, *built(layer, in_shape))
    single = run(layer, *built(layer, in_shape, dtype=np.float32))
    for name, expected in double.items():
        assert single[name].dtype == np.float32, name
        # Sums have up to a few hundred terms, each with a rounding error of 6e-8.
        np.testing.assert_allclose(single[name], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_numpy_twins_agree_with_numba(case):
    layer, in_shape = case
    arrays = built(layer, in_shape)
    compiled = run(layer, *arrays)
    with engine.numpy_only():
        twins = run(layer, *arrays)
    for name, expected in compiled.items():
        np.testing.assert_allclose(twins[name], expected, rtol=1e-13, atol=1e-13, err_msg=name)


def network_with(layer, in_shape, dtype):
    """Return a network with the layer between two others, so that derivatives at its input matter, and a loss."""
    first = Conv2D(in_shape[0], 1, name="first") if len(in_shape) == 3 else Dense(in_shape[0], name="first")
    layer.name = layer.name or "layer"
    layers = [first, layer]
    if not layer.outputs_penalties:
        layers += [Flatten(), Dense(3, name="last")]
    net = lenet5.Sequential(layers)
    net.build(in_shape, dtype=dtype, rng=np.random.default_rng(1))
    return net, MAP(0.7, scale=0.5) if layer.outputs_penalties else SquaredError()


# The rounding error of float32 is 6e-8, and sums of up to some hundred terms are formed in another order.
@pytest.mark.skipif(not engine.HAVE_NUMBA, reason="needs Numba")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 1e-5)])
def test_compiled_equals_methods(case, dtype, tolerance):
    """Compare outputs, gradients, curvatures and updates for single patterns, 16 side by side, and two shards."""
    layer, in_shape = case
    net, loss = network_with(layer, in_shape, dtype)
    rng, params = np.random.default_rng(2), net.parameters()
    for array in net.running().values():
        array[...] = rng.uniform(0.5, 1.5, array.shape)
    fast, slow = Shards(net, loss), Shards(net, loss, use_compiled=False)
    fast.key = slow.key = (5, 7)
    assert (net.program(training=True) is None) == net.couples_patterns == (not fast.steps)
    assert net.program() is not None, "the layer has no compiled code"

    def close(found, expected):
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()

    for n in (1, 3, 16, 19, 33):
        if net.couples_patterns and n == 1:
            continue
        x = gradcheck.distinct((n, *in_shape), rng).astype(dtype)
        labels = rng.integers(net.out_shape[0], size=n)
        close(net.outputs(x), net.eval().forward(x))
        for what, part in (("gradient", params.grad), ("curvature", params.hess)):
            value, errors = getattr(slow, what)(x, labels)
            expected = part.copy()
            part[...] = np.nan
            assert getattr(fast, what)(x, labels) == (pytest.approx(value, rel=tolerance), errors)
            for name, own in params.slices().items():
                assert np.abs(part[own] - expected[own]).max() <= tolerance * np.abs(expected).max(), (n, what, name)
        assert fast.evaluate(x, labels)[1] == slow.evaluate(x, labels)[1]
        if not fast.steps:
            continue
        rates = rng.uniform(0.001, 0.002, params.value.size).astype(dtype)
        start, total = params.value.copy(), 2.0
        for k in range(n):
            slow.key = (5, 7 + k)  # the trainer's key of an update has the position of its first pattern
            total += slow.gradient(x[k : k + 1], labels[k : k + 1])[0]
            params.value -= rates * params.grad
        slow.key, end, params.value[...] = (5, 7), params.value.copy(), start
        assert fast.step(x, labels, rates, 2.0)[0] == pytest.approx(total, rel=10 * tolerance)
        assert np.abs(end - start).max() > 1e-6
        close(params.value, end)
        params.value[...] = start


def test_a_batch_is_the_sum_of_its_patterns(case):
    layer, in_shape = case
    if layer.training and (layer.couples_patterns or layer.draws_at_random):
        pytest.skip("in training, results depend on the other patterns, or on the position in the batch")
    x, dy, hy = built(layer, in_shape)
    together = run(layer, x, dy, hy)
    single = [run(layer, x[i : i + 1], dy[i : i + 1], hy[i : i + 1]) for i in range(len(x))]
    for name, expected in together.items():
        parts = [s[name] for s in single]
        found = np.concatenate(parts) if name in ("y", "dx", "hx") else np.sum(parts, axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_calls_overwrite_and_leave_their_inputs_alone(case):
    layer, in_shape = case
    arrays = built(layer, in_shape)
    for a in arrays:
        a.setflags(write=False)
    first = run(layer, *arrays)
    # A larger batch in between must not change the results, and gradients must not accumulate.
    rng = np.random.default_rng(5)
    run(layer, *(rng.uniform(0.1, 1, (7, *a.shape[1:])) for a in arrays))
    second = run(layer, *arrays)
    for name in first:
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)


def test_to_input_false_gives_the_same_parameters_and_no_dx(case):
    layer, in_shape = case
    x, dy, hy = built(layer, in_shape)
    full = run(layer, x, dy, hy)
    for p in layer.parameters():
        p.grad[...] = p.hess[...] = np.nan
    layer.forward(x)
    assert layer.backward(dy, to_input=False) is None
    assert layer.bbprop(hy, to_input=False) is None
    for p in layer.parameters():
        np.testing.assert_array_equal(p.grad, full[f"{p.name} grad"])
        np.testing.assert_array_equal(p.hess, full[f"{p.name} hess"])


def test_steady_state_keeps_its_arrays(case):
    layer, in_shape = case
    x, dy, hy = built(layer, in_shape)
    run(layer, x, dy, hy)
    before = {name: id(a) for name, a in layer._buffers.items()}
    run(layer, x[:2], dy[:2], hy[:2])
    run(layer, x, dy, hy)
    assert {name: id(a) for name, a in layer._buffers.items()} == before


def test_wrong_inputs_are_named(case):
    layer, in_shape = case
    for shape in ((1, *in_shape), (3,)):  # also without axes besides that of the batch
        with pytest.raises(ShapeError, match="build"):
            layer.forward(np.zeros(shape, np.float32))
    x, _, _ = built(layer, in_shape)
    with pytest.raises(ShapeError, match="float64"):
        layer.forward(x.astype(np.float32))
    with pytest.raises(ShapeError, match="takes"):
        layer.forward(np.zeros((2, in_shape[0] + 1, *in_shape[1:])))
    with pytest.raises(ShapeError):
        layer.build(in_shape, dtype=np.int64, rng=np.random.default_rng(0))
    for senseless in ((), (3, -1, 4), (0,), (2.0, 3, 3), None, 5):
        with pytest.raises(ShapeError, match="tuple of positive ints"):
            layer.build(senseless, rng=np.random.default_rng(0))


def test_differentiating_before_forward_is_an_error(case):
    layer, in_shape = case
    _, dy, hy = built(layer, in_shape)
    with pytest.raises(ShapeError, match="first"):
        layer.backward(dy)
    with pytest.raises(ShapeError, match="first"):
        layer.bbprop(hy)


def test_derivatives_of_another_shape_are_refused(case):
    layer, in_shape = case
    x, dy, hy = built(layer, in_shape)
    layer.forward(x)
    layer.backward(dy)
    for wrong in (np.ones((200, *dy.shape[1:])), dy[:, :1], dy.astype(np.float32), dy[0]):
        if wrong.shape == dy.shape and wrong.dtype == dy.dtype:
            continue  # with one feature, dy[:, :1] is not wrong
        for method in (layer.backward, layer.bbprop):
            with pytest.raises(ShapeError, match="derivative with respect to its output"):
                method(wrong)


def test_memory_order_does_not_matter(case):
    layer, in_shape = case
    arrays = built(layer, in_shape)
    expected = run(layer, *arrays)
    found = run(layer, *(np.asfortranarray(a) for a in arrays))
    strided = run(layer, *(np.repeat(a, 2, axis=0)[::2] for a in arrays))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(strided[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_same_padding_keeps_the_size():
    for size in range(1, 9):
        for k in range(1, 6):
            for stride in (1, 2, 3):
                layer = Conv2D(1, k, stride=stride, padding="same")
                assert layer.build((1, size, size), rng=np.random.default_rng(0)) == (1, *[-(-size // stride)] * 2)


def test_convolution_by_hand():
    layer = Conv2D(1, 2)
    layer.build((1, 3, 3), rng=np.random.default_rng(0))
    layer.weight.value[...] = [[[[1, 2], [3, 4]]]]
    layer.bias.value[...] = 0.5
    x = np.array([[[[1, 0, 2], [0, 1, 0], [3, 0, 1]]]], np.float32)
    # Cross-correlation, as in the paper: the kernel is not flipped.
    expected = [[[[1 + 4 + 0.5, 4 + 3 + 0.5], [2 + 9 + 0.5, 1 + 4 + 0.5]]]]
    np.testing.assert_array_equal(layer.forward(x), expected)


def test_table_i_is_the_papers():
    rule = [{i, (i + 1) % 6, (i + 2) % 6} for i in range(6)]
    rule += [{(i + k) % 6 for k in range(4)} for i in range(6)]
    rule += [{0, 1, 3, 4}, {1, 2, 4, 5}, {0, 2, 3, 5}, set(range(6))]
    table = parse_table(TABLE_I)
    assert [set(np.flatnonzero(table[:, o])) for o in range(16)] == rule


def test_a_table_owns_only_the_kernels_it_draws():
    layer = Conv2D(16, 5, table=TABLE_I)
    layer.build((6, 14, 14), rng=np.random.default_rng(0))
    assert layer.weight.value.shape == (60, 5, 5)
    dense = Conv2D(16, 5)
    dense.build((6, 14, 14), dtype=np.float64, rng=np.random.default_rng(1))
    table = parse_table(TABLE_I)
    dense.weight.value[...] *= table.T[:, :, None, None]
    twin = Conv2D(16, 5, table=table)
    twin.build((6, 14, 14), dtype=np.float64, rng=np.random.default_rng(2))
    twin.weight.value[...] = dense.weight.value[table.T]
    x = np.random.default_rng(3).standard_normal((2, 6, 14, 14))
    np.testing.assert_allclose(twin.forward(x), dense.forward(x), rtol=1e-12)


def test_subsampling_sums_its_window():
    layer = Subsampling(coefficient=0.5)
    layer.build((1, 2, 2), rng=np.random.default_rng(0))
    layer.bias.value[...] = 1
    assert layer.forward(np.array([[[[1, 2], [3, 4]]]], np.float32)).item() == 0.5 * 10 + 1


def test_average_pooling_passes_curvature_with_one_sixteenth():
    layer = CASES["average"][0]()
    layer.build((1, 2, 2), rng=np.random.default_rng(0))
    layer.forward(np.ones((1, 1, 2, 2), np.float32))
    np.testing.assert_array_equal(layer.bbprop(np.ones((1, 1, 1, 1), np.float32)), np.full((1, 1, 2, 2), 1 / 16))


def test_of_equal_maxima_the_first_gets_everything():
    layer = MaxPool2D()
    layer.build((1, 2, 2), rng=np.random.default_rng(0))
    layer.forward(np.zeros((1, 1, 2, 2), np.float32))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1), np.float32)), [[[[1, 0], [0, 0]]]])


@pytest.mark.skipif(not engine.HAVE_NUMBA, reason="needs Numba")
@pytest.mark.parametrize("n", [2, 16])
def test_compiled_maxima_are_the_same_cells(n):
    """Compiled max pooling selects the first of equal values, and NaN before numbers, like NumPy's argmax."""
    net = lenet5.Sequential([Conv2D(2, 1, name="first"), MaxPool2D(), Flatten(), Dense(3, name="last")])
    net.build((2, 6, 6), dtype=np.float64, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).integers(0, 2, (n, 2, 6, 6)).astype(np.float64)
    labels, params = np.arange(n) % 3, net.parameters()
    Shards(net, SquaredError(), use_compiled=False).gradient(x, labels)
    expected = params.grad.copy()
    fast = Shards(net, SquaredError())
    fast.gradient(x, labels)
    np.testing.assert_allclose(params.grad, expected, rtol=1e-12, atol=1e-14)
    for cell in range(4):
        spoilt = x.copy()
        spoilt[1, :, 2 + cell // 2, 4 + cell % 2] = np.nan
        np.testing.assert_array_equal(np.isnan(fast.outputs(spoilt)).all(axis=1), np.arange(n) == 1)


def test_layers_begin_in_the_evaluating_state():
    for layer in (Conv2D(2, 3), MaxPool2D(), Dropout(), BatchNorm()):
        assert layer.training is False


def test_what_dropout_drops_is_settled_by_its_key():
    """The key determines the mask in every version, so that resumed and repeated runs drop the same cells."""
    layer = Dropout(0.5).train()
    layer.build((12,), rng=np.random.default_rng(0))
    layer.reseed(3, 1)
    masks = layer.forward(np.ones((2, 12), np.float32)) / 2
    assert ["".join(f"{cell:.0f}" for cell in mask) for mask in masks] == ["000011110000", "110000111011"]
    layer.reseed(3, 1, 0)
    assert (layer.forward(np.ones((2, 12), np.float32)) / 2 != masks).any()


def test_the_squash_is_the_papers():
    layer = ScaledTanh()
    layer.build((3,), dtype=np.float64, rng=np.random.default_rng(0))
    # f(1) = 1 up to the rounding of A to four decimals
    np.testing.assert_allclose(layer.forward(np.array([[1.0, -1.0, 100.0]])), [[1, -1, 1.7159]], atol=2e-5)


@pytest.mark.parametrize("layer", [ScaledTanh(), Tanh(), Sigmoid(), ReLU(), LeakyReLU(), PReLU(), ELU()])
def test_activations_are_stable_far_out(layer):
    layer.build((2,), rng=np.random.default_rng(0))
    x = np.array([[-1e4, 1e4]], np.float32)
    assert np.isfinite(layer.forward(x)).all()
    one = np.ones((1, 2), np.float32)
    assert np.isfinite(layer.backward(one)).all() and np.isfinite(layer.bbprop(one)).all()


def test_rbf_is_eq_7_without_one_half():
    layer = RBF([[1.0, -1.0]])
    layer.build((2,), rng=np.random.default_rng(0))
    assert layer.forward(np.array([[3.0, 1.0]], np.float32)).item() == 4 + 4


def test_rbf_curvature_under_eq_8_is_two():
    layer = RBF()
    x, _, _ = built(layer, (84,), n=1)
    layer.forward(x)
    one = np.zeros((1, 10))
    one[0, 3] = 1
    layer.backward(one)
    np.testing.assert_array_equal(layer.bbprop(np.zeros((1, 10))), np.full((1, 84), 2.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2D(0, 5),
        lambda: Conv2D(3, 0),
        lambda: Conv2D(3, 5, stride=0),
        lambda: Conv2D(3, 5, padding="full"),
        lambda: Conv2D(3, 5, padding=-1),
        lambda: Conv2D(3, (5, 5, 5)),
        lambda: Conv2D(3, 5.5),
        lambda: Conv2D("3", 5),
        lambda: Conv2D(2, 3, table=[[1, 0]]),
        lambda: Dense(2.5),
        lambda: Conv2D(4, 3, table="X . X\n X X ."),
        lambda: Conv2D(3, 3, table="X . X\n X X"),
        lambda: Conv2D(3, 3, table="X . x"),
        lambda: Subsampling(0),
        lambda: MaxPool2D(2, stride=0),
        lambda: Dense(0),
        lambda: Dropout(1.0),
        lambda: Dropout(-0.1),
        lambda: Dropout(np.nan),
        lambda: BatchNorm(0.0),
        lambda: BatchNorm(1.1),
        lambda: BatchNorm(epsilon=0.0),
        lambda: BatchNorm(epsilon=np.nan),
        lambda: RBF("\u00e9"),
        lambda: RBF(""),
        lambda: RBF(np.zeros(84)),
    ],
)
def test_senseless_arguments(make):
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize(
    ("layer", "in_shape"),
    [
        (Conv2D(3, 5), (1, 4, 9)),
        (Conv2D(3, 5), (25,)),
        (Conv2D(3, 5, table="X X X"), (2, 9, 9)),
        (Subsampling(), (3, 1, 4)),
        (Subsampling(), (3,)),
        (Dense(3), (4, 2, 2)),
        (RBF(), (83,)),
        (RBF(), (84, 2, 1)),
    ],
)
def test_shapes_that_a_layer_cannot_take(layer, in_shape):
    with pytest.raises(ShapeError):
        layer.build(in_shape, rng=np.random.default_rng(0))


def test_flatten_fixes_the_size_of_maps():
    layer = Flatten()
    layer.build((2, 3, 3), rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match="size"):
        layer.forward(np.zeros((1, 2, 4, 3), np.float32))


@pytest.mark.parametrize(
    ("draw", "spread", "bound"),
    [
        (initializers.fan_in_uniform, (1 / 50) ** 0.5 / 3**0.5, (1 / 50) ** 0.5),
        (initializers.paper, 2.4 / 50 / 3**0.5, 2.4 / 50),
        (initializers.gaussian, 0.1, np.inf),
        (initializers.truncated_normal, 0.1 * 0.8796, 0.2),  # 0.8796: s.d. of a normal truncated at 2 s.d.
        (initializers.xavier, (2 / 120) ** 0.5, (6 / 120) ** 0.5),
        (initializers.xavier_normal, (2 / 120) ** 0.5, np.inf),
        (initializers.he, (2 / 50) ** 0.5, np.inf),
        (initializers.he_uniform, (2 / 50) ** 0.5, (6 / 50) ** 0.5),
    ],
)
def test_initialisers_have_their_spread(draw, spread, bound):
    w = draw((200, 500), 50, 70, np.random.default_rng(0))
    assert w.shape == (200, 500) and w.dtype == np.float64
    assert abs(w.mean()) < 4 * spread / len(w.ravel()) ** 0.5  # four standard errors
    assert w.std() == pytest.approx(spread, rel=0.01)
    assert np.abs(w).max() <= bound and (np.isinf(bound) or np.abs(w).max() > 0.99 * bound)
    assert draw in [getattr(f, "func", f) for f in initializers.INITIALIZERS.values()]
