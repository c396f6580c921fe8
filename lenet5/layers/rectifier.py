"""ReLU, leaky ReLU, ELU and PReLU, which are not in the paper."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function
from ..engine.row import Row
from ..errors import ConfigError
from ..parameter import Parameter
from .activation import Activation
from .base import Layer, Shape
from .operation import Operation, Squash

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU"]


class ReLU(Activation):
    """ReLU: f(a) = max(a, 0), with f'(0) = 0."""

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.maximum(x, 0.0, out=y)

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        np.greater(y, 0.0, out=slope, casting="unsafe")

    def operation(self) -> Operation:
        """Return the activation as an operation for exporters."""
        return Squash("relu")

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled activation."""
        return self._row(_relu_forward, _relu_reverse)


@layer_function
def _relu_forward(call, lanes):  # type: ignore[no-untyped-def]
    eng.take_inputs(call, lanes)
    y = eng.outputs(call, lanes)
    nothing = eng.zero(y)
    for p in range(eng.cells(call, lanes)):
        y[p] = nothing if y[p] < nothing else y[p]  # propagates NaN


@layer_function
def _relu_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y = eng.above(call, lanes), eng.outputs(call, lanes)
    nothing = eng.zero(v)
    for p in range(eng.cells(call, lanes)):
        v[p] = v[p] if y[p] > nothing else nothing
    eng.pass_down(call, lanes)


class _Bent(Activation):
    """Base class of activations with a positive parameter alpha."""

    def __init__(self, alpha: float, *, name: str = "") -> None:
        super().__init__(name=name)
        if not 0 < alpha < np.inf:
            raise ConfigError(f"alpha of {type(self).__name__} must be positive and finite; found {alpha!r}.")
        self.alpha = float(alpha)


class LeakyReLU(_Bent):
    """Leaky ReLU: f(a) = a for a > 0, else alpha a, with f'(0) = alpha (Maas et al. 2013).

    Parameters
    ----------
    alpha : float
        Positive slope below 0.
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

    def operation(self) -> Operation:
        """Return the activation as an operation for exporters."""
        return Squash("leaky-relu", (self.alpha,))

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled activation."""
        return self._row(_leaky_forward, _leaky_reverse, self.alpha)


@layer_function
def _leaky_forward(call, lanes):  # type: ignore[no-untyped-def]
    eng.take_inputs(call, lanes)
    y, alpha = eng.outputs(call, lanes), eng.numbers(call)[0]
    nothing = eng.zero(y)
    for p in range(eng.cells(call, lanes)):
        y[p] = y[p] if y[p] > nothing else alpha * y[p]


@layer_function
def _leaky_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, alpha = eng.above(call, lanes), eng.outputs(call, lanes), eng.numbers(call)[0]
    nothing, low = eng.zero(v), alpha if eng.power(call) == 1 else alpha * alpha
    for p in range(eng.cells(call, lanes)):
        v[p] = v[p] if y[p] > nothing else low * v[p]
    eng.pass_down(call, lanes)


class ELU(_Bent):
    """ELU: f(a) = a for a > 0, else alpha (exp(a) - 1) (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float
        Positive constant; f(a) tends to -alpha as a decreases.
    name : str

    Raises
    ------
    ConfigError
        If `alpha` is not positive and finite.
    """

    def __init__(self, alpha: float = 1.0, *, name: str = "") -> None:
        super().__init__(alpha, name=name)

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.minimum(x, 0.0, out=y)  # prevents overflow of exp
        np.expm1(y, out=y)
        y *= self.alpha
        np.add(y, x, out=y, where=x > 0)

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        # f' = alpha exp(a) = y + alpha below 0
        np.minimum(y, 0.0, out=slope)
        slope += self.alpha
        np.copyto(slope, 1.0, where=y > 0)

    def operation(self) -> Operation:
        """Return the activation as an operation for exporters."""
        return Squash("elu", (self.alpha,))

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled activation."""
        return self._row(_elu_forward, _elu_reverse, self.alpha)


@layer_function
def _elu_forward(call, lanes):  # type: ignore[no-untyped-def]
    eng.take_inputs(call, lanes)
    y, alpha = eng.outputs(call, lanes), eng.numbers(call)[0]
    nothing = eng.zero(y)
    for p in range(eng.cells(call, lanes)):
        y[p] = y[p] if y[p] > nothing else alpha * np.expm1(y[p])


@layer_function
def _elu_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, y, alpha, squared = eng.above(call, lanes), eng.outputs(call, lanes), eng.numbers(call)[0], eng.power(call) == 2
    nothing = eng.zero(v)
    for p in range(eng.cells(call, lanes)):
        if y[p] <= nothing:
            d = y[p] + alpha
            v[p] *= d * d if squared else d
    eng.pass_down(call, lanes)


class PReLU(Layer):
    """PReLU: y[c] = x[c] for x[c] > 0, else alpha[c] x[c]; alpha is trainable for each map or unit (He et al. 2015).

    Parameters
    ----------
    alpha : float
        Initial value of every alpha.
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
        """dalpha[c] = sum of dy min(x, 0); dx = dy if x > 0, else alpha dy."""
        self._expect(dy)
        return self._reverse(dy, self.alpha.value, np.minimum(self._x, 0), self.alpha.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Propagate second derivatives: `backward` with squared operands (eq. 27)."""
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

    def operation(self) -> Operation:
        """Return the activation as an operation for exporters."""
        return Squash("prelu", slopes=self.alpha.value.copy())

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled activation, which does not overwrite its input."""
        return [Row(_prelu_forward, _prelu_reverse, self.out_shape)]


@layer_function
def _prelu_forward(call, lanes):  # type: ignore[no-untyped-def]
    x, y, alpha = (
        eng.inputs(call, lanes),
        eng.outputs(call, lanes),
        eng.parameters(call),
    )
    cells = call.op[eng.HO] * call.op[eng.WO] * lanes
    for c in range(call.op[eng.OUT]):
        source, out, slope = eng.ahead(x, c * cells), eng.ahead(y, c * cells), alpha[c]
        for p in range(cells):
            out[p] = source[p] if source[p] > 0 else slope * source[p]


@layer_function
def _prelu_reverse(call, lanes):  # type: ignore[no-untyped-def]
    x, squares, alpha = (
        eng.inputs(call, lanes),
        eng.operands(call, lanes),
        eng.parameters(call),
    )
    v, vx, g = (
        eng.above(call, lanes),
        eng.below(call, lanes),
        eng.gradients(call),
    )
    cells = call.op[eng.HO] * call.op[eng.WO] * lanes
    for c in range(call.op[eng.OUT]):
        at, slope, total = c * cells, alpha[c], eng.zero(v)
        for p in range(at, at + cells):
            negative = x[p] < 0
            total += v[p] * squares[p] if negative else eng.zero(v)
            vx[p] = v[p] if x[p] > 0 else slope * v[p]
        g[c] += total
