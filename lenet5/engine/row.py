"""Compiled versions of layers and losses, and the check that they match the NumPy methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .jit import HAVE_NUMBA, Function

__all__ = ["Criterion", "Part", "Row", "criterion_of", "halves_agree", "rows_of"]


@dataclass(frozen=True)
class Criterion:
    """Compiled version of a loss.

    Attributes
    ----------
    value, curvature : Function
        Functions made by `loss_function`. For one pattern, `value` returns the loss, multiplied by `factor`, and writes
        its gradient dE/dy to v. `curvature` replaces this gradient with the diagonal of d2E/dy2.
    largest : bool
        Whether the class with the largest output wins, rather than the one with the smallest.
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
        Functions made by `layer_function`. `reverse` is None if the row is only for evaluation.
    out_shape : tuple of int
        (C, H, W) or (D,).
    numbers, links : array-like
        Constants for the functions: floats of the network's precision, and integers.
    own : int
        Number of values per pattern that the forward function stores for the backward function, besides its output.
    room : int
        Size of the workspace that the functions need.
    in_place : bool
        Whether the output may overwrite the input; both functions then overwrite their operands with their results.
    reads_output : bool
        Whether the backward function needs the output, which later layers must then not overwrite.
    steps : bool
        Whether the backward function updates the parameters itself if `engine.call.stepping` is true.
    current : callable, optional
        Function that returns the current `numbers`, for layers whose constants change between calls.
    draw : callable, optional
        Function (N, *key) -> random values (N, own), which become the stored values of N patterns.
    """

    forward: Function
    reverse: Function | None
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


def halves_agree(one: Any, half: str = "compiled") -> bool:
    """Return whether the method `half` ("compiled" or "operation") can be trusted to match the NumPy methods.

    It cannot if a subclass or an instance overrides a NumPy method but not `half`.
    """
    for kind in type(one).__mro__:
        if half in vars(kind):
            break
        if any(_is_method(value) and name not in ("__init__", "__repr__") for name, value in vars(kind).items()):
            return False
    return not any(callable(value) and hasattr(type(one), name) for name, value in vars(one).items())


def _is_method(value: object) -> bool:
    return callable(value) or isinstance(value, property)


def rows_of(layer: Any, *, training: bool = False) -> list[Row] | None:
    """Return the `Row` objects of a layer, or None if it has no compiled version that matches its NumPy methods."""
    return layer.compiled(training=training) if HAVE_NUMBA and halves_agree(layer) else None


def criterion_of(loss: Any) -> Criterion | None:
    """Return the compiled version of a loss, or None if it has none that matches its NumPy methods."""
    return loss.compiled() if HAVE_NUMBA and halves_agree(loss) else None


# A compiled layer: its rows, the arrays of its parameters, its out_shape, and the suffix of its random key.
Part = tuple[Sequence[Row], Sequence[np.ndarray], tuple[int, ...], tuple[int, ...]]
