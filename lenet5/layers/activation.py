"""Squashing functions, each differentiated from its own output."""

import math

import numpy as np

from ..engine.call import (
    HO,
    OUT,
    WO,
    above,
    ahead,
    below,
    gradients,
    inputs,
    numbers,
    operands,
    outputs,
    parameters,
    pass_down,
    pointer,
    power,
    take_inputs,
    zero,
)  # fmt: skip
from ..engine.jit import Function, by_precision, layer_function
from ..engine.program import Row
from ..errors import ConfigError
from ..parameter import Parameter
from .base import Layer, Shape

__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU", "ScaledTanh", "Sigmoid", "Tanh"]


class Activation(Layer):
    """y = f(x) cell by cell; a subclass gives f, and f' in terms of y."""

    def _row(self, forward: Function, reverse: Function, *numbers: float) -> list[Row]:
        """Return the compiled half of a squash, which works in place and has its slope from its output."""
        return [Row(forward, reverse, self.out_shape, numbers=numbers, in_place=True, reads_output=True)]

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write f(x) into y."""
        raise NotImplementedError

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        """Write f'(x) into slope, given y = f(x)."""
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
        """hx = f'(x)^2 hy: the factor of eq. 27; f'' is dropped."""
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
    """f(a) = A tanh(S a), the paper's squash: f(+-1) = +-1, where |f''| is largest.

    Parameters
    ----------
    amplitude, slope : float
        A = 1.7159 and S = 2/3.
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

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the squash."""
        return self._row(_tanh_forward, _tanh_reverse, self.amplitude, self.slope)


# tanh(x) = x P(x^2)/Q(x^2) on |x| <= 9.02, beyond which tanh is 1 in float32. The coefficients are a fit of
# smallest relative error (2e-8 before rounding); the result is within 7 units in the last place, and the
# loop around it vectorises, which the C library's tanh does not.
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
    take_inputs(call, lanes)
    y, amplitude, slope = outputs(call, lanes), numbers(call)[0], numbers(call)[1]
    for p in range(len(y)):
        y[p] = amplitude * _tanh(slope * y[p])


@layer_function
def _tanh_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, amplitude, slope = above(call, lanes), outputs(call, lanes), numbers(call)[0], numbers(call)[1]
    high, low = amplitude * slope, slope / amplitude
    if power(call) == 1:
        for p in range(len(v)):
            v[p] *= high - low * y[p] * y[p]
    else:
        for p in range(len(v)):
            d = high - low * y[p] * y[p]
            v[p] *= d * d
    pass_down(call, lanes)


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

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the squash."""
        return self._row(_sigmoid_forward, _sigmoid_reverse)


@layer_function
def _sigmoid_forward(call, lanes):  # type: ignore[no-untyped-def]
    take_inputs(call, lanes)
    y = outputs(call, lanes)
    half = y.dtype.type(0.5)
    for p in range(len(y)):
        y[p] = half + half * _tanh(half * y[p])


@layer_function
def _sigmoid_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, squared = above(call, lanes), outputs(call, lanes), power(call) == 2
    one = y.dtype.type(1)
    for p in range(len(v)):
        d = y[p] * (one - y[p])
        v[p] *= d * d if squared else d
    pass_down(call, lanes)


class ReLU(Activation):
    """f(a) = max(a, 0), with f'(0) = 0."""

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.maximum(x, 0.0, out=y)

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        np.greater(y, 0.0, out=slope, casting="unsafe")

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the squash."""
        return self._row(_relu_forward, _relu_reverse)


@layer_function
def _relu_forward(call, lanes):  # type: ignore[no-untyped-def]
    take_inputs(call, lanes)
    y = outputs(call, lanes)
    nothing = y.dtype.type(0)
    for p in range(len(y)):
        y[p] = nothing if y[p] < nothing else y[p]  # NaN stays NaN


@layer_function
def _relu_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y = above(call, lanes), outputs(call, lanes)
    nothing = v.dtype.type(0)
    for p in range(len(v)):
        v[p] = v[p] if y[p] > nothing else nothing
    pass_down(call, lanes)


class _Bent(Activation):
    """An activation with a positive number of its own."""

    def __init__(self, alpha: float, *, name: str = "") -> None:
        super().__init__(name=name)
        if not 0 < alpha < np.inf:
            raise ConfigError(f"alpha of {type(self).__name__} is positive and finite; found {alpha!r}.")
        self.alpha = float(alpha)


class LeakyReLU(_Bent):
    """f(a) = a for a > 0, else alpha a, with f'(0) = alpha (Maas et al. 2013).

    Parameters
    ----------
    alpha : float
        Positive.
    name : str

    Raises
    ------
    ConfigError
        If `alpha` is not positive and finite.
    """

    def __init__(self, alpha: float = 0.01, *, name: str = "") -> None:
        super().__init__(alpha, name=name)

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.minimum(x, 0.0, out=y)
        y *= self.alpha
        np.add(y, x, out=y, where=x > 0)

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        np.greater(y, 0.0, out=slope, casting="unsafe")
        np.maximum(slope, self.alpha, out=slope, where=y <= 0)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the squash."""
        return self._row(_leaky_forward, _leaky_reverse, self.alpha)


@layer_function
def _leaky_forward(call, lanes):  # type: ignore[no-untyped-def]
    take_inputs(call, lanes)
    y, alpha = outputs(call, lanes), numbers(call)[0]
    nothing = y.dtype.type(0)
    for p in range(len(y)):
        y[p] = y[p] if y[p] > nothing else alpha * y[p]


@layer_function
def _leaky_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, alpha = above(call, lanes), outputs(call, lanes), numbers(call)[0]
    nothing, low = v.dtype.type(0), alpha if power(call) == 1 else alpha * alpha
    for p in range(len(v)):
        v[p] = v[p] if y[p] > nothing else low * v[p]
    pass_down(call, lanes)


class ELU(_Bent):
    """f(a) = a for a > 0, else alpha (exp(a) - 1) (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float
        Positive.
    name : str

    Raises
    ------
    ConfigError
        If `alpha` is not positive and finite.
    """

    def __init__(self, alpha: float = 1.0, *, name: str = "") -> None:
        super().__init__(alpha, name=name)

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.minimum(x, 0.0, out=y)  # so that exp cannot overflow
        np.expm1(y, out=y)
        y *= self.alpha
        np.add(y, x, out=y, where=x > 0)

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        # f' = alpha exp(a) = y + alpha below 0
        np.minimum(y, 0.0, out=slope)
        slope += self.alpha
        np.copyto(slope, 1.0, where=y > 0)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the squash."""
        return self._row(_elu_forward, _elu_reverse, self.alpha)


@layer_function
def _elu_forward(call, lanes):  # type: ignore[no-untyped-def]
    take_inputs(call, lanes)
    y, alpha = outputs(call, lanes), numbers(call)[0]
    nothing = y.dtype.type(0)
    for p in range(len(y)):
        y[p] = y[p] if y[p] > nothing else alpha * np.expm1(y[p])


@layer_function
def _elu_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, alpha, squared = above(call, lanes), outputs(call, lanes), numbers(call)[0], power(call) == 2
    nothing = v.dtype.type(0)
    for p in range(len(v)):
        if y[p] <= nothing:
            d = y[p] + alpha
            v[p] *= d * d if squared else d
    pass_down(call, lanes)


class PReLU(Layer):
    """y[c] = x[c] for x[c] > 0, else alpha[c] x[c], with a trainable alpha for each map or unit (He et al. 2015).

    Parameters
    ----------
    alpha : float
        Start of every alpha.
    name : str
    """

    def __init__(self, alpha: float = 0.25, *, name: str = "") -> None:
        super().__init__(name=name)
        self.initial_alpha = float(alpha)

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        self.alpha = Parameter("alpha", np.full(in_shape[0], self.initial_alpha, self.dtype))
        return in_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y of x's shape."""
        self._check(x)
        self._x = x
        y = np.multiply(x, self._over_maps(self.alpha.value), out=self._buffer("y", x.shape))
        np.copyto(y, x, where=x > 0)
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dalpha[c] = sum of dy min(x, 0); dx = dy where x > 0, else alpha dy."""
        self._expect(dy)
        return self._reverse(dy, self.alpha.value, np.minimum(self._x, 0), self.alpha.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """`backward` on squared operands."""
        self._expect(hy)
        below = np.minimum(self._x, 0)
        return self._reverse(hy, self.alpha.value**2, below * below, self.alpha.hess, to_input)

    def _reverse(
        self, vy: np.ndarray, alpha: np.ndarray, below: np.ndarray, out: np.ndarray, to_input: bool
    ) -> np.ndarray | None:
        product = np.multiply(vy, below, out=self._buffer("product", vy.shape))
        product.sum(axis=(0, *range(2, vy.ndim)), out=out)
        if not to_input:
            return None
        vx = np.multiply(vy, self._over_maps(alpha), out=self._buffer("vx", vy.shape))
        np.copyto(vx, vy, where=self._x > 0)
        return vx

    def _over_maps(self, alpha: np.ndarray) -> np.ndarray:
        return alpha.reshape(-1, *[1] * (self._x.ndim - 2))

    def parameters(self) -> tuple[Parameter, ...]:
        """Return alpha."""
        return (self.alpha,)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the activation, which needs its input again."""
        return [Row(_prelu_forward, _prelu_reverse, self.out_shape)]


@layer_function
def _prelu_forward(call, lanes):  # type: ignore[no-untyped-def]
    x, y, alpha = pointer(inputs(call, lanes)), pointer(outputs(call, lanes)), pointer(parameters(call))
    cells = call.op[HO] * call.op[WO] * lanes
    for c in range(call.op[OUT]):
        source, out, slope = ahead(x, c * cells), ahead(y, c * cells), alpha[c]
        for p in range(cells):
            out[p] = source[p] if source[p] > 0 else slope * source[p]


@layer_function
def _prelu_reverse(call, lanes):  # type: ignore[no-untyped-def]
    x, squares, alpha = pointer(inputs(call, lanes)), pointer(operands(call, lanes)), pointer(parameters(call))
    v, vx, g = pointer(above(call, lanes)), pointer(below(call, lanes)), pointer(gradients(call))
    cells = call.op[HO] * call.op[WO] * lanes
    for c in range(call.op[OUT]):
        at, slope, total = c * cells, alpha[c], zero(v)
        for p in range(at, at + cells):
            negative = x[p] < 0
            total += v[p] * squares[p] if negative else zero(v)
            vx[p] = v[p] if x[p] > 0 else slope * v[p]
        g[c] += total
