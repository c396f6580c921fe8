"""Squashing functions: the paper's scaled tanh, the plain tanh and the sigmoid."""

import math

import numpy as np

from ..engine import call as eng
from ..engine.jit import Function, by_precision, layer_function
from ..engine.row import Row
from .base import Layer
from .operation import Operation, Squash

__all__ = ["Activation", "ScaledTanh", "Sigmoid", "Tanh"]


class Activation(Layer):
    """Base class of elementwise functions y = f(x). A subclass defines f, and expresses f' in terms of y."""

    def _row(self, forward: Function, reverse: Function, *numbers: float) -> list[Row]:
        """Return the compiled version of an activation that works in place and computes f' from its output."""
        return [Row(forward, reverse, self.out_shape, numbers=numbers, in_place=True, reads_output=True)]

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write f(x) to y."""
        raise NotImplementedError

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        """Write f'(x) to slope, given y = f(x)."""
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y of x's shape."""
        self._check(x)
        self._y = self._buffer("y", x.shape)
        self._f(x, self._y)
        return self._done(self._y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = f'(x) dy."""
        self._expect(dy)
        return self._reverse(dy, 1) if to_input else None

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hx = f'(x)^2 hy, as in eq. 27, which drops the term in f''."""
        self._expect(hy)
        return self._reverse(hy, 2) if to_input else None

    def _reverse(self, vy: np.ndarray, power: int) -> np.ndarray:
        y = self._y
        vx = self._buffer("vx", y.shape)
        self._slope(y, vx)
        if power == 2:
            vx *= vx
        vx *= vy
        return vx


class ScaledTanh(Activation):
    """f(a) = A tanh(S a), the paper's squashing function: f(+-1) = +-1, and |f''| is largest at +-1.

    Parameters
    ----------
    amplitude, slope : float
        A and S. The defaults are the paper's 1.7159 and 2/3.
    name : str
    """

    def __init__(self, amplitude: float = 1.7159, slope: float = 2.0 / 3.0, *, name: str = "") -> None:
        super().__init__(name=name)
        self.amplitude, self.slope = float(amplitude), float(slope)

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.multiply(x, self.slope, out=y)
        np.tanh(y, out=y)
        y *= self.amplitude

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        # f' = A S (1 - tanh^2) = A S - (S/A) y^2
        np.multiply(y, y, out=slope)
        slope *= -self.slope / self.amplitude
        slope += self.amplitude * self.slope

    def operation(self) -> Operation:
        """Return the activation as an operation for exporters."""
        return Squash("tanh", (self.amplitude, self.slope))

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled activation."""
        return self._row(_tanh_forward, _tanh_reverse, self.amplitude, self.slope)


# tanh(x) = x P(x^2)/Q(x^2) on |x| <= 9.02, beyond which tanh is +-1 in float32. The coefficients minimise the
# relative error (2e-8 before rounding); the result is accurate to 7 units in the last place. Unlike the C library's
# tanh, this function can be vectorised in a loop.
_LIMIT = np.float32(9.02)
_P0, _P1, _P2 = map(np.float32, (9.99999979e-01, 1.33797189e-01, 3.49403558e-03))
_P3, _P4 = map(np.float32, (2.05834960e-05, 1.33190891e-08))
_Q1, _Q2, _Q3, _Q4 = map(np.float32, (4.67130341e-01, 2.58710773e-02, 3.28309442e-04, 7.76202716e-07))
_ONE = np.float32(1)


def _tanh_single(x):  # type: ignore[no-untyped-def]
    x = min(max(x, -_LIMIT), _LIMIT)
    t = x * x
    p = x * ((((_P4 * t + _P3) * t + _P2) * t + _P1) * t + _P0)
    q = (((_Q4 * t + _Q3) * t + _Q2) * t + _Q1) * t + _ONE
    return min(max(p / q, -_ONE), _ONE)


def _tanh_double(x):  # type: ignore[no-untyped-def]
    return math.tanh(x)


_tanh = by_precision(_tanh_single, _tanh_double)


@layer_function
def _tanh_forward(call, lanes):  # type: ignore[no-untyped-def]
    eng.take_inputs(call, lanes)
    y, amplitude, slope = eng.outputs(call, lanes), eng.numbers(call)[0], eng.numbers(call)[1]
    for p in range(eng.cells(call, lanes)):
        y[p] = amplitude * _tanh(slope * y[p])


@layer_function
def _tanh_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, amplitude, slope = (
        eng.above(call, lanes),
        eng.outputs(call, lanes),
        eng.numbers(call)[0],
        eng.numbers(call)[1],
    )
    high, low = amplitude * slope, slope / amplitude
    if eng.power(call) == 1:
        for p in range(eng.cells(call, lanes)):
            v[p] *= high - low * y[p] * y[p]
    else:
        for p in range(eng.cells(call, lanes)):
            d = high - low * y[p] * y[p]
            v[p] *= d * d
    eng.pass_down(call, lanes)


class Tanh(ScaledTanh):
    """f(a) = tanh(a)."""

    def __init__(self, *, name: str = "") -> None:
        super().__init__(1.0, 1.0, name=name)


class Sigmoid(Activation):
    """f(a) = 1 / (1 + exp(-a)), computed as (1 + tanh(a/2)) / 2, which cannot overflow."""

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        y += 1.0
        y *= 0.5

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        # f' = y (1 - y)
        np.subtract(1.0, y, out=slope)
        slope *= y

    def operation(self) -> Operation:
        """Return the activation as an operation for exporters."""
        return Squash("sigmoid")

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled activation."""
        return self._row(_sigmoid_forward, _sigmoid_reverse)


@layer_function
def _sigmoid_forward(call, lanes):  # type: ignore[no-untyped-def]
    eng.take_inputs(call, lanes)
    y = eng.outputs(call, lanes)
    half = eng.cast(0.5, y)
    for p in range(eng.cells(call, lanes)):
        y[p] = half + half * _tanh(half * y[p])


@layer_function
def _sigmoid_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, squared = eng.above(call, lanes), eng.outputs(call, lanes), eng.power(call) == 2
    one = eng.cast(1, y)
    for p in range(eng.cells(call, lanes)):
        d = y[p] * (one - y[p])
        v[p] *= d * d if squared else d
    eng.pass_down(call, lanes)
