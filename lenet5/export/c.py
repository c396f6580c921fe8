"""Export to a self-contained C99 file that needs only math.h and uses no malloc."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write
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
from ..models.steps import Preparation, Step, preparation, steps
from ..network import Sequential
from .c_text import Room, array, check_finite, functions, identifier, number, remark, text
from .sparse import kernels, sparse

__all__ = ["SQUASHES", "Source", "folded", "write"]

# Suffixes of the names of a layer's arrays.
_SUFFIXES = (
    "", "_weight", "_bias", "_starts", "_inputs", "_scale", "_shift", "_codes", "_slopes", "_finish", "_multiplier",
    "_below",
)  # fmt: skip

# C functions of the activations that need no arrays, by their names in `Squash`.
SQUASHES = {
    "tanh": "squash_tanh",
    "sigmoid": "squash_sigmoid",
    "relu": "squash_relu",
    "leaky-relu": "squash_leaky_relu",
    "elu": "squash_elu",
}


def write(
    net: Sequential,
    path: str | os.PathLike[str],
    *,
    int8: bool = False,
    images: np.ndarray | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a network as C99 source: ``int predict(const uint8_t image[784], float out[10])``.

    The function prepares the image, writes the same outputs as `Sequential.outputs` to `out`, and returns the index of
    the class. A comment at the top states the size of the constants and of the RAM needed, in bytes. Zero weights
    (kernels that are missing in Table I, and pruned weights) are omitted if that makes the constants smaller.

    Parameters
    ----------
    net : Sequential
        Network for uint8 images. A float64 network is converted to float32.
    path : path-like
        File to write: .c, or .h for a header with static functions. An existing file is replaced atomically.
    int8 : bool
        Whether to quantise weights and activations to 8 bits; see `lenet5.export.int8`.
    images : ndarray of uint8 (N, H, W) or (N, H, W, C), optional
        Training images for calibrating the activations of `int8`.
    notes : mapping of str to str, optional
        Notes to write to the comment at the top.

    Raises
    ------
    ConfigError
        If a layer or the preparation cannot be exported, a value is not finite, or `int8` is given without images.
    """
    known, every = preparation(net), steps(net)
    check_finite(every)
    if int8:
        from .int8 import quantised

        source = quantised(net, known, every, images)
    else:
        source = _floats(known, every)
    with atomic_write(path, text=True) as file:
        file.write(_file(net, known, source, Path(path), dict(notes or {})))


class Source:
    """Parts of a C file under construction.

    Attributes
    ----------
    constants, calls : list of str
        Definitions of constant arrays and structs, and the statements of the C function `predict`.
    used : set of str
        Names of the functions and types that are needed from functions.c.
    bytes : int
        Size of the constants.
    room : Room
        Buffer for the activations, in elements of type `kind`.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.cell = kind, 4 if kind == "float" else 1
        self.constants: list[str] = []
        self.calls: list[str] = []
        self.used: set[str] = set()
        self.bytes = 0
        self.weights = 0
        self.room = Room()
        self.names: set[str] = set()

    def name(self, layer: str) -> str:
        """Return a unique C name for a layer."""
        base = name = identifier(layer)
        k = 2
        while not self.names.isdisjoint(name + suffix for suffix in _SUFFIXES):
            name, k = f"{base}_{k}", k + 1
        self.names |= {name + suffix for suffix in _SUFFIXES}
        return name

    def array(self, kind: str, name: str, values: Any, *, weights: bool = False) -> str:
        """Define a constant array; return its name."""
        flat = np.ravel(values)
        self.constants.append(array(kind, name, flat.tolist()))
        size = flat.size * {"float": 4, "int32_t": 4, "uint16_t": 2, "int8_t": 1, "uint8_t": 1}[kind]
        self.bytes += size
        self.weights += size * weights
        return name

    def struct(self, kind: str, name: str, *fields: object) -> str:
        """Define a constant struct with a layer's sizes and pointers; return a pointer to it."""
        self.used.add(kind)
        self.constants.append(f"static const {kind} {name} = {{{', '.join(map(str, fields))}}};\n")
        return f"&{name}"

    def call(self, function: str, *arguments: object) -> None:
        """Add a function call to the statements of `predict`."""
        self.used.add(function)
        self.calls.append(f"    {function}({', '.join(map(str, arguments))});")


def folded(op: Normalisation) -> tuple[np.ndarray, np.ndarray]:
    """Return a normalisation as a scale and a shift per map or feature, float64 (C,)."""
    scale = op.weight.astype(np.float64) / np.sqrt(op.variance.astype(np.float64) + op.epsilon)
    return scale, op.bias - scale * op.mean


def _floats(known: Preparation, every: list[Step]) -> Source:
    source = Source("float")
    frame, channels = known.frame, (known.shape + (1,))[2]
    height, width = known.shape[0] + frame[0] + frame[2], known.shape[1] + frame[1] + frame[3]
    step = (float(known.levels[255]) - float(known.levels[0])) / 255
    place = source.room.begin(channels * height * width)
    sizes = (channels, known.shape[0], known.shape[1], *frame)
    source.call("prepare", "image", f"room + {place}", *sizes, number(known.levels[0]), number(step))
    for each in every:
        _EMIT[type(each.operation)](each.operation, each, source)
    return source


def _convolution(op: Convolution, step: Step, source: Source) -> None:
    name = source.name(step.name)
    bias = source.array("float", f"{name}_bias", op.bias, weights=True)
    x, y = source.room.beside(int(np.prod(step.out_shape)))
    few = sparse(source, name, op, step, "float", bias)
    if few is None:
        shape = (*step.in_shape, *step.out_shape, *op.weight.shape[2:], *op.stride, *op.frame[:2])
        struct = source.struct("convolution", name, *shape, *kernels(source, name, op, "float"), bias)
        source.call("convolve", struct, f"room + {x}", f"room + {y}")
    else:
        source.call("convolve_sparse", few, f"room + {x}", f"room + {y}")


def _pooling(op: Pooling, step: Step, source: Source) -> None:
    name, maps = source.name(step.name), step.in_shape[0]
    scale = np.ones(maps) if op.scale is None else op.scale.astype(np.float64)
    scale = scale / op.size**2 if op.kind == "mean" else scale
    shift = np.zeros(maps) if op.shift is None else op.shift
    pointers = [
        source.array("float", f"{name}_scale", scale, weights=True),
        source.array("float", f"{name}_shift", shift, weights=True),
    ]
    shape = (*step.in_shape, *step.out_shape[1:], op.size, op.stride, int(op.kind == "max"))
    struct = source.struct("pooling", name, *shape, *pointers)
    source.call("pool", struct, f"room + {source.room.shrink(int(np.prod(step.out_shape)))}")


def _full_connection(op: FullConnection, step: Step, source: Source) -> None:
    name = source.name(step.name)
    bias = source.array("float", f"{name}_bias", op.bias, weights=True)
    x, y = source.room.beside(len(op.bias))
    few = sparse(source, name, op, step, "float", bias)
    if few is None:
        weight, (units, inputs) = source.array("float", f"{name}_weight", op.weight, weights=True), op.weight.shape
        source.call("connect", weight, bias, inputs, units, f"room + {x}", f"room + {y}")
    else:
        source.call("convolve_sparse", few, f"room + {x}", f"room + {y}")


def _distances(op: Distances, step: Step, source: Source) -> None:
    codes = source.array("float", f"{source.name(step.name)}_codes", op.codes, weights=True)
    x, y = source.room.beside(len(op.codes))
    source.call("distances", codes, op.codes.shape[1], len(op.codes), f"room + {x}", f"room + {y}")


def _normalisation(op: Normalisation, step: Step, source: Source) -> None:
    name, maps = source.name(step.name), step.in_shape[0]
    arrays = zip(("scale", "shift"), folded(op), strict=True)
    scale, shift = (source.array("float", f"{name}_{what}", values, weights=True) for what, values in arrays)
    source.call("normalise", scale, shift, maps, source.room.size // maps, f"room + {source.room.first}")


def _squash(op: Squash, step: Step, source: Source) -> None:
    maps, place = step.in_shape[0], f"room + {source.room.first}"
    if op.slopes is not None:
        slopes = source.array("float", f"{source.name(step.name)}_slopes", op.slopes, weights=True)
        source.call("squash_prelu", slopes, maps, source.room.size // maps, place)
    else:
        source.call(SQUASHES[op.name], source.room.size, *map(number, op.numbers), place)


def _padding(op: Padding, step: Step, source: Source) -> None:
    x, y = source.room.beside(int(np.prod(step.out_shape)))
    source.call("pad", *step.in_shape, *op.frame, f"room + {x}", f"room + {y}")


def _copies(op: Copies, step: Step, source: Source) -> None:
    size = source.room.size // step.in_shape[0]
    x, y = source.room.beside(int(np.prod(step.out_shape)))
    source.call("copy", step.in_shape[0], op.copies, size, f"room + {x}", f"room + {y}")


def _nothing(op: Flattening | Dropping, step: Step, source: Source) -> None:
    """Write nothing, because the memory order does not change."""


_EMIT: dict[type, Callable[[Any, Step, Source], None]] = {
    Convolution: _convolution,
    Pooling: _pooling,
    FullConnection: _full_connection,
    Distances: _distances,
    Normalisation: _normalisation,
    Squash: _squash,
    Padding: _padding,
    Copies: _copies,
    Flattening: _nothing,
    Dropping: _nothing,
}


def _file(net: Sequential, known: Preparation, source: Source, path: Path, notes: dict[str, str]) -> str:
    """Return the content of the C file."""
    header, classes = path.suffix.lower() == ".h", int(np.prod(net.out_shape))
    pixels, ram = int(np.prod(known.shape)), source.room.needed * source.cell
    kind, wins = ("penalties", "smallest") if net.outputs_penalties else ("scores", "largest")
    layout = "rows from the top" if len(known.shape) == 2 else "rows from the top, channels interleaved"
    precision = "float32" if source.kind == "float" else "8-bit weights and activations"
    comment = [
        f"{(net.spec or {}).get('name', 'network')} in {precision}, written by lenet5.",
        "",
        f"int predict(const uint8_t image[{pixels}], float out[{classes}]) returns the index of an image's class in",
        f"lenet5_classes, and writes the {kind} of all classes to out; the {wins} one wins. An image is",
        f"{' x '.join(map(str, known.shape))} pixels from 0 to 255 ({layout}).",
        "",
        f"constants    {source.bytes:,} bytes, {source.weights:,} of them for {net.theta.size:,} parameters",
        f"activations  {ram:,} bytes of static RAM, so predict is not re-entrant",
        f"MACs         {sum(layer.multiply_adds() for layer in net.sublayers()):,} multiply-adds per image",
        *(f"{name:<12} {value}" for name, value in notes.items()),
    ]
    names = ", ".join(map(text, net.classes.tolist()))
    types, code = functions(source.used)
    static = "static " if header else ""
    guard = re.sub(r"\W", "_", path.name.upper(), flags=re.ASCII)
    guard = f"LENET5_{guard}"
    parts = [
        remark(comment),
        *([f"#ifndef {guard}\n#define {guard}"] if header else []),
        "#include <math.h>\n#include <stdint.h>",
        f"{static}const char *const lenet5_classes[{classes}] = {{{names}}};",
        "\n\n".join(types),
        "\n".join(source.constants).rstrip(),
        *code,
        _predict(source, pixels, classes, net.outputs_penalties, "static inline " if header else ""),
        *(["#endif"] if header else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _predict(source: Source, pixels: int, classes: int, penalties: bool, static: str) -> str:
    declared = "" if static else f"int predict(const uint8_t image[{pixels}], float out[{classes}]);\n\n"
    calls = "\n".join(source.calls)
    if source.kind == "float":
        calls += f"\n    for (i = 0; i < {classes}; i++)\n        out[i] = room[{source.room.first} + i];"
    return f"""{declared}{static}int predict(const uint8_t image[{pixels}], float out[{classes}])
{{
    static {source.kind} room[{source.room.needed}];
    int i, best = 0;
{calls}
    for (i = 1; i < {classes}; i++)
        if (out[i] {"<" if penalties else ">"} out[best])
            best = i;
    return best;
}}"""
