"""Two ways to slide kernels over maps. `Conv2D` chooses one when it is built."""

from collections.abc import Callable

import numpy as np

from .. import engine

__all__ = ["Direct", "Im2col"]

Pair = tuple[int, int]
# Layer._buffer: an array under a name, kept for the next call
Buffer = Callable[..., np.ndarray]


class Direct:
    """Stride 1 without padding: `engine.conv` runs over whole planes and copies nothing.

    Parameters
    ----------
    starts, channels : int64 ndarray
        The kernels of each map, and the input map of each kernel; see `engine.conv`.
    buffer : callable
    """

    def __init__(self, starts: np.ndarray, channels: np.ndarray, buffer: Buffer) -> None:
        self.starts, self.channels, self.buffer = starts, channels, buffer

    def forward(self, x: np.ndarray, w: np.ndarray, bias: np.ndarray, before: Pair, out: Pair) -> np.ndarray:
        """Return y (N, O, *out) for x (N, C, H, W) and kernels w (M, kh, kw)."""
        self._x = x = np.ascontiguousarray(x)
        self._line = self.buffer("line", (engine.room_for_planes(x.shape[1:], w.shape[1:]),))
        y = self.buffer("y", (len(x), len(bias), *out))
        engine.conv(x, w, self.starts, self.channels, bias, self._line, y)
        return y

    def reverse(
        self, vy: np.ndarray, w: np.ndarray, w_out: np.ndarray, bias_out: np.ndarray, *, squared: bool, to_input: bool
    ) -> np.ndarray | None:
        """Set w_out and bias_out, return vx; with `squared` inputs, as `bbprop` needs them."""
        vy = np.ascontiguousarray(vy)
        x = np.square(self._x, out=self.buffer("squares", self._x.shape)) if squared else self._x
        vx = self.buffer("vx", x.shape) if to_input else self.buffer("unused", (1, *x.shape[1:]))
        engine.conv_back(x, vy, w, self.starts, self.channels, self._line, w_out, bias_out, vx, to_input)
        return vx if to_input else None


class Im2col:
    """Any stride and padding: receptive fields as columns, then one matrix product.

    Parameters
    ----------
    pairs : (ndarray, ndarray)
        Map and input map of each kernel.
    channels : int
        C, input maps.
    stride : (int, int)
    buffer : callable
    """

    def __init__(self, pairs: tuple[np.ndarray, np.ndarray], channels: int, stride: Pair, buffer: Buffer) -> None:
        self.pairs, self.channels, self.stride, self.buffer = pairs, channels, stride, buffer

    def _matrix(self, w: np.ndarray, o_count: int) -> np.ndarray:
        """Return the kernels as (O, K), with zeros where nothing is connected."""
        if len(w) == o_count * self.channels:
            return w.reshape(o_count, -1)
        dense = self.buffer("dense", (o_count, self.channels, *w.shape[1:]))
        dense[...] = 0
        dense[self.pairs] = w
        return dense.reshape(o_count, -1)

    def forward(self, x: np.ndarray, w: np.ndarray, bias: np.ndarray, before: Pair, out: Pair) -> np.ndarray:
        """Return y (N, O, *out) for x (N, C, H, W) and kernels w (M, kh, kw)."""
        matrix, positions = self._matrix(w, len(bias)), out[0] * out[1]
        self._cols = self.buffer("cols", (len(x), matrix.shape[1], positions))
        self._x_shape, self._before, self._out = x.shape, before, out
        engine.im2col(x, w.shape[1:], self.stride, before, out, self._cols)
        y = self.buffer("y", (len(x), len(bias), positions))
        np.matmul(matrix, _folded(self._cols), out=_folded(y))
        y += bias[:, None]
        return y.reshape(len(x), len(bias), *out)

    def reverse(
        self, vy: np.ndarray, w: np.ndarray, w_out: np.ndarray, bias_out: np.ndarray, *, squared: bool, to_input: bool
    ) -> np.ndarray | None:
        """Set w_out and bias_out, return vx; with `squared` inputs, as `bbprop` needs them."""
        matrix, cols = self._matrix(w, len(bias_out)), self._cols
        vy = vy.reshape(len(cols), len(bias_out), cols.shape[2])
        fields = np.square(cols, out=self.buffer("squares", cols.shape)) if squared else cols
        folded = _folded(vy)
        per_image = self.buffer("per_image", (len(folded), *matrix.shape))
        np.matmul(folded, _folded(fields).transpose(0, 2, 1), out=per_image)
        total = np.sum(per_image, axis=0, out=self.buffer("total", matrix.shape))
        w_out[...] = total.reshape(len(bias_out), self.channels, *w.shape[1:])[self.pairs]
        np.sum(vy, axis=(0, 2), out=bias_out)
        if not to_input:
            return None
        v_cols = self.buffer("v_cols", cols.shape)
        np.matmul(matrix.T, folded, out=_folded(v_cols))
        vx = self.buffer("vx", self._x_shape)
        engine.col2im(v_cols, w.shape[1:], self.stride, self._before, self._out, vx)
        return vx


def _folded(a: np.ndarray) -> np.ndarray:
    """View (N, D, P) as (1, D, N) where there is one position (C5): one product instead of N thin ones."""
    return a.transpose(2, 1, 0) if a.shape[2] == 1 else a
