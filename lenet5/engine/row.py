"""Rows that layers and losses contribute to the table, and the check that they match the methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .jit import HAVE_NUMBA, Function

__all__ = ["Criterion", "Part", "Row", "criterion_of", "halves_agree", "rows_of"]


@dataclass(frozen=True)
class Criterion:
    """A loss's compiled half.

    Attributes
    ----------
    value, curvature : Function
        Made by `loss_function`: the first writes dE/dy into v and returns the loss of one pattern, each times the
        factor; the second finds that dE/dy in v, and replaces it by the diagonal of d2E/dy2.
    largest : bool
        Whether the largest output names the class, or the smallest.
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
        Made by `layer_function`. The second is None in a state in which nothing is differentiated.
    out_shape : tuple of int
        (C, H, W) or (D,).
    numbers, links : array-like
        Constants for the functions: numbers of the network's precision, and integers.
    own : int
        Cells of each pattern that the forward function leaves for the reverse function besides its output.
    room : int
        Numbers that the functions need to work in.
    in_place : bool
        Whether the output may take the place of the input: both functions then find their results where their
        operands were.
    reads_output : bool
        Whether the reverse function needs the output, which then no later layer may overwrite.
    steps : bool
        Whether the reverse function moves the parameters itself if `stepping`; else it gives their gradients.
    current : callable, optional
        Returns `numbers` as they are now, for layers whose constants change between calls.
    draw : callable, optional
        (N, *key) -> numbers (N, own) for the layer's own cells: what it draws at random for N patterns.
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
    """Whether a compiled half or an operation comes from the same class as the methods.

    A subclass that overrides a method of the class that gives that half may compute something else; so may
    an object one of whose methods was replaced.
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
    """Return the rows of a layer, or None if it has no compiled half that matches its methods."""
    return layer.compiled(training=training) if HAVE_NUMBA and halves_agree(layer) else None


def criterion_of(loss: Any) -> Criterion | None:
    """Return the compiled half of a loss, or None if it has none that matches its methods."""
    return loss.compiled() if HAVE_NUMBA and halves_agree(loss) else None


# Of each layer its rows, the arrays of its parameters, its out_shape, and what is added to a key for what it draws.
Part = tuple[Sequence[Row], Sequence[np.ndarray], tuple[int, ...], tuple[int, ...]]
