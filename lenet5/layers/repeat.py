"""Repetition of maps, so that several sub-sampling maps can share an input map (LeNet-4)."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function
from ..engine.row import Row
from ..errors import ConfigError, ShapeError
from .base import Layer, Shape
from .operation import Copies, Operation

__all__ = ["Repeat"]


class Repeat(Layer):
    """y[c] = x[c // copies], which repeats every map `copies` times.

    Parameters
    ----------
    copies : int
        Number of copies of every map.
    name : str

    Raises
    ------
    ConfigError
        If `copies` is not a positive integer.
    """

    def __init__(self, copies: int = 2, *, name: str = "") -> None:
        super().__init__(name=name)
        if not isinstance(copies, int | np.integer) or copies < 1:
            raise ConfigError(f"copies of Repeat must be an int of at least 1; found {copies!r}.")
        self.copies = int(copies)

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"Repeat {self.name} takes maps (C, H, W); found {in_shape}.")
        return (in_shape[0] * self.copies, *in_shape[1:])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C*copies, H, W) for x (N, C, H, W)."""
        self._check(x)
        self._x_shape = x.shape
        y = self._buffer("y", (len(x), x.shape[1] * self.copies, *x.shape[2:]))
        self._grouped(y)[...] = x[:, :, None]
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return dx, the sum of dy over the copies."""
        self._expect(dy)
        return self._grouped(dy).sum(axis=2, out=self._buffer("dx", self._x_shape)) if to_input else None

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return `backward(hy)`, because every entry of the Jacobian is 0 or 1."""
        return self.backward(hy, to_input=to_input)

    def _grouped(self, y: np.ndarray) -> np.ndarray:
        """View y as (N, C, copies, H, W)."""
        return y.reshape(len(y), -1, self.copies, *y.shape[2:])

    def stages(self) -> bool:
        """Return False, because the layer only copies its input."""
        return False

    def operation(self) -> Operation:
        """Return the repetition as an operation for exporters."""
        return Copies(self.copies)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled repetition."""
        return [Row(_forward, _reverse, self.out_shape)]


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    x, y, size = eng.inputs(call, lanes), eng.outputs(call, lanes), call.op[eng.HO] * call.op[eng.WO] * lanes
    copies = call.op[eng.OUT] // call.op[eng.C]
    for c in range(call.op[eng.OUT]):
        out, source = eng.ahead(y, c * size), eng.ahead(x, c // copies * size)
        for p in range(size):
            out[p] = source[p]


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, vx, size = eng.above(call, lanes), eng.below(call, lanes), call.op[eng.HO] * call.op[eng.WO] * lanes
    copies = call.op[eng.OUT] // call.op[eng.C]
    for p in range(call.op[eng.C] * size):
        vx[p] = 0
    for c in range(call.op[eng.OUT]):
        source, target = eng.ahead(v, c * size), eng.ahead(vx, c // copies * size)
        for p in range(size):
            target[p] += source[p]
