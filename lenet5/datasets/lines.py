"""Compose lines of digits, and windows of such lines as training images (section VII of the paper)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, ShapeError
from .base import Dataset
from .distort import Distort, noise
from .handwriting import LINE_MARGIN, SIDE

__all__ = ["BLANK", "Neighbours", "line_of", "line_sets"]

BLANK = " "  # class of windows not centred on a digit; its RBF target is the bitmap of the space character in Fig. 3
WIDTH = 32  # width of a window in columns, equal to that of the network's input
_CHUNK = 4096  # number of windows composed at a time
_MIDDLE, _AROUND = 2, 5  # a line has five random digits; its window is centred on or near the middle one


@dataclass(frozen=True)
class Neighbours(Distort):
    """Turn images of digits into windows of lines: a digit with its neighbours, or a gap ("blank window").

    Section VII of the paper trains on a digit with a neighbour on each side, "-1 to 4 pixels" apart, and on windows
    without a digit in the middle, with 10 % of the pixels inverted. Here, a digit has up to two neighbours on each
    side, which can also be farther apart, because lines contain narrow digits and wide gaps. In one window in
    eight, the middle digit is the first of its line; in one in eight, it is the last. By default, no pixels are
    inverted.

    Parameters
    ----------
    translation, scale, squeeze, shear, rotation, elastic, sigma, share
        Distortions of each digit; see `Distort`. The default translation is 0: a horizontal shift has no effect,
        because the columns of a digit's ink determine its position in the line.
    closest, farthest : int
        Smallest and largest gap between the ink of neighbours, in columns. A negative gap is an overlap.
    reach : float
        Largest distance, in columns, between the centre of a window and the centre of its digit. The default is half
        of the distance between successive windows when the paper's network is swept along a line (4 columns), so that
        one or two of these windows are within this distance of each digit.
    away : float
        Smallest distance, in columns, between the centre of a blank window and the centre of any digit.
    noise : float
        Fraction of the pixels to invert (0.1 in the paper).

    Raises
    ------
    ConfigError
        If a parameter is out of range, or `closest` exceeds `farthest`.
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
                f"neighbours: closest and farthest must be from {-SIDE} to {WIDTH} columns, with closest <= farthest; "
                f"found {self.closest!r} and {self.farthest!r}."
            )
        if not (0 <= self.reach < np.inf and 0 <= self.away < np.inf and 0 <= self.noise <= 1):
            raise ConfigError(
                "neighbours: reach and away must be at least 0, and noise from 0 to 1; found "
                f"{self.reach!r}, {self.away!r} and {self.noise!r}."
            )

    def __call__(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Add neighbours to every digit, and fill every blank image with a gap between two digits.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
            Digits on background 0; not modified. Images without ink become blank windows. Neighbours are drawn from the
            same images.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of uint8, of the same shape
        """
        blank = np.asarray(~images.any(axis=tuple(range(1, images.ndim))))
        if blank.all():  # no image contains ink, so there are no digits to use as neighbours
            return images.copy()
        digits = super().__call__(images[~blank], rng)
        first, stop = _extents(digits)
        chosen = rng.integers(len(digits), size=(_AROUND, len(images)))
        chosen[_MIDDLE, ~blank] = np.arange(len(digits))
        widths = (stop - first)[chosen]
        left, shown, middle = self._placed(widths, blank, rng)
        width = images.shape[2]
        # Column of the window at which each digit's image starts.
        start = np.floor(left - middle + width / 2 + 0.5).astype(int) - first[chosen]
        out = _composed(digits, chosen, np.where(shown, start, width), width)
        return noise(out, rng, share=self.noise) if self.noise else out

    def _placed(
        self, widths: NDArray[np.int_], blank: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[NDArray[np.int_], NDArray[np.bool_], NDArray[np.float64]]:
        """For each window, choose random positions for a line of five digits.

        Returns
        -------
        left : ndarray of int (5, N)
            First column of each digit's ink, relative to that of the middle digit.
        shown : ndarray of bool (5, N)
            False for digits that are omitted because the line begins or ends with the middle digit.
        middle : ndarray of float (N,)
            Column of the centre of the window, with the same origin as `left`.
        """
        n = len(blank)
        # Each line has a base gap; the gaps between its digits differ from it by at most one column.
        gaps = rng.integers(self.closest, self.farthest + 1, size=n) + rng.integers(-1, 2, size=(_AROUND - 1, n))
        left = np.concatenate([np.zeros((1, n), int), np.cumsum(widths[:-1] + gaps, axis=0)])
        left -= left[_MIDDLE]
        centre = left + widths / 2
        ends, begins = rng.random((2, n)) < 1 / 8
        near, far = centre[_MIDDLE] + self.away, centre[_MIDDLE + 1] - self.away
        ends |= blank & (far < near)  # the digits are too close for a blank window between them
        begins &= ~blank
        far = np.where(ends, near + 24, far)  # some windows are entirely blank
        between = near + rng.random(n) * (far - near)
        middle = np.where(blank, between, centre[_MIDDLE] + rng.uniform(-self.reach, self.reach, n))
        shown = np.ones((_AROUND, n), bool)
        shown[_MIDDLE + 1 :, ends] = False
        shown[:_MIDDLE, begins] = False
        # Move half of the blank windows at the end of a line to its beginning.
        turned = blank & ends & (rng.random(n) < 0.5)
        shown[:_MIDDLE, turned] = False
        shown[_MIDDLE + 1 :, turned] = True
        middle[turned] = 2 * centre[_MIDDLE, turned] - middle[turned]
        return left, shown, middle


def _composed(
    digits: NDArray[np.uint8], chosen: NDArray[np.int_], start: NDArray[np.int_], width: int
) -> NDArray[np.uint8]:
    """Return windows (N, H, width[, C]), composed of the digits with indices `chosen` (5, N) at columns `start`."""
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
    """Return, for each image, the first column with ink and the column after the last one with ink."""
    inked = np.asarray(images.any(axis=(1, *range(3, images.ndim))))
    return inked.argmax(axis=1), inked.shape[1] - inked[:, ::-1].argmax(axis=1)


def line_of(images: ArrayLike, *, gap: int = 2) -> NDArray[np.uint8]:
    """Put images of digits side by side to form a line for `lenet5.analysis.sdnn.sweep`.

    Parameters
    ----------
    images : array-like of uint8, shape (N, H, W)
        Digits from left to right, on background 0.
    gap : int
        Gap between the ink of neighbours, in columns. A negative gap is an overlap.

    Returns
    -------
    ndarray of uint8, shape (H, columns)
        The line, with 16 columns of background before and after the ink, like the result of `normalise_line`.

    Raises
    ------
    ShapeError
        If the images have an unsupported shape or dtype, or one of them is blank.
    """
    digits = np.asarray(images)
    if digits.dtype != np.uint8 or digits.ndim != 3 or not digits.size or not digits.any(axis=(1, 2)).all():
        raise ShapeError(f"line_of: expected non-blank uint8 images (N, H, W); found {digits.dtype} {digits.shape}.")
    first, stop = _extents(digits)
    left = LINE_MARGIN + np.concatenate([[0], np.cumsum((stop - first)[:-1] + gap)])
    left += max(0, LINE_MARGIN - int(left.min()))  # shift the line right if a digit begins before the first one
    line = np.zeros((digits.shape[1], int((left + stop - first).max()) + LINE_MARGIN), np.uint8)
    for digit, at, a, b in zip(digits, left, first, stop, strict=True):
        place = line[:, at : at + b - a]
        np.maximum(place, digit[:, a:b], out=place)
    return line


def line_sets(train: Dataset, test: Dataset, *, blank: float = 1 / 2) -> tuple[Dataset, Dataset]:
    """Add a class "none of the above" to data sets of single digits, for the network of section VII of the paper.

    Parameters
    ----------
    train, test : Dataset
        Data sets of grey images that are at most 32 columns wide.
    blank : float
        Number of blank images per digit image.

    Returns
    -------
    train, test : Dataset
        Data sets with all images padded to 32 columns, and with additional blank images of the class " ". `Neighbours`
        turns these images into windows in each epoch of training. `lenet5.analysis.sdnn.read_lines` measures the
        fraction of lines read without error.

    Raises
    ------
    ShapeError
        If the images are in colour or too wide.
    """
    return _with_blanks(train, blank), _with_blanks(test, blank)


def _with_blanks(data: Dataset, blank: float) -> Dataset:
    if data.images.ndim != 3 or data.images.shape[2] > WIDTH:
        raise ShapeError(f"line_sets: expected grey images of at most {WIDTH} columns; found {data!r}.")
    count, room = round(blank * len(data)), WIDTH - data.images.shape[2]
    images = np.pad(data.images, ((0, count), (0, 0), (room // 2, room - room // 2)))
    labels = np.pad(data.labels, (0, count), constant_values=data.num_classes)
    classes = (*data.classes, BLANK)
    return replace(
        data, images=images, labels=labels, classes=classes, num_classes=len(classes), name=f"{data.name}-lines"
    )
