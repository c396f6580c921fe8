"""The oracles of `gradcheck` detect typical mistakes in derivatives."""

import numpy as np
import pytest

import lenet5
from lenet5 import MAP, ConfigError, Layer, gradcheck
from lenet5.layers import RBF, AvgPool2D, Conv2D, Dense, ReLU, ScaledTanh, Subsampling


class SquaredSum(Conv2D):
    """Wrong: bbprop of a shared weight squares the sum over its connections, instead of summing squares."""

    def bbprop(self, hy, *, to_input=True):
        hx = super().bbprop(hy, to_input=to_input)
        self.backward(np.sqrt(hy))
        self.weight.hess[...] = self.weight.grad**2
        return hx


class Quarter(AvgPool2D):
    """Wrong: bbprop multiplies by 1/4 instead of 1/16."""

    def bbprop(self, hy, *, to_input=True):
        return self.backward(hy)


class ForgottenBias(Dense):
    """Wrong: forward does not add the bias, although it has a gradient."""

    def forward(self, x):
        return super().forward(x) - self.bias.value


class OnePerLayer(Dense):
    """Wrong: bbprop sums the curvatures of all weights."""

    def bbprop(self, hy, *, to_input=True):
        hx = super().bbprop(hy, to_input=to_input)
        self.weight.hess[...] = self.weight.hess.sum()
        return hx


class Halved(RBF):
    """Wrong: backward has a factor of 1/2, which eq. 7 does not have."""

    def backward(self, dy, *, to_input=True):
        return super().backward(dy) / 2


class NoCurvatureOfItsOwn(RBF):
    """Wrong: bbprop applies Gauss-Newton to the RBF units, which drops their own second derivative."""

    def bbprop(self, hy, *, to_input=True):
        self._dy = np.zeros_like(self._dy)
        return super().bbprop(hy)


class Accumulating(Subsampling):
    """Wrong: backward adds to the previous gradient."""

    def backward(self, dy, *, to_input=True):
        before = self.bias.grad.copy()
        dx = super().backward(dy)
        self.bias.grad += before
        return dx


@pytest.mark.parametrize(
    ("layer", "in_shape", "wrong"),
    [
        (SquaredSum(2, 3), (1, 5, 5), "curvature weight"),
        (Quarter(), (2, 4, 4), "curvature x"),
        (ForgottenBias(3), (4,), "gradient bias"),
        (OnePerLayer(3), (4,), "curvature weight"),
        (Halved(), (84,), "gradient x"),
        (NoCurvatureOfItsOwn(), (84,), "curvature x"),
        (Accumulating(), (2, 4, 4), "curvature bias"),
    ],
)
def test_known_mistakes_are_caught(layer, in_shape, wrong):
    report = gradcheck.check(layer, in_shape)
    assert not report and not report.ok
    kind, name = wrong.split()
    errors = {"gradient": report.gradient, "curvature": report.curvature}[kind]
    assert errors[name] > 1e-3
    assert f"{kind:<9}  {name}" in str(report) and "WRONG" in str(report)


def test_the_layer_under_test_is_left_alone():
    layer = Dense(3)
    layer.build((4,), rng=np.random.default_rng(0))
    before = layer.weight.value.copy()
    x = np.ones((1, 4), np.float32)
    y = layer.forward(x).copy()
    assert gradcheck.check(layer)
    np.testing.assert_array_equal(layer.weight.value, before)
    assert layer.weight.value.dtype == np.float32
    np.testing.assert_array_equal(layer.forward(x), y)
    assert "ok" in str(gradcheck.check(layer))


def test_losses_and_whole_networks():
    assert gradcheck.check(MAP(0.5))
    assert gradcheck.check(lenet5.lenet5(), batch=1, samples=10)
    for wrong in ({"batch": 0}, {"samples": 0}, {"step": 0.0}):
        with pytest.raises(ConfigError, match="positive"):
            gradcheck.check(Dense(3), (4,), **wrong)


def test_a_kink_within_the_step_is_left_out_and_a_wrong_slope_is_not():
    class Backwards(ReLU):
        def _slope(self, y, slope):
            super()._slope(-y, slope)

    x = np.linspace(-1, 1, 41)[None] + 2e-5  # x[20] is closer to the kink than the step
    assert gradcheck.check(ReLU(), x=x, in_shape=(41,))
    assert not gradcheck.check(Backwards(), x=x, in_shape=(41,))


def test_an_unbuilt_layer_needs_a_shape():
    with pytest.raises(ConfigError, match="shape"):
        gradcheck.check(ScaledTanh())


def test_a_users_own_layer():
    class Square(Layer):
        """y = x^2, whose bbprop includes the second derivative."""

        gauss_newton = False

        def forward(self, x):
            self._x = x.copy()
            return x * x

        def backward(self, dy, *, to_input=True):
            self._dy = dy
            return 2 * self._x * dy

        def bbprop(self, hy, *, to_input=True):
            return np.maximum(4 * self._x**2 * hy + 2 * self._dy, 0)

    assert gradcheck.check(Square(), (6,))


def test_a_curvature_oracle_by_hand():
    layer = Dense(1)
    layer.build((2,), dtype=np.float64, rng=np.random.default_rng(0))
    layer.weight.value[...] = [[2.0, -3.0]]
    one = np.ones((1, 1))
    oracle = gradcheck.curvature_oracle(layer, np.array([[5.0, 7.0]]), one, 0.5 * one)
    np.testing.assert_allclose(oracle["x"], [[2.0, 4.5]])
    np.testing.assert_allclose(oracle["weight"], [[12.5, 24.5]])
    np.testing.assert_allclose(oracle["bias"], [0.5])
