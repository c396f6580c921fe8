"""Flattening of maps to vectors."""

import numpy as np

from ..engine.row import Row
from ..errors import ShapeError
from .base import Layer, Shape, Window
from .operation import Flattening, Operation

__all__ = ["Flatten"]


class Flatten(Layer):
    """y = the cells of x (C, H, W), map by map and row by row, as one vector."""

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        return (int(np.prod(in_shape)),)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C*H*W) for x (N, C, H, W)."""
        self._check(x)
        if x.shape[1:] != self.in_shape:
            raise ShapeError(f"{self} fixes the size of its maps; found {x.shape}.")
        self._x_shape = x.shape
        return self._done(x.reshape(len(x), -1))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = dy in x's shape."""
        self._expect(dy)
        return dy.reshape(self._x_shape) if to_input else None

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hx = hy in x's shape."""
        return self.backward(hy, to_input=to_input)

    def window(self) -> Window:
        """The vector as a whole sees all cells."""
        height, width = self.in_shape[1:] if len(self.in_shape) == 3 else (1, 1)
        return Window((height, width))

    def stages(self) -> bool:
        """It only lays out anew."""
        return False

    def operation(self) -> Operation:
        """Return the change of shape."""
        return Flattening()

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return nothing: cells lie in this order already."""
        return []
