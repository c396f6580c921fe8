"""Convolution, fully connected between maps or by a connection table such as the paper's Table I."""

from typing import Literal

import numpy as np

from .. import init as initializers
from .. import kernels
from ..errors import ConfigError, ShapeError
from ..init import Initializer
from ..parameter import Parameter
from .base import Layer, Shape

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
        Draws `weight`; its fan-in is that of each unit. `bias` (O,) starts at 0.
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
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size, "kernel_size", least=1)
        self.stride = _pair(stride, "stride", least=1)
        if isinstance(padding, str) and padding not in ("valid", "same"):
            raise ConfigError(f"padding is 'valid', 'same', an int or a pair of ints; found {padding!r}.")
        self.padding = padding if isinstance(padding, str) else _pair(padding, "padding", least=0)
        self.table = parse_table(table) if isinstance(table, str) else table
        if out_channels < 1 or (self.table is not None and self.table.shape[1] != out_channels):
            columns = "" if self.table is None else f"; its table has {self.table.shape[1]} columns"
            raise ConfigError(f"Conv2D needs at least one output map; found out_channels={out_channels}{columns}.")
        self.init = init

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"Conv2D {self.name} takes maps (C, H, W); found {in_shape}.")
        channels, (kh, kw) = in_shape[0], self.kernel_size
        table = np.ones((channels, self.out_channels), bool) if self.table is None else self.table
        if table.shape[0] != channels:
            raise ShapeError(f"Conv2D {self.name}: its table has {table.shape[0]} rows; x has {channels} maps.")
        # (o, c) of every kernel, map by map.
        self._pairs = np.nonzero(table.T)
        fan_in = table.sum(axis=0) * kh * kw
        fan_out = int(table.sum(axis=1).max()) * kh * kw
        drawn = [self.init((int(f) // (kh * kw), kh, kw), int(f), fan_out, rng) for f in fan_in if f]
        shape = (-1, kh, kw) if self.table is not None else (self.out_channels, channels, kh, kw)
        weight = np.concatenate(drawn).reshape(shape)
        self.weight = Parameter("weight", weight.astype(self.dtype))
        self.bias = Parameter("bias", np.zeros(self.out_channels, self.dtype))
        self._dense = np.zeros((self.out_channels, channels, kh, kw), self.dtype)
        return (self.out_channels, *self._geometry(in_shape)[1])

    def _geometry(self, in_shape: Shape) -> tuple[Pair, Pair]:
        """Return the zeros put above and left of x, and the size of y's maps."""
        before, out = [], []
        for size, k, step, axis in zip(in_shape[1:], self.kernel_size, self.stride, (0, 1), strict=True):
            if self.padding == "same":
                n = -(-size // step)
                pad = max(0, (n - 1) * step + k - size) // 2
            else:
                pad = 0 if isinstance(self.padding, str) else self.padding[axis]
                n = (size + 2 * pad - k) // step + 1
            if n < 1:
                raise ShapeError(f"{self}: a map of {in_shape[1:]} is smaller than the kernel {self.kernel_size}.")
            before.append(pad)
            out.append(n)
        return (before[0], before[1]), (out[0], out[1])

    def _weight_matrix(self) -> np.ndarray:
        """Return w as (O, K), with zeros where the table connects nothing."""
        if self.table is None:
            return self.weight.value.reshape(self.out_channels, -1)
        self._dense[self._pairs] = self.weight.value
        return self._dense.reshape(self.out_channels, -1)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, O, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        before, out = self._geometry(x.shape[1:])
        w = self._weight_matrix()
        n, positions = len(x), out[0] * out[1]
        self._cols = self._buffer("cols", (n, w.shape[1], positions))
        kernels.im2col(x, self.kernel_size, self.stride, before, out, self._cols)
        y = self._buffer("y", (n, self.out_channels, positions))
        np.matmul(w, _folded(self._cols), out=_folded(y))
        y += self.bias.value[:, None]
        self._x_shape, self._before, self._out = x.shape, before, out
        return y.reshape(n, self.out_channels, *out)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dw[o,k] = sum_p dy[o,p] cols[k,p]; db[o] = sum_p dy[o,p]; dx = col2im(w^T dy)."""
        w, cols = self._weight_matrix(), self._cached("_cols")
        return self._reverse(dy, w, cols, self.weight.grad, self.bias.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Eq. 23: h of a shared weight is the sum over its connections of x^2 h; hx = col2im((w*w)^T h)."""
        w, cols = self._weight_matrix(), self._cached("_cols")
        squares = np.square(cols, out=self._buffer("cols_squared", cols.shape))
        return self._reverse(hy, w * w, squares, self.weight.hess, self.bias.hess, to_input)

    def _reverse(
        self,
        vy: np.ndarray,
        w: np.ndarray,
        cols: np.ndarray,
        weight_out: np.ndarray,
        bias_out: np.ndarray,
        to_input: bool,
    ) -> np.ndarray | None:
        vy = vy.reshape(len(cols), self.out_channels, cols.shape[2])
        folded_vy, folded_cols = _folded(vy), _folded(cols)
        per_image = self._buffer("per_image", (len(folded_vy), *w.shape))
        np.matmul(folded_vy, folded_cols.transpose(0, 2, 1), out=per_image)
        if self.table is None:
            np.sum(per_image, axis=0, out=weight_out.reshape(w.shape))
        else:
            total = np.sum(per_image, axis=0, out=self._buffer("total", w.shape))
            weight_out[...] = total.reshape(self._dense.shape)[self._pairs]
        np.sum(vy, axis=(0, 2), out=bias_out)
        if not to_input:
            return None
        v_cols = self._buffer("v_cols", cols.shape)
        np.matmul(w.T, folded_vy, out=_folded(v_cols))
        vx = self._buffer("vx", self._x_shape)
        kernels.col2im(v_cols, self.kernel_size, self.stride, self._before, self._out, vx)
        return vx

    def parameters(self) -> tuple[Parameter, ...]:
        """Return weight and bias."""
        return self.weight, self.bias

    def connections(self) -> int:
        """Every output position has the weights and the bias of its map."""
        return (self.weight.size + self.out_channels) * self.out_shape[1] * self.out_shape[2]


def _folded(a: np.ndarray) -> np.ndarray:
    """View (N, D, P) as (1, D, N) where there is one position (C5): one product instead of N thin ones."""
    return a.transpose(2, 1, 0) if a.shape[2] == 1 else a


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
    pair = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ConfigError(f"{what} is an int of at least {least} or a pair of them; found {value!r}.")
    return int(pair[0]), int(pair[1])
