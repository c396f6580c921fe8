"""Squashing functions, each differentiated from its own output."""

import numpy as np

from .base import Layer

__all__ = ["Activation", "ReLU", "ScaledTanh", "Sigmoid", "Tanh"]


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
