"""Quantisation to 8-bit weights and activations, with integer arithmetic up to the outputs.

An activation is scale * (q - zero) for an int8 q; a weight of output map o is scale[o] * q. Sums of products are exact
in 32 bits. A multiplier and a shift convert them to the next layer's q, or to one of the 1,024 indices of a lookup
table for a squashing function. The ranges of activations are measured on calibration images.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..layers.operation import (
    Convolution,
    Copies,
    Distances,
    Dropping,
    Flattening,
    FullConnection,
    Normalisation,
    Padding,
    Pooling,
    Squash,
)
from ..models.steps import Preparation, Step
from ..network import Sequential
from .c import SQUASHES, Source, folded
from .c_text import number
from .scales import Scale, least_scale, rounded, scale_of, shift_of
from .sparse import kernels, sparse

__all__ = ["quantised"]

_PLACES = 1024  # number of values in the table of a squashing function
_MOST = 2000  # maximum number of calibration images
# Squashing functions with a table, and the absolute input (for tanh, times the slope) beyond which they are flat.
_FAR = {"tanh": 4.0, "sigmoid": 8.0, "elu": np.inf}


class Group(NamedTuple):
    """A main step with its normalisation and activation, and the value ranges before and after the activation."""

    main: Step | None
    norm: Normalisation | None
    squash: Squash | None
    shape: tuple[int, ...]
    before: tuple[float, float]
    after: tuple[float, float]
    name: str


def quantised(net: Sequential, known: Preparation, every: list[Step], images: np.ndarray | None) -> Source:
    """Return the parts of the C file for a quantised network.

    Raises
    ------
    ConfigError
        If there are no calibration images, a value is not finite, or a layer cannot be computed in 32 bits.
    """
    if images is None or not len(images):
        raise ConfigError(
            "int8 needs training images to measure the range of activations. Call export(net, path, int8=True, "
            "images=train.images[:1000])."
        )
    levels = known.levels.astype(np.float64)
    ends = float(levels.min()), float(levels.max())
    source = Source("int8_t")
    groups = list(_groups(every, _ranges(net, images[:_MOST]), ends))
    frame, channels = known.frame, (known.shape + (1,))[2]
    at = scale_of(ends)
    table = source.array("int8_t", "grey_levels", rounded(levels, at))
    height, width = known.shape[0] + frame[0] + frame[2], known.shape[1] + frame[1] + frame[3]
    place = source.room.begin(channels * height * width)
    source.call("prepare_q", "image", f"room + {place}", channels, *known.shape[:2], *frame, table)
    writer = _Writer(source)
    for k, group in enumerate(groups):
        at = writer.add(group, at, last=k == len(groups) - 1)
    return source


def _ranges(net: Sequential, images: np.ndarray) -> list[tuple[float, float]]:
    """Return the smallest and largest output of every layer on the images."""
    found = np.array([[np.inf, -np.inf]] * len(net.sublayers()))
    twin = net.replica().eval()
    for start in range(0, len(images), 250):
        x = net.prepared(images[start : start + 250])
        for k, layer in enumerate(twin.sublayers()):
            x = layer.forward(x)
            found[k] = min(found[k, 0], float(x.min())), max(found[k, 1], float(x.max()))
    return [(low, high) for low, high in found]


def _groups(every: list[Step], ranges: list[tuple[float, float]], ends: tuple[float, float]) -> Iterator[Group]:
    """Yield groups of steps that are computed together; `ends` are the smallest and largest input values."""
    k = 0
    while k < len(every):
        step, op = every[k], every[k].operation
        if isinstance(op, Flattening | Dropping):
            k += 1
            continue
        main = None if isinstance(op, Normalisation | Squash) else step
        alone = isinstance(op, Padding | Copies | Distances) or isinstance(op, Pooling) and op.kind == "max"
        k += main is not None
        norm = squash = None
        before = ranges[k - 1] if k else ends
        if not alone:
            # Skip dropout before the normalisation or activation: it has no effect here.
            while k < len(every) and isinstance(every[k].operation, Dropping):
                k += 1
            if k < len(every) and isinstance(every[k].operation, Normalisation):
                norm, before, k = every[k].operation, ranges[k], k + 1
            if k < len(every) and isinstance(every[k].operation, Squash):
                squash, k = every[k].operation, k + 1
        yield Group(main, norm, squash, step.out_shape, before, ranges[k - 1], step.name)  # type: ignore[arg-type]


class _Writer:
    """Write the C code of groups of steps to a `Source`, in order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tables: dict[bytes, str] = {}

    def add(self, group: Group, at: Scale, *, last: bool) -> Scale:
        """Write the C code of a group whose input has the scale `at`; return the scale of its output."""
        source, main = self.source, group.main
        op: Any = None if main is None else main.operation
        if isinstance(op, Padding | Copies):
            self._moved(op, main, at)
        elif isinstance(op, Pooling) and op.kind == "max":
            shape = source.struct("pooling_q", source.name(group.name), *_windows(op, main))
            source.call("maximum_q", shape, f"room + {source.room.shrink(int(np.prod(group.shape)))}")
        elif isinstance(op, Distances):
            return self._distances(op, group, at)
        elif last and isinstance(op, FullConnection):
            return self._scores(op, group, at)
        else:
            at = self._sums(group, at)
        if last:
            size = source.room.size
            source.call("values_q", number(at.scale), at.zero, size, f"room + {source.room.first}", "out")
        return at

    def _moved(self, op: Padding | Copies, step: Any, at: Scale) -> None:
        size, room = int(np.prod(step.in_shape)), self.source.room
        x, y = room.beside(int(np.prod(step.out_shape)))
        if isinstance(op, Padding):
            self.source.call("pad_q", *step.in_shape, *op.frame, at.zero, f"room + {x}", f"room + {y}")
        else:
            maps = step.in_shape[0]
            self.source.call("copy_q", maps, op.copies, size // maps, f"room + {x}", f"room + {y}")

    def _sums(self, group: Group, at: Scale) -> Scale:
        """Write the C code that computes a group's sums (or its values, if it has no sums) and scales them to int8."""
        source, main, maps = self.source, group.main, group.shape[0]
        op: Any = None if main is None else main.operation
        name, room = source.name(group.name), source.room
        if isinstance(op, Convolution | FullConnection):
            op, scale, shift = _products(op, group, at)
        elif op is None:
            scale, shift = np.full(maps, at.scale), np.zeros(maps)
        else:
            cells = op.size**2 if op.kind == "mean" else 1
            scale = (np.ones(maps) if op.scale is None else op.scale.astype(np.float64)) * at.scale / cells
            shift = np.zeros(maps) if op.shift is None else op.shift.astype(np.float64)
        if group.norm is not None and not isinstance(op, Convolution | FullConnection):
            by, moved = folded(group.norm)
            scale, shift = scale * by, shift * by + moved
        finish, to = self._finish(name, group, scale, shift)
        if isinstance(op, Convolution | FullConnection):
            x, y = room.beside(int(np.prod(group.shape)))
            few = sparse(source, name, op, main, "int8_t")  # type: ignore[arg-type]
            if few is not None:
                source.call("convolve_sparse_q", few, finish, at.zero, f"room + {x}", f"room + {y}")
            elif isinstance(op, Convolution):
                shape = (*main.in_shape, *main.out_shape, *op.weight.shape[2:], *op.stride, *op.frame[:2])  # type: ignore[union-attr]
                struct = source.struct("convolution_q", name, *shape, *kernels(source, name, op, "int8_t"))
                source.call("convolve_q", struct, finish, at.zero, f"room + {x}", f"room + {y}")
            else:
                weights = source.array("int8_t", f"{name}_weight", op.weight, weights=True)
                sizes = op.weight.shape[::-1]
                source.call("connect_q", weights, finish, at.zero, *sizes, f"room + {x}", f"room + {y}")
        elif op is None:
            source.call("rescale_q", finish, at.zero, maps, room.size // maps, f"room + {room.first}")
        else:
            struct = source.struct("pooling_q", name, *_windows(op, main))
            source.call("pool_q", struct, finish, at.zero, f"room + {room.shrink(int(np.prod(group.shape)))}")
        return to

    def _finish(self, name: str, group: Group, scale: np.ndarray, shift: np.ndarray) -> tuple[str, Scale]:
        """Define constants that convert scale * sum + shift to int8; return a C pointer to them and the int8 scale."""
        squash, table = group.squash, "0"
        slopes: Any = 1.0  # slopes of the activation for negative inputs
        if squash is not None and squash.name in _FAR:
            low, high = _bounded(squash, group.before)
            unit = (high - low) / (_PLACES - 1)
            zero = round(-low / unit)
            to, table = self._table(squash, unit * (np.arange(_PLACES) - zero), group.after)
        else:
            to = scale_of(group.after)
            unit, zero = to.scale, to.zero
            if squash is not None:
                slopes = {"relu": 0.0, "leaky-relu": squash.numbers[:1]}.get(squash.name, squash.slopes)
        # Without this bound, the multiplier of a map with a large shift would have too few bits, or its bias too many.
        least = np.maximum(least_scale(np.abs(scale), shift), 1e-30 * unit)  # 1e-30 only avoids a division by 0
        scale = np.copysign(np.maximum(np.abs(scale), least), scale)
        above, below = scale / unit, scale / unit * np.asarray(slopes, np.float64)
        # A negative scale makes negative sums positive, so it swaps the two factors.
        factors = np.where(scale > 0, [above, below], [below, above])
        bits = shift_of(factors)
        values = zip(("multiplier", "below", "bias"), (*(factors * 2.0**bits), shift / scale), strict=True)
        if (factors[0] == factors[1]).all():
            values = zip(("multiplier", "bias"), (factors[0] * 2.0**bits, shift / scale), strict=True)
        arrays = [self._int32(f"{name}_{what}", each) for what, each in values]
        return self.source.struct("finish", f"{name}_finish", arrays[0], *arrays[-2:], table, zero, bits), to

    def _int32(self, name: str, values: np.ndarray) -> str:
        return self.source.array("int32_t", name, np.rint(np.clip(values, -(2**31), 2**31 - 1)).astype(np.int64))

    def _table(self, squash: Squash, x: np.ndarray, after: tuple[float, float]) -> tuple[Scale, str]:
        if squash.name == "tanh":
            amplitude, slope = squash.numbers
            y = amplitude * np.tanh(slope * x)
            # Make 1 an integer number of quantisation steps, so that the codes +-1 of RBF units are exact.
            to = Scale(float(1 / np.floor(127 / amplitude)) if 0.5 < amplitude <= 127 else abs(amplitude) / 127, 0)
        elif squash.name == "sigmoid":
            y, to = 1 / (1 + np.exp(-x)), Scale(1 / 255, -128)
        else:
            y, to = np.where(x > 0, x, squash.numbers[0] * np.expm1(np.minimum(x, 0))), scale_of(after)
        values = rounded(y, to)
        key = values.tobytes()
        if key not in self.tables:
            self.tables[key] = self.source.array("int8_t", f"table_{len(self.tables) + 1}", values)
        return to, self.tables[key]

    def _distances(self, op: Distances, group: Group, at: Scale) -> Scale:
        codes = np.rint(op.codes / at.scale)
        if np.abs(codes).max() > 127 or codes.shape[1] * 382**2 >= 1 << 31:  # differences of up to 255 + 127 = 382
            raise ConfigError(
                f"{group.name}: int8 cannot represent the codes, which are far outside the range of the layer's input, "
                "or too long for sums of 32 bits. Export without int8."
            )
        name = self.source.array("int8_t", f"{self.source.name(group.name)}_codes", codes, weights=True)
        classes, cells = op.codes.shape
        numbers = number(at.scale**2), at.zero, cells, classes
        self.source.call("distances_q", name, *numbers, f"room + {self.source.room.first}", "out")
        return at

    def _scores(self, op: FullConnection, group: Group, at: Scale) -> Scale:
        """Write the C code of the last fully connected layer and its activation, whose results are floats."""
        source, name = self.source, self.source.name(group.name)
        op, scale, bias = _products(op, group, at)
        units, inputs = op.weight.shape
        arrays = [
            source.array("int8_t", f"{name}_weight", op.weight, weights=True),
            source.array("float", f"{name}_scale", scale),
            source.array("float", f"{name}_bias", bias, weights=True),
        ]
        source.call("connect_last_q", *arrays, at.zero, inputs, units, f"room + {source.room.first}", "out")
        squash = group.squash
        if squash is not None and squash.slopes is not None:
            slopes = source.array("float", f"{name}_slopes", squash.slopes, weights=True)
            source.call("squash_prelu", slopes, units, 1, "out")
        elif squash is not None:
            source.call(SQUASHES[squash.name], units, *map(number, squash.numbers), "out")
        return at


def _windows(op: Pooling, step: Any) -> tuple[int, ...]:
    return (*step.in_shape, *step.out_shape[1:], op.size, op.stride)


def _products(op: Any, group: Group, at: Scale) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the operation with int8 weights, and each output's scale and shift, with the normalisation folded in."""
    by, moved = (np.ones(len(op.bias)), 0.0) if group.norm is None else folded(group.norm)
    flat = op.weight.reshape(len(op.weight), -1) * by[:, None]
    shift = op.bias * by + moved
    scale = np.abs(flat).max(axis=1) / 127 * at.scale
    scale = np.maximum(scale, least_scale(scale, shift))
    scale[scale == 0] = 1.0  # an output's scale is 0 if its weights and its shift are 0
    weight = np.rint(flat * (at.scale / scale)[:, None]).astype(np.int8).reshape(op.weight.shape)
    if np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(axis=1).max() * 255 >= 1 << 31:
        raise ConfigError(
            f"{group.name} has too many inputs for int8: its sums of products can exceed 32 bits. Export without int8."
        )
    return op._replace(weight=weight), scale, shift


def _bounded(squash: Squash, before: tuple[float, float]) -> tuple[float, float]:
    """Return the range of inputs that the table of a squashing function covers."""
    far = _FAR[squash.name] / abs(squash.numbers[1] if squash.name == "tanh" else 1.0)
    low, high = max(before[0], -far), min(before[1], far)
    if squash.name != "elu":
        low, high = -far, far  # use the same range for all layers, so that they share one table
    return (low, high) if high > low else (low - 0.5, low + 0.5)
