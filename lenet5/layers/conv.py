"""Convolution, with all maps connected or with a connection table such as the paper's Table I."""

from typing import Literal

import numpy as np

from .. import engine, initializers
from ..engine import convolution
from ..engine.im2col import conv_strided, conv_strided_back
from ..engine.jit import layer_function
from ..engine.program import LANES
from ..engine.row import Row
from ..errors import ConfigError, ShapeError
from ..initializers import Initializer
from ..parameter import Parameter
from .base import Layer, Shape, Window
from .dense import dense_rows
from .operation import Convolution, Operation
from .pad import pad_row
from .table import folded, pair_of, parse_table

__all__ = ["Conv2D"]

Pair = tuple[int, int]
Padding = Literal["valid", "same"] | int | Pair


class Conv2D(Layer):
    """y[o,p] = b[o] + sum_k w[o,k] cols[k,p]; cols = im2col(x).

    Parameters
    ----------
    out_channels : int
        O, the number of output maps.
    kernel_size : int or (int, int)
        Height and width of a receptive field.
    stride : int or (int, int)
        Step between receptive fields.
    padding : {"valid", "same"}, int or (int, int)
        Zero padding. "valid" adds none; "same" adds enough for Ho = ceil(H/stride), with any extra row or column at
        the bottom or right. An int is the width on every side; a pair is (top and bottom, left and right).
    table : str or boolean ndarray (C, O), optional
        Connection table: True (or X in a string, as in `TABLE_I`) if input map c is connected to output map o. With a
        table, only connected pairs have kernels: `weight` is (connected pairs, kh, kw), ordered by output map;
        otherwise it is (O, C, kh, kw).
    init : Initializer, or its name in `initializers.INITIALIZERS`
        Initialiser of `weight`, called with the fan-in of each unit.
    bias : float
        Initial value of `bias` (O,).
    name : str

    Raises
    ------
    ConfigError
        If an argument is invalid.
    """

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: Padding = "valid",
        table: str | np.ndarray | None = None,
        init: Initializer | str = initializers.fan_in_uniform,
        bias: float = 0.0,
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.out_channels = out_channels
        self.kernel_size = pair_of(kernel_size, "kernel_size", least=1)
        self.stride = pair_of(stride, "stride", least=1)
        if isinstance(padding, str) and padding not in ("valid", "same"):
            raise ConfigError(f"padding must be 'valid', 'same', an int or a pair of ints; found {padding!r}.")
        self.padding = padding if isinstance(padding, str) else pair_of(padding, "padding", least=0)
        self.table = parse_table(table) if isinstance(table, str) else None if table is None else np.array(table, bool)
        if not isinstance(out_channels, int | np.integer):
            raise ConfigError(f"out_channels must be an int of at least 1; found {out_channels!r}.")
        if self.table is not None and (self.table.ndim != 2 or not self.table.any(axis=0).all()):
            raise ConfigError(f"table must be (C, O) and connect every output map; found shape {self.table.shape}.")
        if out_channels < 1 or (self.table is not None and self.table.shape[1] != out_channels):
            columns = "" if self.table is None else f" and match the {self.table.shape[1]} columns of its table"
            raise ConfigError(f"out_channels of Conv2D must be at least 1{columns}; found {out_channels}.")
        self.init, self.initial_bias = initializers.named(init), bias

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"Conv2D {self.name} takes maps (C, H, W); found {in_shape}.")
        channels, (kh, kw) = in_shape[0], self.kernel_size
        table = np.ones((channels, self.out_channels), bool) if self.table is None else self.table
        if table.shape[0] != channels:
            raise ShapeError(f"Conv2D {self.name}: table has {table.shape[0]} rows, but the input has {channels} maps.")
        # (o, c) of every kernel, ordered by output map; the kernels of map o are starts[o] to starts[o+1] - 1.
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
        """Return the padding (top, left) and the size (Ho, Wo) of the output maps for input maps of size (H, W)."""
        before, out = [], []
        for side, k, step, axis in zip(size, self.kernel_size, self.stride, (0, 1), strict=True):
            if self.padding == "same":
                n = -(-side // step)
                pad = max(0, (n - 1) * step + k - side) // 2
            else:
                pad = 0 if isinstance(self.padding, str) else self.padding[axis]
                n = (side + 2 * pad - k) // step + 1
            if n < 1:
                raise ShapeError(f"{self}: a map of size {size} is smaller than the kernel, {self.kernel_size}.")
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
        np.matmul(matrix, folded(self._cols), out=folded(y))
        y += self.bias.value[:, None]
        return self._done(y.reshape(len(x), self.out_channels, *out))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dw[o,k] = sum_p dy[o,p] cols[k,p]; db[o] = sum_p dy[o,p]; dx = col2im(w^T dy)."""
        self._expect(dy)
        return self._reverse(
            dy, self._matrix(self.weight.value), self._cols, self.weight.grad, self.bias.grad, to_input
        )

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Sum x^2 h over the connections of every shared weight (eq. 23); return hx = col2im((w*w)^T h)."""
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
        v = folded(vy)
        per_image = self._buffer("per_image", (len(v), *matrix.shape))
        np.matmul(v, folded(cols).transpose(0, 2, 1), out=per_image)
        total = np.sum(per_image, axis=0, out=self._buffer("total", matrix.shape))
        kernels = total.reshape(self.out_channels, self.in_shape[0], *self.kernel_size)
        weight_out[...] = kernels[self._pairs].reshape(weight_out.shape)
        np.sum(vy, axis=(0, 2), out=bias_out)
        if not to_input:
            return None
        v_cols = self._buffer("v_cols", cols.shape)
        np.matmul(matrix.T, v, out=folded(v_cols))
        vx = self._buffer("vx", self._x_shape)
        engine.col2im(v_cols, self.kernel_size, self.stride, self._before, self._out, vx)
        return vx

    def _matrix(self, weight: np.ndarray) -> np.ndarray:
        """Return the kernels as (O, K), with zeros for missing connections."""
        if self.table is None:
            return weight.reshape(self.out_channels, -1)
        dense = self._buffer("dense", (self.out_channels, self.in_shape[0], *self.kernel_size))
        dense[...] = 0
        dense[self._pairs] = weight
        return dense.reshape(self.out_channels, -1)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled layer: with im2col if strided, or as a dense layer if there is one output position."""
        before, (ho, wo) = self.geometry(self.in_shape[1:])
        (channels, _, _), (kh, kw) = self.in_shape, self.kernel_size
        padded = (channels, ho + kh - 1, wo + kw - 1)
        links = convolution.geometry_links(self.kernel_size, self.stride, before, self.starts, self.channels)
        if self.stride != (1, 1):
            room = 2 * channels * kh * kw * ho * wo * LANES
            return [Row(_strided_forward, _strided_reverse, self.out_shape, links=links, room=room)]
        rows = [] if padded == self.in_shape else [pad_row(*before, padded)]
        if (ho, wo) == (1, 1) and self.table is None:
            return [*rows, *dense_rows(int(np.prod(padded)), self.out_shape)]  # C5: each kernel covers the whole input
        room = max(convolution.room_for_planes(padded, (kh, kw)), convolution.room_for_lanes(padded, (kh, kw)))
        forward, reverse = _BY_KERNEL.get((kh, kw), (_forward, _reverse))
        return [*rows, Row(forward, reverse, self.out_shape, links=links, room=room)]

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the weight and the bias."""
        return self.weight, self.bias

    def connections(self) -> int:
        """Count the weights and bias of every output map once per output position."""
        return (self.weight.size + self.out_channels) * self.out_shape[1] * self.out_shape[2]

    def multiply_adds(self) -> int:
        """Count the weights of every output map once per output position."""
        return self.weight.size * self.out_shape[1] * self.out_shape[2]

    def window(self) -> Window:
        """Return the size, stride and padding of the receptive fields."""
        return Window(self.kernel_size, self.stride, self.geometry(self.in_shape[1:])[0])

    def operation(self) -> Operation:
        """Return the convolution as an operation for exporters, with zeros for missing kernels."""
        (top, left), out = self.geometry(self.in_shape[1:])
        down, right = (
            max(0, (n - 1) * step + k - side - before)
            for n, step, k, side, before in zip(
                out, self.stride, self.kernel_size, self.in_shape[1:], (top, left), strict=True
            )
        )
        weight = self._matrix(self.weight.value).reshape(self.out_channels, -1, *self.kernel_size).copy()
        return Convolution(weight, self.bias.value.copy(), self.stride, (top, left, down, right), self.table)

    @property
    def title(self) -> str:  # type: ignore[override]
        """Term in the paper's Fig. 2: "full connection" if kernels cover the whole input (C5), else "convolutions"."""
        one = self.out_shape[1:] == (1, 1)
        return "full\nconnection" if one else "convolutions\n" + "x".join(map(str, self.kernel_size))


@layer_function
def _forward_5x5(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_plane_5x5(call)


@_forward_5x5.side_by_side
def _forward_5x5_lanes(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_lanes_5x5(call)


@layer_function
def _reverse_5x5(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_plane_5x5_back(call)


@_reverse_5x5.side_by_side
def _reverse_5x5_lanes(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_lanes_5x5_back(call)


@layer_function
def _forward_3x3(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_plane_3x3(call)


@_forward_3x3.side_by_side
def _forward_3x3_lanes(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_lanes_3x3(call)


@layer_function
def _reverse_3x3(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_plane_3x3_back(call)


@_reverse_3x3.side_by_side
def _reverse_3x3_lanes(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_lanes_3x3_back(call)


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_plane(call)


@_forward.side_by_side
def _forward_lanes(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_lanes(call)


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_plane_back(call)


@_reverse.side_by_side
def _reverse_lanes(call, lanes):  # type: ignore[no-untyped-def]
    convolution.conv_lanes_back(call)


_BY_KERNEL = {(5, 5): (_forward_5x5, _reverse_5x5), (3, 3): (_forward_3x3, _reverse_3x3)}


@layer_function
def _strided_forward(call, lanes):  # type: ignore[no-untyped-def]
    conv_strided(call, 1)


@_strided_forward.side_by_side
def _strided_forward_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_strided(call, lanes)


@layer_function
def _strided_reverse(call, lanes):  # type: ignore[no-untyped-def]
    conv_strided_back(call, 1)


@_strided_reverse.side_by_side
def _strided_reverse_lanes(call, lanes):  # type: ignore[no-untyped-def]
    conv_strided_back(call, lanes)
