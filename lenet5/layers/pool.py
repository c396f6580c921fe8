"""Max pooling: not in the paper; what most later networks named LeNet use."""

import numpy as np

from .. import engine
from .subsample import Windowed

__all__ = ["MaxPool2D"]


class MaxPool2D(Windowed):
    """y = maximum of the window; of equal cells the first, row by row, is chosen."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        shape = (len(x), *self._windows(x.shape[1:]))
        y = self._buffer("y", shape)
        self._chosen, self._x_shape = self._buffer("chosen", shape, np.int32), x.shape
        engine.max_pool(x, self.size, self.stride, y, self._chosen)
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = dy at the cell that was chosen, 0 elsewhere."""
        self._expect(dy)
        if not to_input:
            return None
        dx = self._buffer("dx", self._x_shape)
        engine.max_unpool(dy, self.size, self.stride, self._chosen, dx)
        return dx

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """The same map as `backward`: its Jacobian holds only zeros and ones.

        With overlapping windows the entries of one row of J stay separate, so the rule still holds.
        """
        return self.backward(hy, to_input=to_input)
