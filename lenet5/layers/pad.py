"""Zero padding of maps."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function
from ..engine.row import Row
from ..errors import ConfigError, ShapeError
from .base import Layer, Shape, Window
from .operation import Operation, Padding

__all__ = ["ZeroPad2D", "pad_row"]


class ZeroPad2D(Layer):
    """Pad maps with zeros, with a separate width for each side.

    Parameters
    ----------
    top, bottom, left, right : int
        Width of the padding on each side.
    name : str

    Raises
    ------
    ConfigError
        If a width is negative or not an int.
    """

    def __init__(self, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, *, name: str = "") -> None:
        super().__init__(name=name)
        self.frame = (top, bottom, left, right)
        if not all(isinstance(width, int | np.integer) and width >= 0 for width in self.frame):
            raise ConfigError(f"The widths of ZeroPad2D must be ints of at least 0; found {self.frame}.")

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"ZeroPad2D {self.name} takes maps (C, H, W); found {in_shape}.")
        return self._framed(in_shape)

    def _framed(self, maps: Shape) -> Shape:
        top, bottom, left, right = self.frame
        return (maps[0], maps[1] + top + bottom, maps[2] + left + right)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, top + H + bottom, left + W + right) for x (N, C, H, W)."""
        self._check(x)
        y = self._buffer("y", (len(x), *self._framed(x.shape[1:])))
        y.fill(0)
        self._inner(y)[...] = x
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return dy without the padding."""
        self._expect(dy)
        return np.ascontiguousarray(self._inner(dy)) if to_input else None

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return `backward(hy)`, because every entry of the Jacobian is 0 or 1."""
        return self.backward(hy, to_input=to_input)

    def _inner(self, y: np.ndarray) -> np.ndarray:
        top, bottom, left, right = self.frame
        return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]

    def window(self) -> Window:
        """Return a window of one pixel, offset by the padding."""
        return Window(before=(self.frame[0], self.frame[2]))

    def operation(self) -> Operation:
        """Return the padding as an operation for exporters."""
        top, bottom, left, right = self.frame
        return Padding((top, left, bottom, right))

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled padding."""
        return [pad_row(self.frame[0], self.frame[2], self.out_shape)]


def pad_row(top: int, left: int, out_shape: Shape) -> Row:
    """Return the engine's `Row` for zero padding; also used by `Conv2D`."""
    return Row(_forward, _reverse, out_shape, links=(top, left))


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    op, x, y = call.op, eng.inputs(call, lanes), eng.outputs(call, lanes)
    top, left = eng.links(call)[0], eng.links(call)[1]
    for p in range(op[eng.OUT] * op[eng.HO] * op[eng.WO] * lanes):
        y[p] = 0
    for c in range(op[eng.C]):
        for r in range(op[eng.H]):
            row, source = (
                eng.ahead(y, ((c * op[eng.HO] + top + r) * op[eng.WO] + left) * lanes),
                eng.ahead(x, (c * op[eng.H] + r) * op[eng.W] * lanes),
            )
            for s in range(op[eng.W] * lanes):
                row[s] = source[s]


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    op, v, vx = call.op, eng.above(call, lanes), eng.below(call, lanes)
    top, left = eng.links(call)[0], eng.links(call)[1]
    for c in range(op[eng.C]):
        for r in range(op[eng.H]):
            row, source = (
                eng.ahead(vx, (c * op[eng.H] + r) * op[eng.W] * lanes),
                eng.ahead(v, ((c * op[eng.HO] + top + r) * op[eng.WO] + left) * lanes),
            )
            for s in range(op[eng.W] * lanes):
                row[s] = source[s]
