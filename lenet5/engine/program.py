"""A sequence of layers as a table: one row per step, which holds the addresses of its layer's own compiled functions.

One loop calls them in order, so a pattern goes through forward, loss, backward and update without Python in between.
The engine knows no layer: whatever gives `Row`s by its method `compiled` can be written down.

If a batch is large enough, `LANES` patterns go side by side: every cell of every state is then that many numbers in a
row, and the vectors of the processor run along patterns.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import call as c
from .call import (
    CONSTANTS,
    CURVATURE,
    DERIVATIVES,
    FORWARD,
    GRADIENTS,
    KEEP,
    LARGEST,
    LINKED,
    LOSS,
    LOSS_NUMBERS,
    P_SIZE,
    PARAMETERS,
    POWER,
    RATES,
    REVERSE,
    ROOM,
    SIZE,
    SQUARED,
    SQUARES,
    STATES,
    STEP,
    STEPS,
    TO_INPUT,
    TOP,
    Y_SIZE,
    Call,
    LossCall,
    P,
    X,
    Y,
    ahead,
    call_layer,
    call_loss,
    pointer,
    typed,
)  # fmt: skip
from .jit import HAVE_NUMBA, Function, announce, jit, part
from .vectors import VECTOR

__all__ = ["LANES", "Criterion", "Part", "Program", "Row", "Stretch", "criterion_of", "halves_agree", "rows_of"]

LANES = VECTOR
_WIDTH = len(c.COLUMNS)
_MODES = _GRADIENT, _CURVATURE, _STEP, _EVALUATE = range(4)


@dataclass(frozen=True)
class Criterion:
    """A loss's compiled half.

    Attributes
    ----------
    value, curvature : Function
        Made by `loss_function`: the first writes dE/dy into v and returns the loss of one pattern, each times the
        factor; the second finds that dE/dy in v, and replaces it by the diagonal of d2E/dy2.
    largest : bool
        Whether the largest output names the class, or the smallest.
    numbers : array-like
        Constants for the functions.
    """

    value: Function
    curvature: Function
    largest: bool
    numbers: Any = ()


@dataclass(frozen=True)
class Row:
    """One step of a compiled layer.

    Attributes
    ----------
    forward, reverse : Function
        Made by `layer_function`.
    out_shape : tuple of int
        (C, H, W) or (D,).
    numbers, links : array-like
        Constants for the functions: numbers of the network's precision, and integers.
    own : int
        Cells of each pattern that the forward function leaves for the reverse function besides its output.
    room : int
        Numbers that the functions need to work in.
    in_place : bool
        Whether the output may take the place of the input: both functions then find their results where their
        operands were.
    reads_output : bool
        Whether the reverse function needs the output, which then no later layer may overwrite.
    steps : bool
        Whether the reverse function moves the parameters itself if `stepping`; else it gives their gradients.
    current : callable, optional
        Returns `numbers` as they are now, for layers whose constants change between calls.
    draw : callable, optional
        (N, *key) -> numbers (N, own) for the layer's own cells: what it draws at random for N patterns.
    """

    forward: Function
    reverse: Function
    out_shape: tuple[int, ...]
    numbers: Any = ()
    links: Any = ()
    own: int = 0
    room: int = 0
    in_place: bool = False
    reads_output: bool = False
    steps: bool = False
    current: Callable[[], np.ndarray] | None = None
    draw: Callable[..., np.ndarray] | None = None


def halves_agree(one: Any) -> bool:
    """Whether the compiled half of a layer or loss belongs to its methods.

    A subclass that overrides a method of the class that gives the compiled half may compute something else; so may
    an object one of whose methods was replaced.
    """
    for kind in type(one).__mro__:
        if "compiled" in vars(kind):
            break
        if any(_is_method(value) and name not in ("__init__", "__repr__") for name, value in vars(kind).items()):
            return False
    return not any(callable(value) and hasattr(type(one), name) for name, value in vars(one).items())


def _is_method(value: object) -> bool:
    return callable(value) or isinstance(value, property)


def rows_of(layer: Any, *, training: bool = False) -> list[Row] | None:
    """Return the rows of a layer, or None if it has no compiled half that belongs to its methods."""
    return layer.compiled(training=training) if HAVE_NUMBA and halves_agree(layer) else None


def criterion_of(loss: Any) -> Criterion | None:
    """Return the compiled half of a loss, or None if it has none that belongs to its methods."""
    return loss.compiled() if HAVE_NUMBA and halves_agree(loss) else None


# Of each layer its rows, the arrays of its parameters, its out_shape, and what is added to a key for what it draws.
Part = tuple[Sequence[Row], Sequence[np.ndarray], tuple[int, ...], tuple[int, ...]]


@part
def _load(x, first, states, lanes):  # type: ignore[no-untyped-def]
    """Lay patterns first, first + 1, ... side by side at the front of `states`; zeros where there are no more."""
    if lanes == 1:
        row = x[first]
        for p in range(len(row)):
            states[p] = row[p]
        return
    for k in range(lanes):
        if first + k < len(x):
            row = x[first + k]
            for p in range(len(row)):
                states[p * lanes + k] = row[p]
        else:
            for p in range(x.shape[1]):
                states[p * lanes + k] = 0


@part
def _store(states, y, first, lanes):  # type: ignore[no-untyped-def]
    """Take patterns first, first + 1, ... out of numbers that lie side by side."""
    for k in range(min(lanes, len(y) - first)):
        row = y[first + k]
        for p in range(len(row)):
            row[p] = states[p * lanes + k]


@part
def _forward(table, at, states, lanes):  # type: ignore[no-untyped-def]
    """Run every row on the patterns that lie at the front of `states`."""
    for k in range(len(table)):
        op = ahead(pointer(table), k * _WIDTH)
        call_layer(op[FORWARD], Call(op, pointer(at), states, states), lanes)


@part
def _reverse(table, at, states, lanes):  # type: ignore[no-untyped-def]
    """Push the derivatives at the last row's output down to every parameter, and to the input if it is wanted."""
    where = pointer(at)
    operands, theta = states, typed(at[PARAMETERS], states)
    if at[POWER] == 2:
        operands = typed(at[SQUARES], states)
        for p in range(at[SIZE] * lanes):
            operands[p] = states[p] * states[p]
        at[PARAMETERS], at[SQUARED] = at[SQUARED], at[PARAMETERS]
    for k in range(len(table) - 1, -1, -1):
        op = ahead(pointer(table), k * _WIDTH)
        first, size = op[P], op[P_SIZE]
        if op[TO_INPUT] == 0 and size == 0:
            continue  # no parameter here, nor below
        moved = at[STEP] > 0 and op[STEPS] == 0
        grad, rates = typed(at[GRADIENTS], states), typed(at[RATES], states)
        if moved:
            for p in range(first, first + size):
                grad[p] = 0
        call_layer(op[REVERSE], Call(op, where, states, operands), lanes)
        if moved:
            for p in range(first, first + size):
                theta[p] -= rates[p] * grad[p]
    if at[POWER] == 2:
        at[PARAMETERS], at[SQUARED] = at[SQUARED], at[PARAMETERS]


@jit
def _run(table, at, x, y, lanes):  # type: ignore[no-untyped-def]
    """y (N, outputs) = what the last row makes of x (N, inputs)."""
    last = len(table) - 1
    states = typed(at[STATES], pointer(x))
    for first in range(0, len(x), lanes):
        _load(x, first, states, lanes)
        _forward(table, at, states, lanes)
        _store(ahead(states, table[last, Y] * lanes), y, first, lanes)
        states = ahead(states, at[KEEP])


@jit
def _push(table, at, vy, vx, lanes):  # type: ignore[no-untyped-def]
    """vx (N, inputs) = the derivatives at x for vy (N, outputs) at y, of the states that `_run` has kept."""
    last = len(table) - 1
    states = typed(at[STATES], pointer(vy))
    derivatives = typed(at[DERIVATIVES], states)
    for first in range(0, len(vy), lanes):
        _load(vy, first, ahead(derivatives, table[last, Y] * lanes), lanes)
        _reverse(table, at, states, lanes)
        if vx.shape[1] > 0:
            _store(ahead(derivatives, table[0, X] * lanes), vx, first, lanes)
        states = ahead(states, at[KEEP])


@jit
def _learn(mode, table, at, x, labels, factor, total, lanes):  # type: ignore[no-untyped-def]
    """Go through patterns x (N, inputs) with their labels; return total plus factor * losses, and the errors.

    Gradients, or for _CURVATURE the Gauss-Newton diagonal (eqs. 23 to 27), are added to those that are there. _STEP
    updates the parameters after every single pattern, each number by its own rate; lanes is then 1. _EVALUATE stops
    at the loss: in place of `_run`, so that training need not compile both.
    """
    last = len(table) - 1
    classes = table[last, Y_SIZE]
    states = typed(at[STATES], pointer(x))
    outputs = ahead(states, table[last, Y] * lanes)
    top, numbers = typed(at[TOP], states), typed(at[LOSS_NUMBERS], states)
    derivative = top  # to evaluate there is no other room
    if mode != _EVALUATE:
        derivative = ahead(typed(at[DERIVATIVES], states), table[last, Y] * lanes)
    y = ahead(top, classes * lanes)  # of one pattern
    v = ahead(y, classes)
    errors = 0
    for first in range(0, len(x), lanes):
        _load(x, first, states, lanes)
        _forward(table, at, states, lanes)
        for p in range(classes * lanes):  # and so it stays for lanes without a pattern, which then add nothing
            derivative[p] = 0
            top[p] = 0
        for k in range(min(lanes, len(x) - first)):
            label, best = labels[first + k], 0
            for i in range(classes):
                y[i] = outputs[i * lanes + k]
                if (y[i] > y[best]) if at[LARGEST] > 0 else (y[i] < y[best]):
                    best = i
            errors += best != label
            called = LossCall(y, v, numbers, classes, label, factor)
            total += call_loss(at[LOSS], called)
            for i in range(classes):
                top[i * lanes + k] = v[i]
            if mode == _CURVATURE:
                call_loss(at[CURVATURE], called)
            for i in range(classes):
                derivative[i * lanes + k] = v[i]
        if mode != _EVALUATE:
            _reverse(table, at, states, lanes)
    return total, errors


class _Workspace:
    """The vectors that one run of a program works in; never used by two at once.

    Parameters
    ----------
    program : Program
    learning : bool
        Whether derivatives will be asked for.
    groups : int
        Groups of patterns whose states are kept.
    """

    def __init__(self, program: "Program", *, learning: bool = False, groups: int = 1) -> None:
        dtype, size = program.dtype, program.states * LANES + 2 * VECTOR
        size += -size % (64 // dtype.itemsize)
        self.states = _aligned(size * groups, dtype)
        self.vectors = [_aligned(n, dtype) for n in ((size, size) if learning else (0, 0))]
        self.room = _aligned(program.room, dtype)
        self.top = _aligned((LANES + 2) * program.rows[-1].Y_SIZE + VECTOR, dtype)
        self.constants = program.constants.copy()
        self.spare = np.zeros(program.theta.size if learning else 0, dtype)  # squared parameters, or gradients unread
        self.at = np.zeros(len(c.BASES), np.int64)
        at = self.at
        at[STATES], at[ROOM], at[TOP], at[CONSTANTS] = map(_address, (self.states, self.room, self.top, self.constants))
        at[SQUARES], at[DERIVATIVES] = map(_address, self.vectors)
        at[PARAMETERS], at[LINKED], at[SQUARED] = map(_address, (program.theta, program.links, self.spare))
        at[GRADIENTS] = at[SQUARED]
        at[POWER], at[SIZE], at[KEEP] = 1, program.states, size if groups > 1 else 0


@dataclass
class _Placed:
    """A row with its places in the vectors, under the names of the columns."""

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


class Stretch:
    """Compiled layers that stand next to each other, as one layer of a network whose other layers are not compiled.

    Parameters
    ----------
    program : Program
    gradients, curvatures : ndarray (parameters,)
        The network's flat vectors, to which `backward` and `bbprop` write their parts.
    parts : slice
        Of the stretch's parameters in them.
    """

    def __init__(self, program: "Program", gradients: np.ndarray, curvatures: np.ndarray, parts: slice) -> None:
        self.program, self._out, self._parts = program, {1: gradients, 2: curvatures}, parts
        self._space: _Workspace | None = None
        self._lanes = self._groups = 0

    def forward(self, x: np.ndarray, *key: int) -> np.ndarray:
        """Return y (N, *out_shape) for x (N, ...), and keep what the way back needs."""
        program, self._n = self.program, len(x)
        self._in_shape = x.shape
        x = _flat(program.drawn(x, *key) if program.random else x)
        self._lanes = _lanes(len(x))
        groups = -(-len(x) // self._lanes)
        if self._space is None or self._groups < groups:
            self._space, self._groups = _Workspace(program, learning=True, groups=groups), groups
        y = np.empty((len(x), program.classes), program.dtype)
        _run(program.table(self._lanes, learning=True), self._space.at, x, y, self._lanes)
        return y.reshape(-1, *program.out_shape)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set the gradients for dy (N, *out_shape); return dx if `to_input`."""
        return self._reverse(dy, to_input, 1)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set the curvatures for hy (N, *out_shape); return hx if `to_input`."""
        return self._reverse(hy, to_input, 2)

    def _reverse(self, vy: np.ndarray, to_input: bool, power: int) -> np.ndarray | None:
        program, space = self.program, self._space
        assert space is not None
        out = self._out[power]
        out[self._parts] = 0
        space.at[POWER], space.at[GRADIENTS] = power, _address(out)
        if power == 2:
            np.square(program.theta, out=space.spare)
        vx = np.empty((len(vy), program.inputs if to_input else 0), program.dtype)
        _push(program.table(self._lanes, learning=True), space.at, _flat(vy), vx, self._lanes)
        return vx.reshape(self._in_shape) if to_input else None


class Program:
    """Layers in sequence, written down; any number of threads may run it at once.

    Parameters
    ----------
    layers : iterable of Part
        Their parameters lie end to end in `theta`.
    in_shape : tuple of int
    theta : ndarray (parameters,)
        The flat vector of all of the network's parameters.
    to_input : bool
        Whether the derivatives at the input are ever wanted.

    Attributes
    ----------
    dtype : numpy dtype
    classes : int
        Size of the output.
    random : bool
        Whether a row draws at random: x then needs what `drawn` adds.
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
            first = (_address(arrays[0]) - _address(theta)) // theta.itemsize if arrays else 0
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
        self._free: dict[bool, list[_Workspace]] = {False: [], True: []}

    def table(self, lanes: int, *, learning: bool) -> np.ndarray:
        """Return the table for so many patterns side by side, with every function that it needs compiled."""
        key = lanes, learning
        if key not in self._tables:
            both = [(r.row.forward, r.row.reverse if learning else None) for r in self.rows]
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

    def _borrow(self, *, learning: bool) -> _Workspace:
        """Return a workspace that no other run uses, until it is put back among the free ones of its kind."""
        free = self._free[learning]
        space = free.pop() if free else _Workspace(self, learning=learning)
        for placed in self._changing:
            assert placed.row.current is not None
            values = placed.row.current()
            space.constants[placed.NUMBERS : placed.NUMBERS + values.size] = values
        return space

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (N, classes) for prepared x (N, *in_shape)."""
        y, lanes = np.empty((len(x), self.classes), self.dtype), _lanes(len(x))
        table, space = self.table(lanes, learning=False), self._borrow(learning=False)
        _run(table, space.at, _flat(x), y, lanes)
        self._free[False].append(space)
        return y

    def drawn(self, x: np.ndarray, *key: int) -> np.ndarray:
        """Return x (N, *in_shape) as rows, each followed by what the layers draw for it with this key."""
        return np.concatenate([x.reshape(len(x), -1), *(draw(len(x), *key, *path) for draw, path in self._drawing)], 1)

    def gradient(self, x: np.ndarray, labels: np.ndarray, loss: Any, n: int, out: np.ndarray) -> tuple[float, int]:
        """Write these patterns' part of the gradient of the mean loss of n to `out` (parameters,).

        Returns
        -------
        loss : float
            Sum over the patterns.
        errors : int
        """
        return self._learned(_GRADIENT, x, labels, loss, n, gradients=out)

    def curvature(self, x: np.ndarray, labels: np.ndarray, loss: Any, n: int, out: np.ndarray) -> tuple[float, int]:
        """Write their part of the Gauss-Newton diagonal of that mean to `out`; return as `gradient` does."""
        return self._learned(_CURVATURE, x, labels, loss, n, gradients=out)

    def evaluate(self, x: np.ndarray, labels: np.ndarray, loss: Any) -> tuple[float, int]:
        """Return the sum of the loss, and the errors."""
        return self._learned(_EVALUATE, x, labels, loss, len(x))

    def step(self, x: np.ndarray, labels: np.ndarray, loss: Any, rates: np.ndarray, total: float) -> tuple[float, int]:
        """Move every parameter by its rate after each pattern; return total plus the losses, and the errors."""
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
        lanes = 1 if mode == _STEP else _lanes(len(x))
        table, half = self.table(lanes, learning=learning), criterion_of(loss)
        assert half is not None
        wanted = [half.value, half.curvature] if mode == _CURVATURE else [half.value]
        announce(wanted, self.dtype)
        space = self._borrow(learning=learning)
        at, constants = space.at, np.array([*half.numbers, 0.0], self.dtype)
        at[GRADIENTS] = _address(space.spare if gradients is None else gradients)
        at[RATES] = at[GRADIENTS] if rates is None else _address(rates)
        at[LOSS], at[LOSS_NUMBERS] = half.value.address(self.dtype), _address(constants)
        at[LARGEST], at[POWER], at[STEP] = half.largest, 1, mode == _STEP
        if gradients is not None:
            gradients[...] = 0
        if mode == _CURVATURE:
            at[POWER], at[CURVATURE] = 2, half.curvature.address(self.dtype)
            np.square(self.theta, out=space.spare)
        factor = number(loss.scale / n)
        total, errors = _learn(mode, table, at, _flat(x), labels.astype(np.int64), factor, total, lanes)
        self._free[learning].append(space)
        return total * n, errors


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _aligned(size: int, dtype: np.dtype) -> np.ndarray:
    """Return zeros (size,) from a cache line on, so that no vector lies across two."""
    in_line = 64 // dtype.itemsize
    room = np.zeros(size + in_line, dtype)
    first = -_address(room) % 64 // dtype.itemsize
    return room[first : first + size]


def _lanes(n: int) -> int:
    """Return how many patterns to lay side by side: not so many that most sums would be taken in vain."""
    return LANES if n > LANES // 2 else 1


def _flat(x: np.ndarray) -> np.ndarray:
    """(N, ...) as (N, D), such as one compiled signature takes: contiguous and writable."""
    x = x.reshape(len(x), -1)
    flags = x.flags
    return x if flags.c_contiguous and flags.writeable else x.copy()


def _maps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A vector as maps of one cell."""
    return shape if len(shape) == 3 else (*shape, 1, 1)
