"""Output layer of Euclidean radial basis functions around fixed target codes (eq. 7)."""

import numpy as np

from .. import bitmaps
from ..engine import call as eng
from ..engine.jit import layer_function
from ..engine.row import Row
from ..errors import ConfigError, ShapeError
from .base import Layer, Shape, from_rows, rows
from .operation import Distances, Operation

__all__ = ["RBF"]


class RBF(Layer):
    """y_i = sum_j (x_j - w_ij)^2 (eq. 7), the penalty of each class.

    The codes are fixed (in the paper "at least initially"), because codes trained with eq. 8 collapse to one
    point. The layer therefore has no trainable parameters.

    Parameters
    ----------
    codes : ndarray (classes, D) or str
        Target codes w, one row per class, or the characters whose 7x12 bitmaps are the codes.
        Default: the ten digits.
    name : str

    Raises
    ------
    ConfigError
        If `codes` is not a finite matrix, or contains characters without a bitmap.
    """

    outputs_penalties = True
    gauss_newton = False
    title = "RBF\nunits"

    def __init__(self, codes: np.ndarray | str = bitmaps.DIGITS, *, name: str = "") -> None:
        super().__init__(name=name)
        self.codes: np.ndarray = bitmaps.codes(codes) if isinstance(codes, str) else np.array(codes, dtype=np.float64)
        if self.codes.ndim != 2 or not np.isfinite(self.codes).all():
            raise ConfigError(f"codes must be a matrix (classes, D) of finite values; found shape {self.codes.shape}.")

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if in_shape[0] != self.codes.shape[1] or in_shape[1:] not in ((), (1, 1)):
            d = self.codes.shape[1]
            raise ShapeError(f"RBF {self.name} takes ({d},), because its codes have {d} components; found {in_shape}.")
        self._w = self.codes.astype(self.dtype)
        self.codes.setflags(write=False)
        self._w.setflags(write=False)
        return (len(self.codes),)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the penalties y (N, classes) for x (N, D), or maps of penalties for maps x."""
        self._check(x)
        self._like, flat = x, rows(x)
        self._difference = self._buffer("difference", (len(flat), *self._w.shape))
        np.subtract(flat[:, None, :], self._w, out=self._difference)
        y = self._buffer("y", self._difference.shape[:2])
        np.einsum("nij,nij->ni", self._difference, self._difference, out=y)
        self._dy: np.ndarray | None = None
        return self._done(from_rows(y, x))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx_j = sum_i dy_i 2 (x_j - w_ij); dy is stored for `bbprop`."""
        self._expect(dy)
        difference = self._difference
        self._dy = kept = self._buffer("dy", difference.shape[:2])
        kept[...] = rows(dy)
        if not to_input:
            return None
        dx = self._buffer("dx", (len(difference), 1, difference.shape[2]))
        np.matmul(kept[:, None, :], difference, out=dx)
        dx *= 2.0
        return from_rows(dx[:, 0, :], self._like).reshape(self._like.shape)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hx_j = sum_i hy_i (2 (x_j - w_ij))^2 + 2 sum_i dy_i, clipped at 0.

        The second term is the second derivative of y, which is 2, times the gradient dy of the last
        `backward`. With the loss of eq. 8, only this term remains: hx = 2/N.
        """
        self._expect(hy)
        dy, difference = self._dy, self._difference
        if dy is None:
            raise ShapeError(f"{self}: call backward() first, because the curvature needs the gradient.")
        if not to_input:
            return None
        hx = np.einsum("ni,nij,nij->nj", rows(hy), difference, difference)
        hx *= 4.0
        hx += 2.0 * dy.sum(axis=1, keepdims=True)
        np.maximum(hx, 0.0, out=hx)
        return from_rows(hx, self._like).reshape(self._like.shape)

    def connections(self) -> int:
        """Count one connection per class and component of its code."""
        return self.codes.size

    def multiply_adds(self) -> int:
        """Count one squared difference per class and component."""
        return self.codes.size

    def operation(self) -> Operation:
        """Return the distances to the codes as an operation for exporters."""
        return Distances(self._w.copy())

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled units, with their codes as constants."""
        return [Row(_forward, _reverse, self.out_shape, numbers=self._w)]


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    classes, cells, codes = call.op[eng.Y_SIZE], call.op[eng.X_SIZE], eng.numbers(call)
    x, y = eng.inputs(call, lanes), eng.outputs(call, lanes)
    for p in range(classes * lanes):
        y[p] = 0
    for i in range(classes):
        code, out = eng.ahead(codes, i * cells), eng.ahead(y, i * lanes)
        if lanes == 1:
            total = eng.zero(x)
            for j in range(cells):
                total += (x[j] - code[j]) * (x[j] - code[j])
            out[0] = total
            continue
        for j in range(cells):
            cell, centre = eng.ahead(x, j * lanes), code[j]
            for k in range(lanes):
                out[k] += (cell[k] - centre) * (cell[k] - centre)


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    classes, cells, codes = call.op[eng.Y_SIZE], call.op[eng.X_SIZE], eng.numbers(call)
    x, v, vx = eng.inputs(call, lanes), eng.above(call, lanes), eng.below(call, lanes)
    for p in range(cells * lanes):
        vx[p] = 0
    if eng.power(call) == 1:
        for i in range(classes):
            code, above_i = eng.ahead(codes, i * cells), eng.ahead(v, i * lanes)
            if lanes == 1:
                twice = above_i[0] + above_i[0]
                for j in range(cells):
                    vx[j] += twice * (x[j] - code[j])
                continue
            for j in range(cells):
                cell, below_j, centre = eng.ahead(x, j * lanes), eng.ahead(vx, j * lanes), code[j]
                for k in range(lanes):
                    below_j[k] += (above_i[k] + above_i[k]) * (cell[k] - centre)
        return
    # hx_j = sum_i h_i (2 (x_j - w_ij))^2 + 2 sum_i dy_i, kept non-negative.
    dy = eng.top(call)
    for j in range(cells):
        for k in range(lanes):
            total = eng.zero(x)
            for i in range(classes):
                d = x[j * lanes + k] - codes[i * cells + j]
                total += v[i * lanes + k] * (d + d) * (d + d) + (dy[i * lanes + k] + dy[i * lanes + k])
            vx[j * lanes + k] = max(total, eng.zero(x))
