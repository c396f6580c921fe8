"""Average and max pooling, which the paper does not use but most later networks called LeNet do."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function, part
from ..engine.row import Row
from .operation import Operation, Pooling
from .subsample import Windowed, spread, window_sums

__all__ = ["AvgPool2D", "MaxPool2D"]


class AvgPool2D(Windowed):
    """Average pooling, y = mean of the window: sub-sampling with a fixed coefficient 1/n for windows of n elements."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        self._x_shape = x.shape
        y = self._buffer("y", (len(x), *self._windows(x.shape[1:])))
        self._window_sums(x, y)
        y *= 1.0 / self.size**2
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = dy/n for every element of the window."""
        return self._reverse(dy, 1.0 / self.size**2, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hx = hy/n^2 for every element of the window; for 2x2 windows, the factor is 1/16, not 1/4."""
        return self._reverse(hy, 1.0 / self.size**4, to_input)

    def _reverse(self, vy: np.ndarray, factor: float, to_input: bool) -> np.ndarray | None:
        self._expect(vy)
        if not to_input:
            return None
        return self._spread(np.multiply(vy, factor, out=self._buffer("scaled", vy.shape)))

    def operation(self) -> Operation:
        """Return average pooling as an operation for exporters."""
        return Pooling("mean", self.size, self.stride)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return compiled average pooling, with the factor 1/n as a constant."""
        share, links = 1.0 / self.size**2, (self.size, self.stride)
        return [Row(_average, _average_reverse, self.out_shape, numbers=(share,), links=links)]


@layer_function
def _average(call, lanes):  # type: ignore[no-untyped-def]
    y, share = eng.outputs(call, lanes), eng.numbers(call)[0]
    window_sums(call, eng.inputs(call, lanes), y, lanes)
    for p in range(eng.cells(call, lanes)):
        y[p] *= share


@layer_function
def _average_reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, share = eng.above(call, lanes), eng.numbers(call)[0]
    factor = share if eng.power(call) == 1 else share * share
    for p in range(eng.cells(call, lanes)):
        v[p] *= factor
    spread(call, v, eng.below(call, lanes), lanes)


class MaxPool2D(Windowed):
    """Max pooling, y = maximum of the window; ties go to the first element in row-major order."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        shape = (len(x), *self._windows(x.shape[1:]))
        y = self._buffer("y", shape)
        self._chosen, self._x_shape = self._buffer("chosen", shape, np.intp), x.shape
        cells = np.stack(self._cells(x, shape[2:]))
        np.argmax(cells, axis=0, out=self._chosen)  # propagates NaN, so that a diverged network is detected
        np.max(cells, axis=0, out=y)
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = dy at the maximum, 0 elsewhere."""
        self._expect(dy)
        if not to_input:
            return None
        dx = self._buffer("dx", self._x_shape)
        dx[...] = 0
        for k, cells in enumerate(self._cells(dx, dy.shape[2:])):
            cells += np.where(self._chosen == k, dy, 0)
        return dx

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return `backward(hy)`, because every entry of the Jacobian is 0 or 1.

        This also holds for overlapping windows, because each row of the Jacobian has a single 1.
        """
        return self.backward(hy, to_input=to_input)

    def operation(self) -> Operation:
        """Return max pooling as an operation for exporters."""
        return Pooling("max", self.size, self.stride)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return compiled max pooling, which stores the index of the selected element of each window."""
        size, links = int(np.prod(self.out_shape)), (self.size, self.stride)
        # Indices of a window's elements, as floats, because the selected ones are stored next to the outputs.
        cells = tuple(map(float, range(self.size**2)))
        return [Row(_forward, _reverse, self.out_shape, numbers=cells, links=links, own=size)]


@part
def _larger(best, v):  # type: ignore[no-untyped-def]
    """Return whether v replaces the maximum so far; NaN propagates, as in NumPy."""
    return (best == best) & (not v <= best)


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    op, size, stride = call.op, eng.links(call)[0], eng.links(call)[1]
    x, y, chosen = eng.inputs(call, lanes), eng.outputs(call, lanes), eng.own(call, lanes)
    ho, wo, row, number = op[eng.HO], op[eng.WO], op[eng.W] * lanes, eng.numbers(call)
    for m in range(op[eng.OUT] * ho):
        c, r = m // ho, m % ho
        upper = eng.ahead(x, (c * op[eng.H] + r * stride) * row)
        out, which = eng.ahead(y, m * wo * lanes), eng.ahead(chosen, m * wo * lanes)
        if size == 2:
            # Select without branches, on adjacent lanes and values in registers, so that the loop vectorises.
            lower = eng.ahead(upper, row)
            first, second, third, fourth = number[0], number[1], number[2], number[3]
            for s in range(wo):
                here, under = eng.ahead(upper, s * stride * lanes), eng.ahead(lower, s * stride * lanes)
                best, at = eng.ahead(out, s * lanes), eng.ahead(which, s * lanes)
                for k in range(lanes):
                    a, b, c, d = here[k], here[k + lanes], under[k], under[k + lanes]
                    right, below = _larger(a, b), _larger(c, d)
                    high, low = b if right else a, d if below else c
                    deep = _larger(high, low)
                    best[k] = low if deep else high
                    upper_cell, lower_cell = second if right else first, fourth if below else third
                    at[k] = lower_cell if deep else upper_cell
            continue
        for s in range(wo):
            cell, best, at = (
                eng.ahead(upper, s * stride * lanes),
                eng.ahead(out, s * lanes),
                eng.ahead(which, s * lanes),
            )
            for k in range(lanes):
                best[k], at[k] = cell[k], number[0]
            for q in range(1, size * size):
                source, mine = eng.ahead(cell, q // size * row + q % size * lanes), number[q]
                for k in range(lanes):
                    larger = _larger(best[k], source[k])
                    best[k] = source[k] if larger else best[k]
                    at[k] = mine if larger else at[k]


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    op, size, stride = call.op, eng.links(call)[0], eng.links(call)[1]
    v, vx, chosen = eng.above(call, lanes), eng.below(call, lanes), eng.own(call, lanes)
    ho, wo, row, number = op[eng.HO], op[eng.WO], op[eng.W] * lanes, eng.numbers(call)
    nothing = eng.zero(v)
    for p in range(op[eng.C] * op[eng.H] * row):
        vx[p] = nothing
    for m in range(op[eng.OUT] * ho):
        c, r = m // ho, m % ho
        upper = eng.ahead(vx, (c * op[eng.H] + r * stride) * row)
        source, which = eng.ahead(v, m * wo * lanes), eng.ahead(chosen, m * wo * lanes)
        for s in range(wo):
            cell, each, at = (
                eng.ahead(upper, s * stride * lanes),
                eng.ahead(source, s * lanes),
                eng.ahead(which, s * lanes),
            )
            for q in range(size * size):
                target, mine = eng.ahead(cell, q // size * row + q % size * lanes), number[q]
                for k in range(lanes):
                    target[k] += each[k] if at[k] == mine else nothing
