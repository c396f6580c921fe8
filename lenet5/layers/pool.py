"""Max pooling: not in the paper; what most later networks named LeNet use."""

import numpy as np

from ..engine.call import HO, OUT, WO, C, H, W, above, ahead, below, inputs, links, outputs, own, pointer
from ..engine.jit import layer_function
from ..engine.program import Row
from .subsample import Windowed

__all__ = ["MaxPool2D"]


class MaxPool2D(Windowed):
    """y = maximum of the window; of equal cells the first, row by row, is chosen."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        shape = (len(x), *self._windows(x.shape[1:]))
        y = self._buffer("y", shape)
        self._chosen, self._x_shape = self._buffer("chosen", shape, np.intp), x.shape
        cells = np.stack(self._cells(x, shape[2:]))
        np.argmax(cells, axis=0, out=self._chosen)  # NaN wins: a network that has failed must not look healthy
        np.max(cells, axis=0, out=y)
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = dy at the cell that was chosen, 0 elsewhere."""
        self._expect(dy)
        if not to_input:
            return None
        dx = self._buffer("dx", self._x_shape)
        dx[...] = 0
        for k, cells in enumerate(self._cells(dx, dy.shape[2:])):
            cells += np.where(self._chosen == k, dy, 0)
        return dx

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """The same map as `backward`: its Jacobian holds only zeros and ones.

        With overlapping windows the entries of one row of J stay separate, so the rule still holds.
        """
        return self.backward(hy, to_input=to_input)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the maximum, which keeps the cell that it chose in each window."""
        size, links = int(np.prod(self.out_shape)), (self.size, self.stride)
        return [Row(_forward, _reverse, self.out_shape, links=links, own=size)]


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    op, size, stride = call.op, links(call)[0], links(call)[1]
    x, y, chosen = pointer(inputs(call, lanes)), pointer(outputs(call, lanes)), pointer(own(call, lanes))
    row = op[W] * lanes
    for k in range(op[OUT] * op[HO]):
        c, r = k // op[HO], k % op[HO]
        first, at = ahead(x, (c * op[H] + r * stride) * row), k * op[WO] * lanes
        for s in range(op[WO] * lanes):
            cell = ahead(first, s // lanes * stride * lanes + s % lanes)
            best, which = cell[0], 0
            for q in range(1, size * size):
                v = cell[q // size * row + q % size * lanes]
                # NaN wins, as in NumPy: a network that has failed must not look healthy.
                if v > best or (v != v and best == best):
                    best, which = v, q
            y[at + s], chosen[at + s] = best, which


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    op, size, stride = call.op, links(call)[0], links(call)[1]
    v, vx, chosen = pointer(above(call, lanes)), pointer(below(call, lanes)), pointer(own(call, lanes))
    row = op[W] * lanes
    for p in range(op[C] * op[H] * row):
        vx[p] = 0
    for k in range(op[OUT] * op[HO]):
        c, r = k // op[HO], k % op[HO]
        first, at = ahead(vx, (c * op[H] + r * stride) * row), k * op[WO] * lanes
        for s in range(op[WO] * lanes):
            q = int(chosen[at + s])
            cell = ahead(first, s // lanes * stride * lanes + s % lanes)
            cell[q // size * row + q % size * lanes] += v[at + s]
