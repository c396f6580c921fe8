"""Fully connected layer (F6)."""

import numpy as np

from .. import initializers
from ..engine import call as eng
from ..engine.jit import layer_function, part
from ..engine.program import LANES
from ..engine.row import Row
from ..engine.vectors import VECTOR, add_sums_1, add_sums_8, add_taps_of_all
from ..errors import ConfigError, ShapeError
from ..initializers import Initializer
from ..parameter import Parameter
from .base import Layer, Shape, from_rows, rows
from .operation import FullConnection, Operation

__all__ = ["Dense", "dense_rows"]


class Dense(Layer):
    """Fully connected layer: y = W x + b for each pattern. On maps, it is applied at each position.

    Parameters
    ----------
    units : int
        O, the number of outputs.
    init : Initializer, or its name in `initializers.INITIALIZERS`
        Initialiser of `weight` (O, D).
    bias : float
        Initial value of `bias` (O,).
    name : str

    Raises
    ------
    ConfigError
        If `units` is not a positive integer.
    """

    title = "full\nconnection"

    def __init__(
        self, units: int, *, init: Initializer | str = initializers.fan_in_uniform, bias: float = 0.0, name: str = ""
    ) -> None:
        super().__init__(name=name)
        if not isinstance(units, int | np.integer) or units < 1:
            raise ConfigError(f"units of Dense must be an int of at least 1; found {units!r}.")
        self.units = units
        self.init, self.initial_bias = initializers.named(init), bias

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) not in (1, 3) or in_shape[1:] not in ((), (1, 1)):
            raise ShapeError(
                f"Dense {self.name} takes inputs (D,) or (D, 1, 1); found {in_shape}. Put Flatten() in front of it."
            )
        drawn = self.init((self.units, in_shape[0]), in_shape[0], self.units, rng)
        self.weight = Parameter("weight", drawn.astype(self.dtype))
        self.bias = Parameter("bias", np.full(self.units, self.initial_bias, self.dtype))
        return (self.units,)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, O) for x (N, D) or (N, D, 1, 1), and maps (N, O, H, W) for larger maps."""
        self._check(x)
        self._x, self._like = rows(x), x
        y = self._buffer("y", (len(self._x), self.units))
        np.matmul(self._x, self.weight.value.T, out=y)
        y += self.bias.value
        return self._done(from_rows(y, x))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dW = sum_n dy x^T; db = sum_n dy; dx = W^T dy."""
        self._expect(dy)
        return self._reverse(dy, self.weight.value, self._x, self.weight.grad, self.bias.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Compute `backward` with x and W squared (eqs. 25 and 27)."""
        self._expect(hy)
        x, w = self._x, self.weight.value
        return self._reverse(hy, w * w, x * x, self.weight.hess, self.bias.hess, to_input)

    def _reverse(
        self,
        vy: np.ndarray,
        w: np.ndarray,
        x: np.ndarray,
        weight_out: np.ndarray,
        bias_out: np.ndarray,
        to_input: bool,
    ) -> np.ndarray | None:
        vy = rows(vy)
        np.matmul(vy.T, x, out=weight_out)
        np.sum(vy, axis=0, out=bias_out)
        if not to_input:
            return None
        vx = np.matmul(vy, w, out=self._buffer("vx", x.shape))
        return from_rows(vx, self._like).reshape(self._like.shape)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return weight and bias."""
        return self.weight, self.bias

    def connections(self) -> int:
        """Count the weights and the bias of every unit."""
        return self.weight.size + self.units

    def multiply_adds(self) -> int:
        """Count the weights of every unit."""
        return self.weight.size

    def operation(self) -> Operation:
        """Return the layer as an operation for exporters."""
        return FullConnection(self.weight.value.copy(), self.bias.value.copy())

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled layer."""
        return dense_rows(self.in_shape[0], self.out_shape)


def dense_rows(size: int, out_shape: Shape) -> list[Row]:
    """Return the compiled row of a dense layer with `size` inputs, or of a convolution with one output position."""
    return [Row(_forward, _reverse, out_shape, room=size * LANES, steps=True)]


# Number of inputs processed at a time; for 16 patterns, their values take 16 kB in float32.
_BLOCK = 256


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    n_in, n_out = call.op[eng.X_SIZE], call.op[eng.Y_SIZE]
    x, w, y = eng.inputs(call, 1), eng.parameters(call), eng.outputs(call, 1)
    bias = eng.ahead(w, n_out * n_in)
    for o in range(n_out):
        row, total = eng.ahead(w, o * n_in), bias[o]
        for k in range(n_in):
            total += row[k] * x[k]
        y[o] = total


@_forward.side_by_side
def _forward_lanes(call, lanes):  # type: ignore[no-untyped-def]
    n_in, n_out = call.op[eng.X_SIZE], call.op[eng.Y_SIZE]
    x, w, y = (
        eng.inputs(call, LANES),
        eng.parameters(call),
        eng.outputs(call, LANES),
    )
    bias = eng.ahead(w, n_out * n_in)
    for o in range(n_out):
        for q in range(LANES):
            y[o * LANES + q] = bias[o]
    _add_sums(x, n_in, w, n_out, (n_in, 1), y)


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    if eng.stepping(call):
        _step_one(call)
    else:
        _reverse_one(call)


@part
def _reverse_one(call):  # type: ignore[no-untyped-def]
    """Add v[o] x[k] to g_w[o, k] and v to g_b; compute vx = w^T v if needed."""
    n_in, n_out, down = call.op[eng.X_SIZE], call.op[eng.Y_SIZE], eng.to_input(call)
    x, v, vx = eng.operands(call, 1), eng.above(call, 1), eng.below(call, 1)
    w, g = eng.parameters(call), eng.gradients(call)
    g_b = eng.ahead(g, n_out * n_in)
    if down:
        for k in range(n_in):
            vx[k] = 0
    for o in range(n_out):
        row, g_row, vo = eng.ahead(w, o * n_in), eng.ahead(g, o * n_in), v[o]
        g_b[o] += vo
        if down:
            for k in range(n_in):
                vx[k] += vo * row[k]
        for k in range(n_in):
            g_row[k] += vo * x[k]


@part
def _step_one(call):  # type: ignore[no-untyped-def]
    """Compute vx as in `_reverse_one`, then update w -= rate v x instead of adding to the gradient."""
    n_in, n_out, down = call.op[eng.X_SIZE], call.op[eng.Y_SIZE], eng.to_input(call)
    x, v, vx = eng.operands(call, 1), eng.above(call, 1), eng.below(call, 1)
    w, rate_w = eng.parameters(call), eng.rates(call)
    bias, rate_b = eng.ahead(w, n_out * n_in), eng.ahead(rate_w, n_out * n_in)
    if down:
        for k in range(n_in):
            vx[k] = 0
    for o in range(n_out):
        row, rate, vo = eng.ahead(w, o * n_in), eng.ahead(rate_w, o * n_in), v[o]
        bias[o] -= rate_b[o] * vo
        if down:
            for k in range(n_in):
                vx[k] += vo * row[k]
                row[k] -= rate[k] * (vo * x[k])
        else:
            for k in range(n_in):
                row[k] -= rate[k] * (vo * x[k])


@_reverse.side_by_side
def _reverse_lanes(call, lanes):  # type: ignore[no-untyped-def]
    """Compute the same as `_reverse_one` for VECTOR interleaved patterns."""
    n_in, n_out = call.op[eng.X_SIZE], call.op[eng.Y_SIZE]
    x, v, line = eng.operands(call, VECTOR), eng.above(call, VECTOR), eng.room(call)
    w, g = eng.parameters(call), eng.gradients(call)
    g_b = eng.ahead(g, n_out * n_in)
    for o in range(n_out):
        for q in range(VECTOR):
            g_b[o] += v[o * VECTOR + q]
    for k in range(n_in):  # store the patterns one after another, not interleaved
        for q in range(VECTOR):
            line[q * n_in + k] = x[k * VECTOR + q]
    # Process inputs in blocks, so that each block of x stays in the L1 cache while it is used for all units.
    for first in range(0, n_in, _BLOCK):
        n = min(_BLOCK, n_in - first)
        whole = n & -VECTOR
        for o in range(n_out):
            above_o, g_row = eng.ahead(v, o * VECTOR), eng.ahead(g, o * n_in)
            add_taps_of_all(
                eng.ahead(line, first), above_o, eng.ahead(g_row, first), (1, whole), (0, 0), (0, n_in), (1, VECTOR)
            )
            for k in range(first + whole, first + n):
                total = g_row[k]
                for q in range(VECTOR):
                    total += above_o[q] * x[k * VECTOR + q]
                g_row[k] = total
    if eng.to_input(call):
        vx = eng.below(call, VECTOR)
        for p in range(n_in * VECTOR):
            vx[p] = 0
        _add_sums(v, n_out, w, n_in, (1, n_in), vx)


@part
def _add_sums(x, n, w, rows, steps, y):  # type: ignore[no-untyped-def]
    """Add sum_k w[q steps[0] + k steps[1]] x[k, l] to y[q, l] for q < rows, k < n and every interleaved pattern l."""
    whole = rows & -8
    for q in range(0, whole, 8):
        add_sums_8(x, eng.ahead(w, q * steps[0]), eng.ahead(y, q * VECTOR), (1, n * VECTOR), (0, 0), steps, (0, 0))
    for q in range(whole, rows):
        add_sums_1(x, eng.ahead(w, q * steps[0]), eng.ahead(y, q * VECTOR), (1, n * VECTOR), (0, 0), steps, (0, 0))
