"""Layer that flattens maps into vectors."""

import numpy as np

from ..engine.row import Row
from ..errors import ShapeError
from .base import Layer, Shape, Window
from .operation import Flattening, Operation

__all__ = ["Flatten"]


class Flatten(Layer):
    """Flatten x (C, H, W) into one vector, map by map and row by row."""

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        return (int(np.prod(in_shape)),)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C*H*W) for x (N, C, H, W)."""
        self._check(x)
        if x.shape[1:] != self.in_shape:
            raise ShapeError(f"{self} takes only maps of the size it was built for; found {x.shape}.")
        self._x_shape = x.shape
        return self._done(x.reshape(len(x), -1))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return dy in the shape of x."""
        self._expect(dy)
        return dy.reshape(self._x_shape) if to_input else None

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return hy in the shape of x."""
        return self.backward(hy, to_input=to_input)

    def window(self) -> Window:
        """Return a window that covers the whole input."""
        height, width = self.in_shape[1:] if len(self.in_shape) == 3 else (1, 1)
        return Window((height, width))

    def stages(self) -> bool:
        """Return False: the layer computes nothing, but only rearranges its input."""
        return False

    def operation(self) -> Operation:
        """Return the flattening as an operation for exporters."""
        return Flattening()

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return an empty list: nothing is computed, because the order in memory does not change."""
        return []
