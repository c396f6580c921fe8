"""A network swept across a line of digits: the space-displacement network of the paper's section VII."""

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, ShapeError
from ..network import Sequential
from .receptive_fields import receptive_fields

__all__ = ["Digit", "Sweep", "found", "path", "sweep"]

# Chosen on lines of two to five training images 6, 10 and 20 columns apart, of which these read 70 %, 87 % and 88 %
# without an error. A window whose smallest penalty is above REJECT is taken to be between digits.
REJECT = 16.0
# Windows between one digit and the next: 16 columns for a step of 4.
GAP = 4


@dataclass(frozen=True)
class Digit:
    """A digit of a line: the window that reads it, the column in that window's middle, class and penalty."""

    window: int
    column: float
    digit: int
    penalty: float


@dataclass(frozen=True)
class Sweep:
    """What a network makes of a line.

    Attributes
    ----------
    penalties : ndarray (classes, P)
        Of every window, from left to right.
    columns : ndarray (P,)
        Column of the line in the middle of each window.
    digits : tuple of Digit
        The line's reading.
    """

    penalties: np.ndarray
    columns: np.ndarray
    digits: tuple[Digit, ...]

    @property
    def text(self) -> str:
        """The digits as they are written."""
        return "".join(str(each.digit) for each in self.digits)


def sweep(net: Sequential, line: np.ndarray) -> Sweep:
    """Read a line by applying the network at every step of its field along it.

    Convolutions and sub-sampling are the same everywhere, so the whole line goes through each layer once: C5
    and what follows become maps, one column for each window. The paper trains with neighbours in sight and with
    a class for no digit; a network trained on single digits, as ours, wants some space between them.

    Parameters
    ----------
    net : Sequential
        With penalties as outputs, and no layer that fixes the size of its maps: the paper's `lenet5`.
    line : ndarray of uint8, shape (28, W)
        From `datasets.normalise_line`, or another with W of at least the network's field less its padding.

    Returns
    -------
    Sweep

    Raises
    ------
    ConfigError
        If the network cannot be swept.
    ShapeError
        If it is no such line.
    """
    if not net.outputs_penalties:
        raise ConfigError("Only a network that ends in RBF units says that it sees no digit; its outputs are scores.")
    line = np.asarray(line)
    if line.dtype != np.uint8 or line.ndim != 2 or line.size == 0 or line.shape[0] > net.in_shape[1]:
        raise ShapeError(
            f"A line is uint8 (H, W) with at most {net.in_shape[1]} rows; found {line.dtype} {line.shape}."
        )
    x = net.prepared(line[None])
    try:
        penalties = net.sweep(x)[0]
    except ShapeError as error:
        raise ConfigError(f"This network cannot be swept across a line: {error}") from error
    return found(net, penalties, before=(x.shape[3] - line.shape[1]) // 2)


def found(net: Sequential, penalties: np.ndarray, *, before: int = 0) -> Sweep:
    """Read the penalties of a line: `sweep` for who has them already.

    Parameters
    ----------
    net : Sequential
    penalties : ndarray (classes, 1, P)
        "output" of `Sequential.feature_maps`.
    before : int
        Columns that preparation has put before the line.

    Returns
    -------
    Sweep
    """
    penalties = penalties.reshape(len(penalties), -1)  # (classes,) of the smallest line
    field = receptive_fields(net)["output"]
    columns = field.start[1] + (field.size[1] - 1) / 2 + field.step[1] * np.arange(penalties.shape[1]) - before
    digits = [
        Digit(p, float(columns[p]), int(penalties[:, p].argmin()), float(penalties[:, p].min()))
        for p in path(penalties.min(axis=0))
    ]
    return Sweep(penalties, columns, tuple(digits))


def path(penalties: np.ndarray, *, reject: float = REJECT, gap: int = GAP) -> list[int]:
    """Choose the windows that are digits: those at least `gap` apart with the largest sum of (reject - penalty).

    The best path through a graph whose arcs are "no digit here" (at no cost) and "a digit", as Viterbi's algorithm
    finds it from left to right: best[p] = max(best[p - 1], best[p - gap] + reject - penalty[p]).

    Parameters
    ----------
    penalties : ndarray (P,)
        The smallest penalty of each window.
    reject : float
        What leaving a digit out costs.
    gap : int

    Returns
    -------
    list of int
        Windows, from left to right.
    """
    best = np.zeros(len(penalties) + gap)  # best[p + gap]: of the windows up to p
    for p, penalty in enumerate(penalties):
        best[p + gap] = max(best[p + gap - 1], best[p] + reject - penalty)
    windows, p = [], len(penalties) - 1
    while p >= 0:
        if best[p + gap] > best[p + gap - 1]:
            windows.append(p)
            p -= gap
        else:
            p -= 1
    return windows[::-1]
