"""Space-displacement neural network (section VII): a network applied at every position along a line of digits."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..datasets.base import Dataset
from ..datasets.lines import BLANK, line_of
from ..errors import ConfigError, ShapeError
from ..network import Sequential
from .receptive_fields import receptive_fields

__all__ = ["Digit", "Rule", "Sweep", "found", "path", "read_lines", "rule_of", "sweep"]


class Rule(NamedTuple):
    """Rules for selecting the windows that contain a digit.

    Attributes
    ----------
    blank : int or None
        Index of the class "none of the above", whose penalty is the cost of reading no digit in a window; None if the
        network has no such class.
    reject : float
        Fixed cost of reading no digit in a window, used if `blank` is None.
    gap : int
        Minimum number of windows from one digit to the next.
    """

    blank: int | None
    reject: float
    gap: int


# Rules for a network trained on single digits, tuned on lines of two to five training images. With gaps of 6, 10 and 20
# columns between digits, the network reads 70 %, 87 % and 88 % of these lines without error. The step between windows
# is 4 columns, so digits are at least 16 columns apart.
_SINGLE = Rule(None, 16.0, 4)
# Minimum distance between digits for a network trained with neighbouring digits: 2 windows (8 columns), the best of
# 1, 2 and 3 on held-out lines.
_GAP = 2


@dataclass(frozen=True)
class Digit:
    """A recognised digit: the index of its window, the column of the window's centre, its class and its penalty."""

    window: int
    column: float
    digit: int
    penalty: float


@dataclass(frozen=True)
class Sweep:
    """Result of sweeping a network across a line of digits.

    Attributes
    ----------
    penalties : ndarray (classes, P)
        Penalties of every window, from left to right.
    columns : ndarray (P,)
        Image column at the centre of each window.
    digits : tuple of Digit
        The recognised digits.
    """

    penalties: np.ndarray
    columns: np.ndarray
    digits: tuple[Digit, ...]

    @property
    def text(self) -> str:
        """The recognised digits as a string."""
        return "".join(str(each.digit) for each in self.digits)


def sweep(net: Sequential, line: np.ndarray) -> Sweep:
    """Read a line of digits by applying the network at every position along it.

    Convolution and sub-sampling treat all positions alike, so each layer processes the whole line once, and C5 and
    later stages become maps with one column per window. Like the paper's network, ``lenet5.pretrained("lenet5-line")``
    was trained with parts of neighbouring digits in its input field and a class for "none of the above". A network
    trained on single digits needs space between digits.

    Parameters
    ----------
    net : Sequential
        A network such as the paper's `lenet5`, whose outputs are penalties or include a class " " for "no digit", and
        whose layers accept maps of any size.
    line : ndarray of uint8, shape (28, W)
        A line from `datasets.normalise_line`, or any other image of a line of digits. A line narrower than the input
        field is padded.

    Returns
    -------
    Sweep

    Raises
    ------
    ConfigError
        If the network cannot be swept.
    ShapeError
        If `line` has an unsupported shape or dtype.
    """
    if not net.outputs_penalties and rule_of(net).blank is None:
        raise ConfigError(
            'Reading lines needs a network with RBF outputs or a class " "; this one has neither. Use '
            'lenet5.pretrained("lenet5-line").'
        )
    line = np.asarray(line)
    if line.dtype != np.uint8 or line.ndim != 2 or line.size == 0 or line.shape[0] > net.in_shape[1]:
        raise ShapeError(
            f"A line must be uint8 (H, W) with at most {net.in_shape[1]} rows; found {line.dtype} {line.shape}."
        )
    x = net.prepared(line[None])
    try:
        penalties = net.sweep(x)[0]
    except ShapeError as error:
        raise ConfigError(f"This network cannot be swept across a line: {error}") from error
    return found(net, penalties, before=(x.shape[3] - line.shape[1]) // 2)


def found(net: Sequential, penalties: np.ndarray, *, before: int = 0) -> Sweep:
    """Find the digits of a line from the penalties of its windows, as computed by `Sequential.sweep`.

    Parameters
    ----------
    net : Sequential
    penalties : ndarray (classes, 1, P)
        The entry "output" of the dictionary that `Sequential.feature_maps` returns.
    before : int
        Number of columns that the preparation added on the left of the line.

    Returns
    -------
    Sweep
    """
    penalties = penalties.reshape(len(penalties), -1)  # the shape is (classes,) if there is only one window
    if not net.outputs_penalties:  # convert scores to penalties, the negative log-probabilities
        penalties = np.logaddexp.reduce(penalties, axis=0) - penalties
    field = receptive_fields(net)["output"]
    columns = field.start[1] + (field.size[1] - 1) / 2 + field.step[1] * np.arange(penalties.shape[1]) - before
    blank, reject, gap = rule_of(net)
    of_digits = penalties.copy()
    if blank is not None:
        of_digits[blank] = np.inf
    digits = [
        Digit(p, float(columns[p]), int(of_digits[:, p].argmin()), float(of_digits[:, p].min()))
        for p in path(of_digits.min(axis=0), reject if blank is None else penalties[blank], gap=gap)
    ]
    return Sweep(penalties, columns, tuple(digits))


def rule_of(net: Sequential) -> Rule:
    """Return the rule for reading lines: a window without a digit costs its penalty for class " ", or a constant."""
    names = net.classes.tolist()
    return Rule(names.index(BLANK), 0.0, _GAP) if BLANK in names else _SINGLE


def path(penalties: np.ndarray, reject: float | np.ndarray, *, gap: int) -> list[int]:
    """Select the windows that contain digits: windows at least `gap` apart that maximise the sum of (reject - penalty).

    The selection is the best path through a graph with two arcs per window, "no digit" with the penalty `reject` and "a
    digit" with the window's own penalty. Viterbi's algorithm finds it from left to right:
    best[p] = max(best[p - 1], best[p - gap] + reject[p] - penalty[p]).

    Parameters
    ----------
    penalties : ndarray (P,)
        Smallest penalty of any digit in each window.
    reject : float or ndarray (P,)
        Penalty of "no digit".
    gap : int
        Minimum distance between two selected windows.

    Returns
    -------
    list of int
        Selected windows, from left to right.
    """
    gain = np.broadcast_to(reject - penalties, penalties.shape)
    best = np.zeros(len(gain) + gap)  # best[p + gap] is the largest sum for windows 0 to p
    for p, more in enumerate(gain):
        best[p + gap] = max(best[p + gap - 1], best[p] + more)
    windows, p = [], len(penalties) - 1
    while p >= 0:
        if best[p + gap] > best[p + gap - 1]:
            windows.append(p)
            p -= gap
        else:
            p -= 1
    return windows[::-1]


def read_lines(net: Sequential, data: Dataset, *, gap: int, lines: int = 1000, digits: int = 5, seed: int = 0) -> float:
    """Return the fraction of lines that a network reads without error.

    Parameters
    ----------
    net : Sequential
        As for `sweep`.
    data : Dataset
        Single digits from which the lines are composed.
    gap : int
        Columns between the ink of neighbouring digits; with negative values, digits overlap.
    lines, digits : int
        Number of lines, and number of digits per line.
    seed : int
        Seed for drawing the digits.
    """
    rng = np.random.default_rng(seed)
    right = 0
    for chosen in rng.integers(len(data), size=(lines, digits)):
        read = sweep(net, line_of(data.images[chosen], gap=gap)).digits
        right += [str(net.classes[each.digit]) for each in read] == [data.classes[k] for k in data.labels[chosen]]
    return right / lines
