"""The paper's sub-sampling (S2, S4) and its fixed relative, average pooling."""

import numpy as np

from .. import engine
from ..errors import ConfigError, ShapeError
from ..parameter import Parameter
from .base import Layer, Shape

__all__ = ["AvgPool2D", "Subsampling", "Windowed"]


class Windowed(Layer):
    """Square windows over each map on its own; rows and columns that fill no window are left out.

    Parameters
    ----------
    size : int
        Height and width of a window.
    stride : int, optional
        Step between windows; default `size`, which leaves no overlap, as in the paper.
    name : str

    Raises
    ------
    ConfigError
        If `size` or `stride` is not a positive integer.
    """

    def __init__(self, size: int = 2, *, stride: int | None = None, name: str = "") -> None:
        super().__init__(name=name)
        self.size, self.stride = size, size if stride is None else stride
        if not all(isinstance(v, int | np.integer) and v >= 1 for v in (self.size, self.stride)):
            raise ConfigError(f"size and stride are positive integers; found size={size!r}, stride={stride!r}.")

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"{type(self).__name__} {self.name} takes maps (C, H, W); found {in_shape}.")
        return self._windows(in_shape)

    def _windows(self, in_shape: Shape) -> Shape:
        ho, wo = ((side - self.size) // self.stride + 1 for side in in_shape[1:])
        if ho < 1 or wo < 1:
            raise ShapeError(f"{self}: a map of {in_shape[1:]} is smaller than the window of {self.size}.")
        return in_shape[0], ho, wo

    def connections(self) -> int:
        """Each output sees its window."""
        return int(np.prod(self.out_shape)) * self.size**2


class Subsampling(Windowed):
    """y[c] = coefficient[c] * (sum of the window of x[c]) + bias[c].

    The sum, as the paper's text has it, not the mean. The coefficients start at `coefficient`
    (the paper does not say; its rule for a fan-in of 4 would draw them from +-0.6), the biases at 0.

    Parameters
    ----------
    size, stride, name
        As for every windowed layer.
    coefficient : float
        Start of the trainable coefficients.
    """

    def __init__(self, size: int = 2, *, stride: int | None = None, coefficient: float = 1.0, name: str = "") -> None:
        super().__init__(size, stride=stride, name=name)
        self.initial_coefficient = coefficient

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        out_shape = super()._build(in_shape, rng)
        self.coefficient = Parameter("coefficient", np.full(in_shape[0], self.initial_coefficient, self.dtype))
        self.bias = Parameter("bias", np.zeros(in_shape[0], self.dtype))
        return out_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        shape = (len(x), *self._windows(x.shape[1:]))
        self._sums, self._x_shape = self._buffer("sums", shape), x.shape
        engine.window_sum(x, self.size, self.stride, self._sums)
        y = np.multiply(self._sums, self.coefficient.value[:, None, None], out=self._buffer("y", shape))
        y += self.bias.value[:, None, None]
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Per map: dcoefficient = sum of sums * dy; dbias = sum of dy; dx = coefficient * dy in every cell."""
        self._expect(dy)
        c, sums = self.coefficient, self._sums
        return self._reverse(dy, c.value, sums, c.grad, self.bias.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """`backward` with the sums and the coefficient squared (eqs. 25 and 27)."""
        self._expect(hy)
        c, sums = self.coefficient, self._sums
        squares = np.square(sums, out=self._buffer("sums_squared", sums.shape))
        return self._reverse(hy, c.value * c.value, squares, c.hess, self.bias.hess, to_input)

    def _reverse(
        self,
        vy: np.ndarray,
        coefficient: np.ndarray,
        sums: np.ndarray,
        coefficient_out: np.ndarray,
        bias_out: np.ndarray,
        to_input: bool,
    ) -> np.ndarray | None:
        product = self._buffer("product", sums.shape)
        np.multiply(vy, sums, out=product).sum(axis=(0, 2, 3), out=coefficient_out)
        vy.sum(axis=(0, 2, 3), out=bias_out)
        if not to_input:
            return None
        np.multiply(vy, coefficient[:, None, None], out=product)
        vx = self._buffer("vx", self._x_shape)
        engine.window_spread(product, self.size, self.stride, vx)
        return vx

    def parameters(self) -> tuple[Parameter, ...]:
        """Return coefficient and bias."""
        return self.coefficient, self.bias

    def connections(self) -> int:
        """Each output sees its window and its bias."""
        return super().connections() + int(np.prod(self.out_shape))


class AvgPool2D(Windowed):
    """y = mean of the window: a sub-sampling whose coefficient is fixed at 1/n for n cells."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        self._x_shape = x.shape
        y = self._buffer("y", (len(x), *self._windows(x.shape[1:])))
        engine.window_sum(x, self.size, self.stride, y)
        y *= 1.0 / self.size**2
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = dy/n in every cell of the window."""
        return self._reverse(dy, 1.0 / self.size**2, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hx = hy/n^2 in every cell of the window: 1/16 for 2x2, not 1/4."""
        return self._reverse(hy, 1.0 / self.size**4, to_input)

    def _reverse(self, vy: np.ndarray, factor: float, to_input: bool) -> np.ndarray | None:
        self._expect(vy)
        if not to_input:
            return None
        scaled = np.multiply(vy, factor, out=self._buffer("scaled", vy.shape))
        vx = self._buffer("vx", self._x_shape)
        engine.window_spread(scaled, self.size, self.stride, vx)
        return vx
