"""Full connection (F6)."""

import numpy as np

from .. import initializers
from ..errors import ConfigError, ShapeError
from ..initializers import Initializer
from ..parameter import Parameter
from .base import Layer, Shape, from_rows, rows

__all__ = ["Dense"]


class Dense(Layer):
    """y = W x + b for each pattern; on maps of one position, or at each position of larger ones.

    Parameters
    ----------
    units : int
        O, the number of outputs.
    init : Initializer
        Draws `weight` (O, D).
    bias : float
        Start of `bias` (O,).
    name : str

    Raises
    ------
    ConfigError
        If `units` is not positive.
    """

    def __init__(
        self, units: int, *, init: Initializer = initializers.fan_in_uniform, bias: float = 0.0, name: str = ""
    ) -> None:
        super().__init__(name=name)
        if not isinstance(units, int | np.integer) or units < 1:
            raise ConfigError(f"Dense needs at least one unit; found units={units}.")
        self.units = units
        self.init, self.initial_bias = init, bias

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) not in (1, 3) or in_shape[1:] not in ((), (1, 1)):
            raise ShapeError(
                f"Dense {self.name} takes (D,) or (D, 1, 1); found {in_shape}. Put Flatten() in front of it."
            )
        drawn = self.init((self.units, in_shape[0]), in_shape[0], self.units, rng)
        self.weight = Parameter("weight", drawn.astype(self.dtype))
        self.bias = Parameter("bias", np.full(self.units, self.initial_bias, self.dtype))
        return (self.units,)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, O) for x (N, D) or (N, D, 1, 1); maps (N, O, H, W) for larger maps."""
        self._check(x)
        self._x, self._like = rows(x), x
        y = self._buffer("y", (len(self._x), self.units))
        np.matmul(self._x, self.weight.value.T, out=y)
        y += self.bias.value
        return self._done(from_rows(y, x))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dW = sum_n dy x^T; db = sum_n dy; dx = W^T dy."""
        self._expect(dy)
        return self._reverse(dy, self.weight.value, self._x, self.weight.grad, self.bias.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """`backward` with x and W squared (eqs. 25 and 27)."""
        self._expect(hy)
        x, w = self._x, self.weight.value
        return self._reverse(hy, w * w, x * x, self.weight.hess, self.bias.hess, to_input)

    def _reverse(
        self,
        vy: np.ndarray,
        w: np.ndarray,
        x: np.ndarray,
        weight_out: np.ndarray,
        bias_out: np.ndarray,
        to_input: bool,
    ) -> np.ndarray | None:
        vy = rows(vy)
        np.matmul(vy.T, x, out=weight_out)
        np.sum(vy, axis=0, out=bias_out)
        if not to_input:
            return None
        vx = np.matmul(vy, w, out=self._buffer("vx", x.shape))
        return from_rows(vx, self._like).reshape(self._like.shape)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return weight and bias."""
        return self.weight, self.bias

    def connections(self) -> int:
        """Every unit has its weights and its bias."""
        return self.weight.size + self.units
