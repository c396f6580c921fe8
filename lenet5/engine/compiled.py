"""A network and its loss written down as a table for `kernels.program`.

The same arithmetic as the layers', with no Python between them: at one pattern per update the calls
would take longer than the sums. A network with a layer that is not in `_KINDS` simply goes through its
layers' own methods.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..layers import (
    ELU,
    RBF,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Repeat,
    ScaledTanh,
    Sigmoid,
    Subsampling,
    Tanh,
    ZeroPad2D,
)
from ..layers.activation import Activation
from ..layers.base import Shape
from ..layers.subsample import Windowed
from ..losses import MAP, MLE, Loss, SoftmaxCrossEntropy, SquaredError
from . import HAVE_NUMBA, program, room_for_planes
from .lanes import room_for_lanes

if TYPE_CHECKING:
    from ..network import Sequential

__all__ = ["Compiled", "compiled"]

_KINDS: dict[type[Layer], int] = {
    Conv2D: program.CONV,
    Dense: program.DENSE,
    Subsampling: program.SUBSAMPLE,
    AvgPool2D: program.AVERAGE,
    MaxPool2D: program.MAXIMUM,
    ScaledTanh: program.TANH,
    Tanh: program.TANH,
    Sigmoid: program.SIGMOID,
    ReLU: program.RELU,
    LeakyReLU: program.LEAKY,
    ELU: program.ELU,
    RBF: program.RBF,
    Repeat: program.REPEAT,
    ZeroPad2D: program.PAD,
}
_SQUASHES = (program.TANH, program.SIGMOID, program.RELU, program.LEAKY, program.ELU)
_LOSSES: dict[type[Loss], int] = {
    MLE: program.EQ_8,
    MAP: program.EQ_9,
    SoftmaxCrossEntropy: program.CROSS_ENTROPY,
    SquaredError: program.SQUARED,
}


def compiled(net: "Sequential", *, loss: Loss | None = None) -> "Compiled | None":
    """Return the table of a network, or None where a layer or the loss has no place in one."""
    # Of exactly these classes: a subclass may compute something else.
    known = all(type(layer) in _KINDS or type(layer) is Flatten for layer in net)
    unit_steps = all(layer.stride == (1, 1) for layer in net if isinstance(layer, Conv2D))
    return Compiled(net) if HAVE_NUMBA and known and unit_steps and (loss is None or type(loss) in _LOSSES) else None


class _Table:
    """The rows of a network, as they are written down one after the other."""

    def __init__(self, in_shape: Shape) -> None:
        self.rows: list[dict[int, int]] = []
        self.numbers: list[np.ndarray] = []
        self.links: list[np.ndarray] = []
        self.shape, self.start = in_shape, 0
        self.states = int(np.prod(in_shape))
        self.line = 1
        self.to_input = False

    def row(
        self, kind: int, out_shape: Shape, *, in_place: bool = False, numbers: np.ndarray | tuple = (0.0, 0.0)
    ) -> dict:
        """Add a row from the present shape to `out_shape`, and return it."""
        size = int(np.prod(out_shape))
        row = dict.fromkeys(program.COLUMNS, 0) | {program.KIND: kind, program.TO_INPUT: int(self.to_input)}
        row |= {program.X: self.start, program.X_SIZE: int(np.prod(self.shape)), program.Y_SIZE: size}
        row |= dict(zip((program.C, program.H, program.W), _maps(self.shape), strict=True))
        row |= dict(zip((program.OUT, program.HO, program.WO), _maps(out_shape), strict=True))
        if not in_place:
            self.start, self.states = self.states, self.states + size
        row[program.Y] = self.start
        row[program.NUMBERS] = sum(part.size for part in self.numbers)
        self.numbers.append(np.ravel(numbers))
        self.shape = out_shape
        self.rows.append(row)
        return row

    def add(self, layer: Layer, first_parameter: int) -> None:
        """Add the rows of a layer whose parameters begin there."""
        if isinstance(layer, Flatten):
            self.shape = layer.out_shape
            return
        if isinstance(layer, Conv2D):
            row = self._conv(layer)
        elif isinstance(layer, ZeroPad2D):
            row = self._pad(layer.frame[0], layer.frame[2], layer.out_shape)
        elif isinstance(layer, Windowed):
            row = self.row(_KINDS[type(layer)], layer.out_shape, numbers=(1.0 / layer.size**2, 0.0))
            row |= {program.KERNEL_H: layer.size, program.KERNEL_W: layer.size, program.STRIDE: layer.stride}
            if not isinstance(layer, AvgPool2D):  # the sums, or which cell was chosen
                row[program.EXTRA], self.states = self.states, self.states + row[program.Y_SIZE]
        elif isinstance(layer, Activation):
            # In place, unless what is before it needs its output again: a squash does, to know its slope.
            in_place = bool(self.rows) and self.rows[-1][program.KIND] not in _SQUASHES
            numbers = (0.0, 0.0)
            if isinstance(layer, ScaledTanh):
                numbers = (layer.amplitude, layer.slope)
            elif isinstance(layer, LeakyReLU | ELU):
                numbers = (layer.alpha, 0.0)
            row = self.row(_KINDS[type(layer)], layer.out_shape, in_place=in_place, numbers=numbers)
        else:
            row = self.row(
                _KINDS[type(layer)],
                layer.out_shape,
                numbers=layer.codes if isinstance(layer, RBF) else (0.0, 0.0),
            )
        if row[program.KIND] == program.DENSE:
            self.line = max(self.line, row[program.X_SIZE] * program.LANES)
        row |= {program.P: first_parameter, program.P_SIZE: sum(p.size for p in layer.parameters())}
        self.to_input |= bool(layer.parameters())

    def _pad(self, top: int, left: int, out_shape: Shape) -> dict:
        row = self.row(program.PAD, out_shape)
        row |= {program.KERNEL_H: top, program.KERNEL_W: left}
        return row

    def _conv(self, layer: Conv2D) -> dict:
        (top, left), (ho, wo) = layer.geometry(layer.in_shape[1:])
        kh, kw = layer.kernel_size
        padded = (layer.in_shape[0], ho + kh - 1, wo + kw - 1)
        if padded != layer.in_shape:
            self._pad(top, left, padded)
        if (ho, wo) == (1, 1) and layer.table is None:
            return self.row(program.DENSE, layer.out_shape)  # C5: each kernel covers its input whole
        row = self.row(program.CONV, layer.out_shape)
        row |= {program.KERNEL_H: kh, program.KERNEL_W: kw, program.LINKS: sum(part.size for part in self.links)}
        self.links += [layer.starts, layer.channels]
        self.line = max(self.line, room_for_planes(padded, (kh, kw)), room_for_lanes(padded, (kh, kw)))
        return row


class Compiled:
    """One network with a workspace of its own; the parameters are the network's.

    Parameters
    ----------
    net : Sequential
        Built, of layers that `compiled` accepts.

    Attributes
    ----------
    table, links, numbers, room : ndarray
        What `kernels.program` reads, and its room to work in.
    """

    def __init__(self, net: "Sequential") -> None:
        self._net = net
        table = _Table(net.in_shape)
        offsets = {name: part.start for name, part in net.parameters().slices().items()}
        for layer in net:
            table.add(layer, offsets[layer.parameters()[0].name] if layer.parameters() else 0)
        self.table = np.array([[row[column] for column in program.COLUMNS] for row in table.rows], dtype=np.int64)
        self.links = np.concatenate([*table.links, np.zeros(1, np.int64)])
        self.numbers = np.concatenate(table.numbers).astype(net.dtype)
        size = max(table.states * program.LANES + program.VECTOR, table.line)
        self.room = _aligned(len(program.ROOMS), size, net.dtype)
        self._classes = int(np.prod(net.out_shape))
        self._grad = np.zeros_like(net.theta)
        self._squared = np.empty_like(net.theta)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (N, classes) for prepared x (N, *in_shape)."""
        y = np.empty((len(x), self._classes), self._net.dtype)
        program.forward(self.table, self.links, self.numbers, self._net.theta, self.room, _flat(x), y, _lanes(len(x)))
        return y

    def gradient(self, x: np.ndarray, labels: np.ndarray, loss: Loss, n: int, out: np.ndarray) -> tuple[float, int]:
        """Write these patterns' part of the gradient of the mean loss of n to `out` (parameters,).

        Returns
        -------
        loss : float
            Sum over the patterns.
        errors : int
        """
        return self._learn(program.GRADIENT, x, labels, loss, n, grad=out)

    def curvature(self, x: np.ndarray, labels: np.ndarray, loss: Loss, n: int, out: np.ndarray) -> tuple[float, int]:
        """Write their part of the Gauss-Newton diagonal of that mean to `out`; return as `gradient` does."""
        return self._learn(program.CURVATURE, x, labels, loss, n, grad=out)

    def evaluate(self, x: np.ndarray, labels: np.ndarray, loss: Loss) -> tuple[float, int]:
        """Return the sum of the loss, and the errors."""
        return self._learn(program.EVALUATE, x, labels, loss, len(x))

    def step(self, x: np.ndarray, labels: np.ndarray, loss: Loss, rates: np.ndarray, total: float) -> tuple[float, int]:
        """Move every parameter by its rate after each pattern; return total plus the losses, and the errors."""
        return self._learn(program.STEP, x, labels, loss, 1, rates=rates, total=total)

    def _learn(
        self,
        mode: int,
        x: np.ndarray,
        labels: np.ndarray,
        loss: Loss,
        n: int,
        *,
        grad: np.ndarray | None = None,
        rates: np.ndarray | None = None,
        total: float = 0.0,
    ) -> tuple[float, int]:
        number, theta, grad = self._net.dtype.type, self._net.theta, self._grad if grad is None else grad
        squared = np.square(theta, out=self._squared) if mode == program.CURVATURE else theta
        total, errors = program.learn(
            mode, self.table, self.links, self.numbers, theta, squared, self.room, _flat(x),
            labels.astype(np.int64), _LOSSES[type(loss)], number(loss.constant), number(loss.scale / n),
            grad, grad if rates is None else rates, total, 1 if mode == program.STEP else _lanes(len(x)),
        )  # fmt: skip
        return total * n, errors


def _aligned(rows: int, size: int, dtype: np.typing.DTypeLike) -> np.ndarray:
    """Return zeros (rows, size or a little more): every row begins at a cache line, so no vector lies across two."""
    in_line = 64 // np.dtype(dtype).itemsize
    size += -size % in_line
    room = np.zeros(rows * size + in_line, dtype)
    first = -room.ctypes.data % 64 // np.dtype(dtype).itemsize
    return room[first : first + rows * size].reshape(rows, size)


def _lanes(n: int) -> int:
    """Return how many patterns to lay side by side: not so many that most sums would be taken in vain."""
    return program.LANES if n > program.LANES // 2 else 1


def _flat(x: np.ndarray) -> np.ndarray:
    """(N, ...) as (N, D), such as one compiled signature takes: contiguous and writable."""
    x = x.reshape(len(x), -1)
    flags = x.flags
    return x if flags.c_contiguous and flags.writeable else x.copy()


def _maps(shape: Shape) -> Shape:
    """A vector as maps of one cell."""
    return shape if len(shape) == 3 else (*shape, 1, 1)
