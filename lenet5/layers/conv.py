"""Convolution, fully connected between maps or by a connection table such as the paper's Table I."""

from typing import Any, Literal

import numpy as np

from .. import engine, initializers
from ..engine.call import (
    HO,
    OUT,
    WO,
    C,
    H,
    W,
    above,
    ahead,
    below,
    gradients,
    inputs,
    links,
    operands,
    outputs,
    parameters,
    pointer,
    room,
    to_input,
    zero,
)  # fmt: skip
from ..engine.convolution import (
    Geometry,
    conv_lanes,
    conv_lanes_3x3,
    conv_lanes_3x3_back,
    conv_lanes_5x5,
    conv_lanes_5x5_back,
    conv_lanes_back,
    conv_plane,
    conv_plane_3x3,
    conv_plane_3x3_back,
    conv_plane_5x5,
    conv_plane_5x5_back,
    conv_plane_back,
    room_for_lanes,
    room_for_planes,
)  # fmt: skip
from ..engine.im2col import Grid, col2im_one, im2col_one
from ..engine.jit import layer_function, part
from ..engine.program import LANES, Row
from ..errors import ConfigError, ShapeError
from ..initializers import Initializer
from ..parameter import Parameter
from .base import Layer, Shape, Window
from .dense import dense_rows
from .pad import pad_row

__all__ = ["TABLE_I", "Conv2D", "parse_table"]

# Table I: which maps of S2 (rows 0 to 5) each map of C3 (columns 0 to 15) looks at.
# The first six take three neighbours, the next six four, three take two pairs, the last takes all.
TABLE_I = """
    X . . . X X X . . X X X X . X X
    X X . . . X X X . . X X X X . X
    X X X . . . X X X . . X . X X X
    . X X X . . X X X X . . X . X X
    . . X X X . . X X X X . X X . X
    . . . X X X . . X X X X . X X X
"""

Pair = tuple[int, int]
Padding = Literal["valid", "same"] | int | Pair


class Conv2D(Layer):
    """y[o,p] = b[o] + sum_k w[o,k] cols[k,p]; cols = im2col(x).

    Parameters
    ----------
    out_channels : int
        O, the number of feature maps.
    kernel_size : int or (int, int)
        Height and width of a receptive field.
    stride : int or (int, int)
        Step between receptive fields.
    padding : {"valid", "same"}, int or (int, int)
        Zeros around x: none; as many as make Ho = ceil(H/stride), the odd one below and to the
        right; or that many on every side.
    table : str or boolean ndarray (C, O), optional
        Which inputs each map is connected to, as `TABLE_I`. Only the kernels that exist are
        parameters: `weight` is then (connected pairs, kh, kw), map by map, else (O, C, kh, kw).
    init : Initializer
        Draws `weight`; its fan-in is that of each unit.
    bias : float
        Start of `bias` (O,).
    name : str

    Raises
    ------
    ConfigError
        If an argument makes no sense.
    """

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: Padding = "valid",
        table: str | np.ndarray | None = None,
        init: Initializer = initializers.fan_in_uniform,
        bias: float = 0.0,
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size, "kernel_size", least=1)
        self.stride = _pair(stride, "stride", least=1)
        if isinstance(padding, str) and padding not in ("valid", "same"):
            raise ConfigError(f"padding is 'valid', 'same', an int or a pair of ints; found {padding!r}.")
        self.padding = padding if isinstance(padding, str) else _pair(padding, "padding", least=0)
        self.table = parse_table(table) if isinstance(table, str) else None if table is None else np.array(table, bool)
        if not isinstance(out_channels, int | np.integer):
            raise ConfigError(f"out_channels is an int of at least 1; found {out_channels!r}.")
        if self.table is not None and (self.table.ndim != 2 or not self.table.any(axis=0).all()):
            raise ConfigError("A connection table is (C, O), and connects every map to something.")
        if out_channels < 1 or (self.table is not None and self.table.shape[1] != out_channels):
            columns = "" if self.table is None else f"; its table has {self.table.shape[1]} columns"
            raise ConfigError(f"Conv2D needs at least one output map; found out_channels={out_channels}{columns}.")
        self.init, self.initial_bias = init, bias

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"Conv2D {self.name} takes maps (C, H, W); found {in_shape}.")
        channels, (kh, kw) = in_shape[0], self.kernel_size
        table = np.ones((channels, self.out_channels), bool) if self.table is None else self.table
        if table.shape[0] != channels:
            raise ShapeError(f"Conv2D {self.name}: its table has {table.shape[0]} rows; x has {channels} maps.")
        # (o, c) of every kernel, map by map; those of map o are starts[o] to starts[o+1].
        maps, below = np.nonzero(table.T)
        self.channels = below.astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(table.sum(axis=0))]).astype(np.int64)
        fan_in = table.sum(axis=0) * kh * kw
        fan_out = int(table.sum(axis=1).max()) * kh * kw
        drawn = [self.init((int(f) // (kh * kw), kh, kw), int(f), fan_out, rng) for f in fan_in if f]
        shape = (-1, kh, kw) if self.table is not None else (self.out_channels, channels, kh, kw)
        weight = np.concatenate(drawn).reshape(shape)
        self.weight = Parameter("weight", weight.astype(self.dtype))
        self.bias = Parameter("bias", np.full(self.out_channels, self.initial_bias, self.dtype))
        for array in (self.channels, self.starts, self.table):
            if array is not None:
                array.setflags(write=False)
        self._pairs = maps, below
        return (self.out_channels, *self.geometry(in_shape[1:])[1])

    def geometry(self, size: Shape) -> tuple[Pair, Pair]:
        """Return the zeros put above and left of x, and the size of y's maps."""
        before, out = [], []
        for side, k, step, axis in zip(size, self.kernel_size, self.stride, (0, 1), strict=True):
            if self.padding == "same":
                n = -(-side // step)
                pad = max(0, (n - 1) * step + k - side) // 2
            else:
                pad = 0 if isinstance(self.padding, str) else self.padding[axis]
                n = (side + 2 * pad - k) // step + 1
            if n < 1:
                raise ShapeError(f"{self}: a map of {size} is smaller than the kernel {self.kernel_size}.")
            before.append(pad)
            out.append(n)
        return (before[0], before[1]), (out[0], out[1])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, O, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        before, out = self.geometry(x.shape[2:])
        matrix, positions = self._matrix(self.weight.value), out[0] * out[1]
        self._cols = self._buffer("cols", (len(x), matrix.shape[1], positions))
        self._x_shape, self._before, self._out = x.shape, before, out
        engine.im2col(np.ascontiguousarray(x), self.kernel_size, self.stride, before, out, self._cols)
        y = self._buffer("y", (len(x), self.out_channels, positions))
        np.matmul(matrix, _folded(self._cols), out=_folded(y))
        y += self.bias.value[:, None]
        return self._done(y.reshape(len(x), self.out_channels, *out))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dw[o,k] = sum_p dy[o,p] cols[k,p]; db[o] = sum_p dy[o,p]; dx = col2im(w^T dy)."""
        self._expect(dy)
        return self._reverse(
            dy, self._matrix(self.weight.value), self._cols, self.weight.grad, self.bias.grad, to_input
        )

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Eq. 23: h of a shared weight is the sum over its connections of x^2 h; hx = col2im((w*w)^T h)."""
        self._expect(hy)
        squares = np.square(self._cols, out=self._buffer("squares", self._cols.shape))
        matrix = np.square(self._matrix(self.weight.value))
        return self._reverse(hy, matrix, squares, self.weight.hess, self.bias.hess, to_input)

    def _reverse(
        self,
        vy: np.ndarray,
        matrix: np.ndarray,
        cols: np.ndarray,
        weight_out: np.ndarray,
        bias_out: np.ndarray,
        to_input: bool,
    ) -> np.ndarray | None:
        vy = vy.reshape(len(cols), self.out_channels, cols.shape[2])
        folded = _folded(vy)
        per_image = self._buffer("per_image", (len(folded), *matrix.shape))
        np.matmul(folded, _folded(cols).transpose(0, 2, 1), out=per_image)
        total = np.sum(per_image, axis=0, out=self._buffer("total", matrix.shape))
        kernels = total.reshape(self.out_channels, self.in_shape[0], *self.kernel_size)
        weight_out[...] = kernels[self._pairs].reshape(weight_out.shape)
        np.sum(vy, axis=(0, 2), out=bias_out)
        if not to_input:
            return None
        v_cols = self._buffer("v_cols", cols.shape)
        np.matmul(matrix.T, folded, out=_folded(v_cols))
        vx = self._buffer("vx", self._x_shape)
        engine.col2im(v_cols, self.kernel_size, self.stride, self._before, self._out, vx)
        return vx

    def _matrix(self, weight: np.ndarray) -> np.ndarray:
        """Return the kernels as (O, K), with zeros where nothing is connected."""
        if self.table is None:
            return weight.reshape(self.out_channels, -1)
        dense = self._buffer("dense", (self.out_channels, self.in_shape[0], *self.kernel_size))
        dense[...] = 0
        dense[self._pairs] = weight
        return dense.reshape(self.out_channels, -1)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return padding and a convolution of whole maps; with strides im2col; for one position a full connection."""
        before, (ho, wo) = self.geometry(self.in_shape[1:])
        (channels, _, _), (kh, kw) = self.in_shape, self.kernel_size
        padded = (channels, ho + kh - 1, wo + kw - 1)
        pairs = [*self.kernel_size, *self.stride, *before, *self.starts, *self.channels]
        if self.stride != (1, 1):
            room = 2 * channels * kh * kw * ho * wo * LANES
            return [Row(_strided_forward, _strided_reverse, self.out_shape, links=pairs, room=room)]
        rows = [] if padded == self.in_shape else [pad_row(*before, padded)]
        if (ho, wo) == (1, 1) and self.table is None:
            return [*rows, *dense_rows(int(np.prod(padded)), self.out_shape)]  # C5: a kernel covers its input whole
        room = max(room_for_planes(padded, (kh, kw)), room_for_lanes(padded, (kh, kw)))
        forward, reverse = _BY_KERNEL.get((kh, kw), (_forward, _reverse))
        return [*rows, Row(forward, reverse, self.out_shape, links=pairs, room=room)]

    def parameters(self) -> tuple[Parameter, ...]:
        """Return weight and bias."""
        return self.weight, self.bias

    def connections(self) -> int:
        """Every output position has the weights and the bias of its map."""
        return (self.weight.size + self.out_channels) * self.out_shape[1] * self.out_shape[2]

    def multiply_adds(self) -> int:
        """Every output position has the weights of its map."""
        return self.weight.size * self.out_shape[1] * self.out_shape[2]

    def window(self) -> Window:
        """A unit sees what its kernels cover."""
        return Window(self.kernel_size, self.stride, self.geometry(self.in_shape[1:])[0])

    def unit(self) -> dict[str, Any]:
        """Describe the kernels, with the weights as an array."""
        return {
            "kind": "convolution",
            "kernel": list(self.kernel_size),
            "stride": list(self.stride),
            "before": list(self.geometry(self.in_shape[1:])[0]),
            "starts": self.starts.tolist(),
            "channels": self.channels.tolist(),
            "bias": self.bias.value.tolist(),
            "weights": self.weight.value,
        }

    @property
    def title(self) -> str:  # type: ignore[override]
        """The paper's word: C5 is a full connection, since its kernels cover their input."""
        one = self.out_shape[1:] == (1, 1)
        return "full\nconnection" if one else "convolutions\n" + "x".join(map(str, self.kernel_size))


# The integers of a convolution's row: kernel size, stride and zeros before the input, each (down, right); then the
# starts of the maps' kernels, and the input map of each kernel.
_STRIDE, _BEFORE, _STARTS = 2, 4, 6


@part
def _geometry(call):  # type: ignore[no-untyped-def]
    op, ints = call.op, links(call)
    starts = ahead(ints, _STARTS)
    maps, out = (op[C], op[H], op[W]), (op[OUT], op[HO], op[WO])
    return Geometry(maps, out, (ints[0], ints[1]), starts, ahead(starts, op[OUT] + 1))


@part
def _operands(call, lanes):  # type: ignore[no-untyped-def]
    return pointer(inputs(call, lanes)), pointer(parameters(call)), pointer(outputs(call, lanes)), _geometry(call)


@part
def _reverse_operands(call, lanes):  # type: ignore[no-untyped-def]
    x, w, v = pointer(operands(call, lanes)), pointer(parameters(call)), pointer(above(call, lanes))
    return x, w, v, pointer(gradients(call)), pointer(below(call, lanes)), _geometry(call), to_input(call), room(call)


@layer_function
def _forward_5x5(call, lanes):  # type: ignore[no-untyped-def]
    conv_plane_5x5(*_operands(call, 1), room(call))


@_forward_5x5.side_by_side
def _forward_5x5_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_lanes_5x5(*_operands(call, LANES))


@layer_function
def _reverse_5x5(call, lanes):  # type: ignore[no-untyped-def]
    conv_plane_5x5_back(*_reverse_operands(call, 1))


@_reverse_5x5.side_by_side
def _reverse_5x5_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_lanes_5x5_back(*_reverse_operands(call, LANES))


@layer_function
def _forward_3x3(call, lanes):  # type: ignore[no-untyped-def]
    conv_plane_3x3(*_operands(call, 1), room(call))


@_forward_3x3.side_by_side
def _forward_3x3_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_lanes_3x3(*_operands(call, LANES))


@layer_function
def _reverse_3x3(call, lanes):  # type: ignore[no-untyped-def]
    conv_plane_3x3_back(*_reverse_operands(call, 1))


@_reverse_3x3.side_by_side
def _reverse_3x3_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_lanes_3x3_back(*_reverse_operands(call, LANES))


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    conv_plane(*_operands(call, 1), room(call))


@_forward.side_by_side
def _forward_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_lanes(*_operands(call, LANES))


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    conv_plane_back(*_reverse_operands(call, 1))


@_reverse.side_by_side
def _reverse_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_lanes_back(*_reverse_operands(call, LANES))


_BY_KERNEL = {(5, 5): (_forward_5x5, _reverse_5x5), (3, 3): (_forward_3x3, _reverse_3x3)}


@part
def _grid(call):  # type: ignore[no-untyped-def]
    ints = links(call)
    stride, before = (ints[_STRIDE], ints[_STRIDE + 1]), (ints[_BEFORE], ints[_BEFORE + 1])
    return Grid((ints[0], ints[1]), stride, before, (call.op[HO], call.op[WO]))


@layer_function
def _strided_forward(call, lanes):  # type: ignore[no-untyped-def]
    shape, grid, cols = _geometry(call), _grid(call), room(call)
    w, taps, n = pointer(parameters(call)), grid.kernel[0] * grid.kernel[1], grid.out[0] * grid.out[1] * lanes
    y, bias = pointer(outputs(call, lanes)), ahead(w, shape.starts[shape.out[0]] * taps)
    im2col_one(pointer(inputs(call, lanes)), cols, shape.maps, grid, lanes)
    for o in range(shape.out[0]):
        out = ahead(y, o * n)
        for p in range(n):
            out[p] = bias[o]
        for m in range(shape.starts[o], shape.starts[o + 1]):
            for q in range(taps):
                column, weight = ahead(cols, (shape.channels[m] * taps + q) * n), w[m * taps + q]
                for p in range(n):
                    out[p] += weight * column[p]


@layer_function
def _strided_reverse(call, lanes):  # type: ignore[no-untyped-def]
    shape, grid, cols = _geometry(call), _grid(call), room(call)
    w, taps, n = pointer(parameters(call)), grid.kernel[0] * grid.kernel[1], grid.out[0] * grid.out[1] * lanes
    v, g, down = pointer(above(call, lanes)), pointer(gradients(call)), to_input(call)
    size = shape.maps[0] * taps * n
    v_cols, g_bias = ahead(cols, size), ahead(g, shape.starts[shape.out[0]] * taps)
    im2col_one(pointer(operands(call, lanes)), cols, shape.maps, grid, lanes)
    for p in range(size):
        v_cols[p] = 0
    for o in range(shape.out[0]):
        v_map, total = ahead(v, o * n), zero(v)
        for p in range(n):
            total += v_map[p]
        g_bias[o] += total
        for m in range(shape.starts[o], shape.starts[o + 1]):
            for q in range(taps):
                k = shape.channels[m] * taps + q
                column, target, weight, total = ahead(cols, k * n), ahead(v_cols, k * n), w[m * taps + q], zero(v)
                for p in range(n):
                    total += v_map[p] * column[p]
                g[m * taps + q] += total
                if down:
                    for p in range(n):
                        target[p] += weight * v_map[p]
    if down:
        col2im_one(v_cols, pointer(below(call, lanes)), shape.maps, grid, lanes)


def parse_table(table: str) -> np.ndarray:
    """Read a connection table drawn with X and . into a boolean array (C, O).

    Raises
    ------
    ConfigError
        If the rows differ in length or hold other signs.
    """
    lines = [line.split() for line in table.strip().splitlines()]
    signs = {sign for line in lines for sign in line}
    if len({len(line) for line in lines}) != 1 or not signs <= {"X", "."}:
        raise ConfigError("A connection table has rows of one length, of the signs X and . between spaces.")
    return np.array(lines) == "X"


def _folded(a: np.ndarray) -> np.ndarray:
    """View (N, D, P) as (1, D, N) where there is one position (C5): one product instead of N thin ones."""
    return a.transpose(2, 1, 0) if a.shape[2] == 1 else a


def _pair(value: int | Pair, what: str, *, least: int) -> Pair:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ConfigError(f"{what} is an int of at least {least} or a pair of them; found {value!r}.")
    return int(pair[0]), int(pair[1])
