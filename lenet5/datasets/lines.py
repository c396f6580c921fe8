"""Lines of digits, and windows of such lines as training images (section VII)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, ShapeError
from .base import Dataset
from .distort import Distort, noise
from .handwriting import LINE_MARGIN, SIDE

__all__ = ["BLANK", "Neighbours", "line_of", "line_sets"]

BLANK = " "  # the class of windows that do not look straight at a digit; its code of Fig. 3 is that of the space
WIDTH = 32  # columns of a window: the network's field
_CHUNK = 4096  # windows that are composed at a time
_MIDDLE, _AROUND = 2, 5  # of five digits the one in the middle is looked at


@dataclass(frozen=True)
class Neighbours(Distort):
    """Windows of a line: a digit in the middle with others beside it, or the place between two.

    Section VII trains on a digit with a neighbour on each side, "-1 to 4 pixels" apart, and on blanks, with 10 % of the
    pixels inverted. Here up to two neighbours stand on each side, further apart as well, since narrow digits and wide
    gaps occur in lines; one line in eight begins or ends with the digit; and pixels are inverted only if asked for.

    Parameters
    ----------
    translation, scale, squeeze, shear, rotation, elastic, sigma, share
        Distortions of each digit, as for `Distort`; without translation, since digits are placed by their ink.
    closest, farthest : int
        Columns between the ink of neighbours; below 0 they overlap.
    reach : float
        A window looks at a digit if their middles are at most that many columns apart: half of the 4 columns from
        one window of the paper's network to the next, so that one window or two look at each digit.
    away : float
        The middle of a blank window is at least that many columns from those of all digits.
    noise : float
        Share of the pixels that are inverted; the paper's is 0.1.

    Raises
    ------
    ConfigError
        As for `Distort`; if `closest` is above `farthest`, or another number is out of its range.
    """

    translation: float = 0.0
    closest: int = -4
    farthest: int = 13
    reach: float = 2.0
    away: float = 4.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -SIDE <= self.closest <= self.farthest <= WIDTH:
            raise ConfigError(
                f"neighbours: closest and farthest are whole columns from {-SIDE} to {WIDTH}, the smaller one first; "
                f"found {self.closest!r} and {self.farthest!r}."
            )
        if not (0 <= self.reach < np.inf and 0 <= self.away < np.inf and 0 <= self.noise <= 1):
            raise ConfigError(
                "neighbours: reach and away are columns from 0 up, and noise is a share from 0 to 1; found "
                f"{self.reach!r}, {self.away!r} and {self.noise!r}."
            )

    def __call__(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Put every digit among others, and fill every blank image with the place between two.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
            Never changed. Digits on background 0; those without any ink become blank windows. Neighbours are
            other images of these.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of uint8, of the same shape
        """
        blank = np.asarray(~images.any(axis=tuple(range(1, images.ndim))))
        if blank.all():  # no digits to put side by side
            return images.copy()
        digits = super().__call__(images[~blank], rng)
        first, stop = _extents(digits)
        chosen = rng.integers(len(digits), size=(_AROUND, len(images)))
        chosen[_MIDDLE, ~blank] = np.arange(len(digits))
        widths = (stop - first)[chosen]
        left, shown, middle = self._placed(widths, blank, rng)
        width = images.shape[2]
        # Column 0 of a digit's image in its window.
        start = np.floor(left - middle + width / 2 + 0.5).astype(int) - first[chosen]
        out = _composed(digits, chosen, np.where(shown, start, width), width)
        return noise(out, rng, share=self.noise) if self.noise else out

    def _placed(
        self, widths: NDArray[np.int_], blank: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[NDArray[np.int_], NDArray[np.bool_], NDArray[np.float64]]:
        """Draw a line of five digits for each window.

        Returns
        -------
        left : ndarray of int (5, N)
            First column of each digit's ink, from that of the digit in the middle.
        shown : ndarray of bool (5, N)
            False beyond the beginning or the end of a line.
        middle : ndarray of float (N,)
            Column of the window's middle.
        """
        n = len(blank)
        # One gap for a line, give or take a column.
        gaps = rng.integers(self.closest, self.farthest + 1, size=n) + rng.integers(-1, 2, size=(_AROUND - 1, n))
        left = np.concatenate([np.zeros((1, n), int), np.cumsum(widths[:-1] + gaps, axis=0)])
        left -= left[_MIDDLE]
        centre = left + widths / 2
        ends, begins = rng.random((2, n)) < 1 / 8
        near, far = centre[_MIDDLE] + self.away, centre[_MIDDLE + 1] - self.away
        ends |= blank & (far < near)  # too close for a place between them
        begins &= ~blank
        far = np.where(ends, near + 24, far)  # up to windows of paper alone
        between = near + rng.random(n) * (far - near)
        middle = np.where(blank, between, centre[_MIDDLE] + rng.uniform(-self.reach, self.reach, n))
        shown = np.ones((_AROUND, n), bool)
        shown[_MIDDLE + 1 :, ends] = False
        shown[:_MIDDLE, begins] = False
        # Of the blank windows at an end half are before the first digit.
        turned = blank & ends & (rng.random(n) < 0.5)
        shown[:_MIDDLE, turned] = False
        shown[_MIDDLE + 1 :, turned] = True
        middle[turned] = 2 * centre[_MIDDLE, turned] - middle[turned]
        return left, shown, middle


def _composed(
    digits: NDArray[np.uint8], chosen: NDArray[np.int_], start: NDArray[np.int_], width: int
) -> NDArray[np.uint8]:
    """Return windows (N, H, width[, C]) with the digits `chosen` (5, N), whose column 0 comes to column `start`."""
    wide = digits.shape[2]
    border = [(0, 0), (0, 0), (width, width), (0, 0)][: digits.ndim]
    views = np.lib.stride_tricks.sliding_window_view(np.pad(digits, border), width, axis=2)
    views = np.moveaxis(views, -1, 3)  # (M, H, places, width) or (M, H, places, width, C)
    out = np.zeros((chosen.shape[1], digits.shape[1], width, *digits.shape[3:]), np.uint8)
    for each, place in zip(chosen, start, strict=True):
        seen = np.flatnonzero((place > -wide) & (place < width))
        for k in range(0, len(seen), _CHUNK):
            rows = seen[k : k + _CHUNK]
            out[rows] = np.maximum(out[rows], views[each[rows], :, width - place[rows]])
    return out


def _extents(images: NDArray[np.uint8]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the first column of each image's ink, and the column after its last."""
    inked = np.asarray(images.any(axis=(1, *range(3, images.ndim))))
    return inked.argmax(axis=1), inked.shape[1] - inked[:, ::-1].argmax(axis=1)


def line_of(images: ArrayLike, *, gap: int = 2) -> NDArray[np.uint8]:
    """Put images of digits side by side, as one line that `lenet5.analysis.sdnn.sweep` reads.

    Parameters
    ----------
    images : array-like of uint8, shape (N, H, W)
        Digits on background 0, from left to right.
    gap : int
        Columns between the ink of one and that of the next; below 0 they overlap.

    Returns
    -------
    ndarray of uint8, shape (H, columns)
        With 16 columns of background before and after the ink, as from `normalise_line`.

    Raises
    ------
    ShapeError
        If they are no such images, or one is blank.
    """
    digits = np.asarray(images)
    if digits.dtype != np.uint8 or digits.ndim != 3 or not digits.size or not digits.any(axis=(1, 2)).all():
        raise ShapeError(f"line_of: expected digits, uint8 (N, H, W), none blank; found {digits.dtype} {digits.shape}.")
    first, stop = _extents(digits)
    left = LINE_MARGIN + np.concatenate([[0], np.cumsum((stop - first)[:-1] + gap)])
    left += max(0, LINE_MARGIN - int(left.min()))  # digits that overlap by more than their width
    line = np.zeros((digits.shape[1], int((left + stop - first).max()) + LINE_MARGIN), np.uint8)
    for digit, at, a, b in zip(digits, left, first, stop, strict=True):
        place = line[:, at : at + b - a]
        np.maximum(place, digit[:, a:b], out=place)
    return line


def line_sets(train: Dataset, test: Dataset, *, blank: float = 1 / 2) -> tuple[Dataset, Dataset]:
    """Make sets for the network of section VII of sets of single digits, with a class for "none of the above".

    Parameters
    ----------
    train, test : Dataset
        Grey images at most 32 columns wide.
    blank : float
        Blank images for each digit.

    Returns
    -------
    train, test : Dataset
        Every image in 32 columns, and blank ones of the class " ". `Neighbours` makes windows of them in each epoch of
        training; how lines are read, `lenet5.analysis.sdnn.read_lines` measures.

    Raises
    ------
    ShapeError
        If the images are in colour, or wider.
    """
    return _with_blanks(train, blank), _with_blanks(test, blank)


def _with_blanks(data: Dataset, blank: float) -> Dataset:
    if data.images.ndim != 3 or data.images.shape[2] > WIDTH:
        raise ShapeError(f"lines need grey images of at most {WIDTH} columns; found {data!r}.")
    count, room = round(blank * len(data)), WIDTH - data.images.shape[2]
    images = np.pad(data.images, ((0, count), (0, 0), (room // 2, room - room // 2)))
    labels = np.pad(data.labels, (0, count), constant_values=data.num_classes)
    classes = (*data.classes, BLANK)
    return replace(
        data, images=images, labels=labels, classes=classes, num_classes=len(classes), name=f"{data.name}-lines"
    )
