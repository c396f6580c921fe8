"""Squashing functions, each differentiated from its own output."""

import numpy as np

from ..errors import ConfigError
from ..parameter import Parameter
from .base import Layer, Shape

__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU", "ScaledTanh", "Sigmoid", "Tanh"]


class Activation(Layer):
    """y = f(x) cell by cell; a subclass gives f, and f' in terms of y."""

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


class ReLU(Activation):
    """f(a) = max(a, 0), with f'(0) = 0."""

    def _f(self, x: np.ndarray, y: np.ndarray) -> None:
        np.maximum(x, 0.0, out=y)

    def _slope(self, y: np.ndarray, slope: np.ndarray) -> None:
        np.greater(y, 0.0, out=slope, casting="unsafe")


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
