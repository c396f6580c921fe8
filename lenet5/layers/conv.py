"""Convolution, fully connected between maps or by a connection table such as the paper's Table I."""

from typing import Literal

import numpy as np

from .. import initializers
from ..errors import ConfigError, ShapeError
from ..initializers import Initializer
from ..parameter import Parameter
from .base import Layer, Shape
from .correlate import Direct, Im2col

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
        maps, inputs = np.nonzero(table.T)
        self.channels = inputs.astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(table.sum(axis=0))]).astype(np.int64)
        fan_in = table.sum(axis=0) * kh * kw
        fan_out = int(table.sum(axis=1).max()) * kh * kw
        drawn = [self.init((int(f) // (kh * kw), kh, kw), int(f), fan_out, rng) for f in fan_in if f]
        shape = (-1, kh, kw) if self.table is not None else (self.out_channels, channels, kh, kw)
        weight = np.concatenate(drawn).reshape(shape)
        self.weight = Parameter("weight", weight.astype(self.dtype))
        self.bias = Parameter("bias", np.full(self.out_channels, self.initial_bias, self.dtype))
        _, out = self.geometry(in_shape[1:])
        # One position, as in C5, is a product of matrices.
        self._algorithm: Direct | Im2col = (
            Direct(self.starts, self.channels, self._buffer)
            if self.plain and out != (1, 1)
            else Im2col((maps, inputs), channels, self.stride, self._buffer)
        )
        return (self.out_channels, *out)

    @property
    def plain(self) -> bool:
        """Whether there is neither stride nor padding."""
        return self.stride == (1, 1) and self.padding in ("valid", (0, 0))

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
        return self._done(self._algorithm.forward(x, self._kernels(self.weight.value), self.bias.value, before, out))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dw[o,k] = sum_p dy[o,p] cols[k,p]; db[o] = sum_p dy[o,p]; dx = col2im(w^T dy)."""
        self._expect(dy)
        w, w_out = self._kernels(self.weight.value), self._kernels(self.weight.grad)
        return self._algorithm.reverse(dy, w, w_out, self.bias.grad, squared=False, to_input=to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Eq. 23: h of a shared weight is the sum over its connections of x^2 h; hx = col2im((w*w)^T h)."""
        self._expect(hy)
        w, w_out = self._kernels(self.weight.value), self._kernels(self.weight.hess)
        return self._algorithm.reverse(hy, w * w, w_out, self.bias.hess, squared=True, to_input=to_input)

    def _kernels(self, weight: np.ndarray) -> np.ndarray:
        """View weights as (M, kh, kw), map by map."""
        return weight.reshape(-1, *self.kernel_size)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return weight and bias."""
        return self.weight, self.bias

    def connections(self) -> int:
        """Every output position has the weights and the bias of its map."""
        return (self.weight.size + self.out_channels) * self.out_shape[1] * self.out_shape[2]


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


def _pair(value: int | Pair, what: str, *, least: int) -> Pair:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ConfigError(f"{what} is an int of at least {least} or a pair of them; found {value!r}.")
    return int(pair[0]), int(pair[1])
