import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lenet5
from lenet5 import MAP, MLE, ConfigError, ShapeError, SoftmaxCrossEntropy, SquaredError, gradcheck
from lenet5.layers import Dense
from lenet5.training.shards import Shards

LOSSES = [
    MLE(),
    MLE(scale=0.5),
    MAP(),
    MAP(0.1, scale=0.5),
    MAP(10.0),
    SoftmaxCrossEntropy(),
    SoftmaxCrossEntropy(scale=2),
    SoftmaxCrossEntropy(0.1),
    SoftmaxCrossEntropy(0.9, scale=0.5),
    SquaredError(),
    SquaredError(scale=0.5),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n", [1, 4])
def test_derivatives(loss, n):
    rng = np.random.default_rng(n)
    report = gradcheck.check_loss(loss, rng.uniform(0, 3, (n, 10)), rng.integers(10, size=n))
    assert report.ok, f"\n{report}"


def test_values_by_hand():
    y, labels = np.array([[1.0, 4.0], [2.0, 0.5]]), np.array([0, 1])
    assert MLE().forward(y, labels) == pytest.approx((1 + 0.5) / 2)
    eq9 = [1 + np.log(np.exp(-3) + np.exp(-1) + np.exp(-4)), 0.5 + np.log(np.exp(-3) + np.exp(-2) + np.exp(-0.5))]
    assert MAP(3.0).forward(y, labels) == pytest.approx(np.mean(eq9))
    assert MAP(3.0, scale=0.5).forward(y, labels) == pytest.approx(np.mean(eq9) / 2)
    softmax = [np.log(1 + np.exp(3)), np.log(1 + np.exp(1.5))]
    assert SoftmaxCrossEntropy().forward(y, labels) == pytest.approx(np.mean(softmax))
    p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    smoothed = -(np.array([[0.9, 0.1], [0.1, 0.9]]) * np.log(p)).sum(axis=1)  # 1 - 0.2 + 0.2/2 at the label
    assert SoftmaxCrossEntropy(0.2).forward(y, labels) == pytest.approx(np.mean(smoothed))
    assert SquaredError().forward(y, labels) == pytest.approx(((0 + 25) / 2 + (9 + 0.25) / 2) / 2)


def test_the_smallest_penalty_and_the_largest_score_win():
    y = np.array([[3.0, 1.0, 1.0], [0.0, 5.0, 2.0]])
    np.testing.assert_array_equal(MAP().predict(y), [1, 0])
    np.testing.assert_array_equal(MLE().predict(y), [1, 0])
    np.testing.assert_array_equal(SoftmaxCrossEntropy().predict(y), [0, 1])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_values_stay_finite(loss, size, dtype):
    y = np.array([[size, 0.0, -size], [0.0, 0.0, 0.0]], dtype=dtype)
    assert np.isfinite(loss.forward(y, np.array([0, 2])))
    assert np.isfinite(loss.backward()).all() and np.isfinite(loss.bbprop()).all()
    assert loss.backward().dtype == loss.bbprop().dtype == dtype


@given(st.floats(1e-3, 50), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_eq_9_gradients_sum_to_the_share_of_the_rubbish_class(j, label, seed):
    y = np.random.default_rng(seed).uniform(0, 100, (1, 10))
    loss = MAP(j)
    loss.forward(y, np.array([label]))
    m = min(y.min(), j)
    rubbish = np.exp(m - j) / (np.exp(m - j) + np.exp(m - y).sum())
    assert loss.backward().sum() == pytest.approx(rubbish, abs=1e-12)
    assert (loss.bbprop() >= 0).all()


@pytest.mark.parametrize("loss", [MLE(), MAP(), SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1), SquaredError()])
def test_compiled_losses_are_stable_far_out(loss):
    """Compiled losses equal the methods for outputs whose exponential overflows."""
    net = lenet5.Sequential([Dense(3, name="last")])
    net.build((4,), dtype=np.float64, rng=np.random.default_rng(0))
    x, labels = np.array([[0.0, 1, 2, 3], [4, 3, 2, 1]]), np.array([0, 2])
    net.theta *= 1e4
    fast, slow, grad = Shards(net, loss), Shards(net, loss, use_compiled=False), net.parameters().grad
    expected, wanted = slow.gradient(x, labels), grad.copy()
    assert fast.gradient(x, labels) == pytest.approx(expected, rel=1e-12) and np.isfinite(expected[0])
    np.testing.assert_allclose(grad, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("y", "labels", "what"),
    [
        (np.zeros((2, 3)), np.array([0, 3]), "0 to 2"),
        (np.zeros((2, 3)), np.array([-1, 0]), "-1"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "integer"),
        (np.zeros((2, 3)), np.array([0]), "one per output"),
        (np.zeros((2, 3)), [0, 1], "list"),
        (np.zeros((2, 3)), np.array([True, False]), "bool"),
        (np.zeros((0, 3)), np.zeros(0, int), "at least 1"),
        (np.zeros(3), np.array([0]), "(N, classes)"),
        (np.zeros((1, 3, 1, 2)), np.array([0]), "(N, classes)"),
    ],
)
def test_wrong_labels_are_named(y, labels, what):
    for loss in LOSSES[::2]:
        with pytest.raises(ShapeError) as error:
            loss.forward(y, labels)
        assert what in str(error.value)


@pytest.mark.parametrize("loss", [MLE(), MAP(), SoftmaxCrossEntropy(), SquaredError()])
def test_derivatives_need_a_forward(loss):
    for method in (loss.backward, loss.bbprop):
        with pytest.raises(ShapeError, match="forward"):
            method()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MAP(0),
        lambda: MAP(float("nan")),
        lambda: MLE(scale=-1),
        lambda: MAP(np.inf),
        lambda: SoftmaxCrossEntropy(1.0),
        lambda: SoftmaxCrossEntropy(-0.1),
    ],
)
def test_constants_must_make_sense(make):
    with pytest.raises(ConfigError):
        make()
