"""A network as a table whose rows contain the addresses of the layers' compiled functions and their arguments.

A compiled loop calls the functions in order, so that the forward pass, loss, backward pass and update of a pattern run
without returning to Python. The engine does not depend on layer classes: any object whose method `compiled` returns
`Row`s can be used.

If a batch is large enough, `LANES` patterns are interleaved: every element of the states consists of that many
consecutive values, and vector instructions process several patterns at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import call as eng
from . import loop
from .jit import announce
from .row import Part, Row, criterion_of
from .vectors import VECTOR

__all__ = ["LANES", "Program", "Workspace", "address", "flat", "lanes_for"]

LANES = VECTOR
_GRADIENT, _CURVATURE, _STEP, _EVALUATE = loop.MODES


class Workspace:
    """Vectors for the states and derivatives of a program; two threads never use them at the same time.

    Parameters
    ----------
    program : Program
    learning : bool
        Whether derivatives are needed.
    groups : int
        Number of groups of interleaved patterns whose states are stored.
    """

    def __init__(self, program: "Program", *, learning: bool = False, groups: int = 1) -> None:
        dtype, size = program.dtype, program.states * LANES + 2 * VECTOR
        size += -size % (64 // dtype.itemsize)
        self.states = _aligned(size * groups, dtype)
        self.vectors = [_aligned(n, dtype) for n in ((size, size) if learning else (0, 0))]
        self.room = _aligned(program.room, dtype)
        self.top = _aligned((LANES + 2) * program.rows[-1].Y_SIZE + VECTOR, dtype)
        self.constants = program.constants.copy()
        # Scratch vector for squared parameters in a curvature pass, or for gradients if the caller passes no vector.
        self.spare = np.zeros(program.theta.size if learning else 0, dtype)
        self.at = np.zeros(len(eng.BASES), np.int64)
        at = self.at
        at[eng.STATES], at[eng.ROOM], at[eng.TOP], at[eng.CONSTANTS] = map(
            address, (self.states, self.room, self.top, self.constants)
        )
        at[eng.SQUARES], at[eng.DERIVATIVES] = map(address, self.vectors)
        at[eng.PARAMETERS], at[eng.LINKED], at[eng.SQUARED] = map(address, (program.theta, program.links, self.spare))
        at[eng.GRADIENTS] = at[eng.SQUARED]
        at[eng.POWER], at[eng.SIZE], at[eng.KEEP] = 1, program.states, size if groups > 1 else 0


@dataclass
class _Placed:
    """A compiled row and its positions in the flat vectors; the fields have the names of columns in `call.COLUMNS`."""

    row: Row
    X: int
    X_SIZE: int
    Y: int
    Y_SIZE: int
    maps: tuple[int, ...]
    out: tuple[int, ...]
    P: int
    P_SIZE: int
    OWN: int
    NUMBERS: int
    LINKS: int
    TO_INPUT: int


class Program:
    """A compiled sequence of layers. It is thread-safe.

    Parameters
    ----------
    layers : iterable of Part
        Compiled layers, whose parameters are contiguous in `theta`.
    in_shape : tuple of int
    theta : ndarray (parameters,)
        Flat vector of all parameters of the network.
    to_input : bool
        Whether derivatives with respect to the network's input are needed.

    Attributes
    ----------
    dtype : numpy dtype
    classes : int
        Size of the output.
    random : bool
        Whether a layer draws random values, which `drawn` appends to x.
    """

    def __init__(
        self,
        layers: Iterable[Part],
        in_shape: tuple[int, ...],
        theta: np.ndarray,
        *,
        to_input: bool = False,
    ) -> None:
        layers = list(layers)
        self.theta, self.dtype = theta, theta.dtype
        self._drawing = [(row.draw, path) for rows, _, _, path in layers for row in rows if row.draw]
        self.inputs = _size(in_shape)
        self.states = self.inputs + sum(row.own for rows, *_ in layers for row in rows if row.draw)
        drawn = self.inputs
        self.rows: list[_Placed] = []
        shape, start, numbers, links, kept = in_shape, 0, 0, 0, False
        for rows, arrays, out_shape, _ in layers:
            first = (address(arrays[0]) - address(theta)) // theta.itemsize if arrays else 0
            for k, row in enumerate(rows):
                mine = k == len(rows) - 1  # a layer's parameters belong to its last row
                size, place = _size(row.out_shape), start
                if not (row.in_place and self.rows and not kept):
                    place, self.states = self.states, self.states + size
                own = self.states
                if row.draw:
                    own, drawn = drawn, drawn + row.own
                else:
                    self.states += row.own
                self.rows.append(
                    _Placed(
                        row,
                        start,
                        _size(shape),
                        place,
                        size,
                        _maps(shape),
                        _maps(row.out_shape),
                        first if mine else 0,
                        sum(a.size for a in arrays) if mine else 0,
                        own,
                        numbers,
                        links,
                        int(to_input),
                    )  # fmt: skip
                )
                numbers, links = numbers + np.size(row.numbers), links + np.size(row.links)
                shape, start, kept = row.out_shape, place, row.reads_output
            to_input |= bool(arrays)
            shape = out_shape
        self.classes = _size(shape)
        self.out_shape = shape
        self.constants = np.concatenate([*(np.ravel(r.row.numbers) for r in self.rows), np.zeros(1)]).astype(self.dtype)
        self.links = np.concatenate([*(np.ravel(r.row.links) for r in self.rows), np.zeros(1)]).astype(np.int64)
        self.room = max([1, *(r.row.room for r in self.rows)]) + VECTOR
        self.random = bool(self._drawing)
        self._changing = [r for r in self.rows if r.row.current]
        self._tables: dict[tuple[int, bool], np.ndarray] = {}
        self._free: dict[bool, list[Workspace]] = {False: [], True: []}

    def table(self, lanes: int, *, learning: bool) -> np.ndarray:
        """Return the table for `lanes` interleaved patterns; compile its functions first if necessary."""
        key = lanes, learning
        if key not in self._tables:
            both = [(r.row.forward, r.row.reverse if learning else None) for r in self.rows]
            assert not learning or all(reverse for _, reverse in both), "rows for evaluation have no backward functions"
            announce([f for pair in both for f in pair if f is not None], self.dtype, lanes)
            rows = []
            for placed, (forward, reverse) in zip(self.rows, both, strict=True):
                addresses = [f.address(self.dtype, lanes) if f else 0 for f in (forward, reverse)]
                p = placed
                rows.append([
                    *addresses, p.X, p.X_SIZE, p.Y, p.Y_SIZE, *p.maps, *p.out, p.P, p.P_SIZE, p.OWN, p.row.own,
                    p.NUMBERS, p.LINKS, p.TO_INPUT, p.row.steps,
                ])  # fmt: skip
            self._tables[key] = np.array(rows, np.int64)
        return self._tables[key]

    def _borrow(self, *, learning: bool) -> Workspace:
        """Return a workspace for exclusive use; the caller returns it to `_free` afterwards."""
        free = self._free[learning]
        space = free.pop() if free else Workspace(self, learning=learning)
        for placed in self._changing:
            assert placed.row.current is not None
            values = placed.row.current()
            space.constants[placed.NUMBERS : placed.NUMBERS + values.size] = values
        return space

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (N, classes) for prepared x (N, *in_shape)."""
        y, lanes = np.empty((len(x), self.classes), self.dtype), lanes_for(len(x))
        table, space = self.table(lanes, learning=False), self._borrow(learning=False)
        loop.run(table, space.at, flat(x), y, lanes)
        self._free[False].append(space)
        return y

    def drawn(self, x: np.ndarray, *key: int) -> np.ndarray:
        """Return x (N, *in_shape) as one row per pattern, followed by the layers' random values for this key."""
        return np.concatenate([x.reshape(len(x), -1), *(draw(len(x), *key, *path) for draw, path in self._drawing)], 1)

    def gradient(self, x: np.ndarray, labels: np.ndarray, loss: Any, n: int, out: np.ndarray) -> tuple[float, int]:
        """Write to `out` (parameters,) the contribution of patterns x to the gradient of the mean loss over n patterns.

        Returns
        -------
        loss : float
            Sum of the losses over the patterns.
        errors : int
            Number of misclassified patterns.
        """
        return self._learned(_GRADIENT, x, labels, loss, n, gradients=out)

    def curvature(self, x: np.ndarray, labels: np.ndarray, loss: Any, n: int, out: np.ndarray) -> tuple[float, int]:
        """Write to `out` the contribution of patterns x to the Gauss-Newton diagonal; return the same as `gradient`."""
        return self._learned(_CURVATURE, x, labels, loss, n, gradients=out)

    def evaluate(self, x: np.ndarray, labels: np.ndarray, loss: Any) -> tuple[float, int]:
        """Return the sum of the losses and the number of misclassified patterns."""
        return self._learned(_EVALUATE, x, labels, loss, len(x))

    def step(self, x: np.ndarray, labels: np.ndarray, loss: Any, rates: np.ndarray, total: float) -> tuple[float, int]:
        """Update every parameter at its own learning rate after each pattern.

        Return `total` plus the sum of the losses, and the number of misclassified patterns.
        """
        return self._learned(_STEP, x, labels, loss, 1, rates=rates, total=total)

    def _learned(
        self,
        mode: int,
        x: np.ndarray,
        labels: np.ndarray,
        loss: Any,
        n: int,
        *,
        gradients: np.ndarray | None = None,
        rates: np.ndarray | None = None,
        total: float = 0.0,
    ) -> tuple[float, int]:
        number, learning = self.dtype.type, mode != _EVALUATE
        lanes = 1 if mode == _STEP else lanes_for(len(x))
        table, half = self.table(lanes, learning=learning), criterion_of(loss)
        assert half is not None
        wanted = [half.value, half.curvature] if mode == _CURVATURE else [half.value]
        announce(wanted, self.dtype)
        space = self._borrow(learning=learning)
        at, constants = space.at, np.array([*half.numbers, 0.0], self.dtype)
        at[eng.GRADIENTS] = address(space.spare if gradients is None else gradients)
        at[eng.RATES] = at[eng.GRADIENTS] if rates is None else address(rates)
        at[eng.LOSS], at[eng.LOSS_NUMBERS] = half.value.address(self.dtype), address(constants)
        at[eng.LARGEST], at[eng.POWER], at[eng.STEP] = half.largest, 1, mode == _STEP
        if gradients is not None:
            gradients[...] = 0
        if mode == _CURVATURE:
            at[eng.POWER], at[eng.CURVATURE] = 2, half.curvature.address(self.dtype)
            np.square(self.theta, out=space.spare)
        factor = number(loss.scale / n)
        total, errors = loop.learn(mode, table, at, flat(x), labels.astype(np.int64), factor, total, lanes)
        self._free[learning].append(space)
        return total * n, errors


def address(array: np.ndarray) -> int:
    """Return the address of an array."""
    return array.__array_interface__["data"][0]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _aligned(size: int, dtype: np.dtype) -> np.ndarray:
    """Return zeros (size,) aligned to a cache line, so that no SIMD vector crosses a cache-line boundary."""
    in_line = 64 // dtype.itemsize
    room = np.zeros(size + in_line, dtype)
    first = -address(room) % 64 // dtype.itemsize
    return room[first : first + size]


def lanes_for(n: int) -> int:
    """Return the number of patterns to interleave: LANES if n is more than half of LANES, else 1."""
    return LANES if n > LANES // 2 else 1


def flat(x: np.ndarray) -> np.ndarray:
    """Return (N, ...) as (N, D), contiguous and writable, as compiled functions require."""
    x = x.reshape(len(x), -1)
    flags = x.flags
    return x if flags.c_contiguous and flags.writeable else x.copy()


def _maps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape as maps (C, H, W); a vector becomes maps of one element."""
    return shape if len(shape) == 3 else (*shape, 1, 1)
