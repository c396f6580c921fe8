"""A network and its loss written down as a table for `kernels.program`.

The same arithmetic as the layers', with no Python between them: at one pattern per update the calls
would take longer than the sums. A network with a layer that is not in `_KINDS` simply goes through its
layers' own methods.
"""

from typing import TYPE_CHECKING

import numpy as np

from .kernels import HAVE_NUMBA, program
from .layers import (
    RBF,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Subsampling,
    Tanh,
)
from .layers.activation import Activation
from .layers.subsample import Windowed
from .losses import MAP, MLE, Loss, SoftmaxCrossEntropy

if TYPE_CHECKING:
    from .network import Sequential

__all__ = ["LANES", "Compiled", "compiled"]

# Most patterns side by side; a multiple of 4.
LANES = 32

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
    RBF: program.RBF,
}
_SQUASHES = (program.TANH, program.SIGMOID, program.RELU)
_LOSSES: dict[type[Loss], int] = {
    MLE: program.EQ_8,
    MAP: program.EQ_9,
    SoftmaxCrossEntropy: program.CROSS_ENTROPY,
}


def compiled(net: "Sequential", *, loss: Loss | None = None) -> "Compiled | None":
    """Return the table of a network, or None where a layer or the loss has no place in one."""
    # Of exactly these classes: a subclass may compute something else.
    known = all(type(layer) in _KINDS or type(layer) is Flatten for layer in net)
    plain = all(layer.plain for layer in net if type(layer) is Conv2D)
    return Compiled(net) if HAVE_NUMBA and known and plain and (loss is None or type(loss) in _LOSSES) else None


class Compiled:
    """One network with a workspace for one pattern at a time; its parameters are the network's own.

    Parameters
    ----------
    net : Sequential
        Built, of layers that `compiled` accepts.

    Attributes
    ----------
    grad : ndarray (parameters,)
        What `gradient` or `curvature` has found.
    """

    def __init__(self, net: "Sequential") -> None:
        self._net, dtype = net, net.dtype.type
        rows: list[list[int]] = []
        numbers: list[tuple[float, float]] = []
        links: list[np.ndarray] = []
        codes: list[np.ndarray] = []
        size = int(np.prod(net.in_shape))
        start, states, choices, line = 0, size, 0, 1
        offsets = {name: part.start for name, part in net.parameters().slices().items()}
        for layer in net:
            if isinstance(layer, Flatten):
                continue
            row = dict.fromkeys(program.COLUMNS, 0)
            row |= {program.KIND: _KINDS[type(layer)], program.X: start, program.X_SIZE: size}
            size = int(np.prod(layer.out_shape))
            row |= {program.Y: states, program.Y_SIZE: size}
            # In place, unless what is before it needs its output again: a squash does, to know its slope.
            if isinstance(layer, Activation) and rows and rows[-1][program.KIND] not in _SQUASHES:
                row[program.Y] = start
            else:
                start, states = states, states + size
            row |= dict(zip((program.C, program.H, program.W), _maps(layer.in_shape), strict=True))
            row |= dict(zip((program.OUT, program.HO, program.WO), _maps(layer.out_shape), strict=True))
            parameters = layer.parameters()
            if parameters:
                row |= {program.P: offsets[parameters[0].name], program.P_SIZE: sum(p.size for p in parameters)}
            number = (0.0, 0.0)
            if isinstance(layer, ScaledTanh):
                number = (layer.amplitude, layer.slope)
            elif isinstance(layer, RBF):
                row[program.EXTRA] = sum(c.size for c in codes)
                codes.append(layer.codes.ravel())
            elif isinstance(layer, Windowed):
                row |= {program.KERNEL_W: layer.size, program.STRIDE: layer.stride}
                number = (1.0 / layer.size**2, 0.0)
                if isinstance(layer, Subsampling):
                    row[program.EXTRA], states = states, states + size
                elif isinstance(layer, MaxPool2D):
                    row[program.EXTRA], choices = choices, choices + size
            elif isinstance(layer, Conv2D):
                if layer.out_shape[1:] == (1, 1) and layer.table is None:
                    row[program.KIND] = program.DENSE  # C5: each kernel covers its input whole
                else:
                    kh, kw = layer.kernel_size
                    row |= {program.KERNEL_H: kh, program.KERNEL_W: kw, program.LINKS: sum(part.size for part in links)}
                    links += [layer.starts, layer.channels]
                    line = max(line, layer.in_shape[1] * layer.in_shape[2] + 3 * kw)
            if row[program.KIND] == program.DENSE:
                line = max(line, row[program.X_SIZE])
            rows.append([row[column] for column in program.COLUMNS])
            numbers.append(number)
        self._table = np.array(rows, dtype=np.int64)
        self._numbers = np.array(numbers, dtype=dtype)
        self._links = np.concatenate([*links, np.zeros(1, np.int64)])
        self._codes = np.concatenate([*codes, np.zeros(1)]).astype(dtype)
        self._states, self._squares, self._derivatives = (_aligned(states * LANES, dtype) for _ in range(3))
        self._choices, self._line = np.zeros(max(choices, 1) * LANES, np.int32), _aligned(line * LANES, dtype)
        self.grad = np.zeros_like(net.theta)
        self._squared = np.empty_like(net.theta)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (N, classes) for prepared x (N, *in_shape)."""
        y = np.empty((len(x), int(np.prod(self._net.out_shape))), self._net.dtype)
        program.forward(
            self._table, self._numbers, self._links, self._codes, self._net.theta, self._states, self._choices,
            self._line, _flat(x), y, _lanes(len(x)),
        )  # fmt: skip
        return y

    def gradient(self, x: np.ndarray, labels: np.ndarray, loss: Loss) -> tuple[float, int]:
        """Set `grad` to that of the mean loss of the batch; return the sum of the loss, and the errors."""
        return self._learn(program.GRADIENT, x, labels, loss)

    def curvature(self, x: np.ndarray, labels: np.ndarray, loss: Loss) -> tuple[float, int]:
        """Set `grad` to the Gauss-Newton diagonal of the mean loss; return as `gradient` does."""
        return self._learn(program.CURVATURE, x, labels, loss)

    def step(self, x: np.ndarray, labels: np.ndarray, loss: Loss, rates: np.ndarray, total: float) -> tuple[float, int]:
        """Move every parameter by its rate after each pattern; return total plus the losses, and the errors."""
        return self._learn(program.STEP, x, labels, loss, rates, total)

    def _learn(
        self,
        mode: int,
        x: np.ndarray,
        labels: np.ndarray,
        loss: Loss,
        rates: np.ndarray | None = None,
        total: float = 0.0,
    ) -> tuple[float, int]:
        number, theta, n = self._net.dtype.type, self._net.theta, 1 if mode == program.STEP else len(x)
        squared = np.square(theta, out=self._squared) if mode == program.CURVATURE else theta
        total, errors = program.learn(
            mode, self._table, self._numbers, self._links, self._codes, theta, squared, self._states, self._squares,
            self._choices, self._derivatives, self._line, _flat(x), labels.astype(np.int64), _LOSSES[type(loss)],
            number(getattr(loss, "j", 0.0)), number(loss.scale / n), self.grad,
            self.grad if rates is None else rates, total, 1 if mode == program.STEP else _lanes(n),
        )  # fmt: skip
        return total * n, errors


def _aligned(size: int, dtype: np.typing.DTypeLike) -> np.ndarray:
    """Return zeros that begin at a cache line, so that no vector of lanes lies across two."""
    item = np.dtype(dtype).itemsize
    room = np.zeros(size + 64 // item, dtype)
    first = -room.ctypes.data % 64 // item
    return room[first : first + size]


def _lanes(n: int) -> int:
    """Return how many patterns to lay side by side: not so many that most sums would be taken in vain."""
    return LANES if n >= LANES else LANES // 2 if n >= LANES // 2 else 1


def _flat(x: np.ndarray) -> np.ndarray:
    """(N, ...) as (N, D), such as one compiled signature takes: contiguous and writable."""
    x = np.ascontiguousarray(x.reshape(len(x), -1))
    return x if x.flags.writeable else x.copy()


def _maps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A vector as maps of one cell."""
    return shape if len(shape) == 3 else (*shape, 1, 1)
