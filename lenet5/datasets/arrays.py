"""Rows of numbers, as scikit-learn knows data, as the pictures that a network takes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .preparation import BACKGROUND, FOREGROUND

__all__ = ["Patterns", "Pictures", "image_shape"]

# Side of the network's input.
FIELD = 32


class Pictures:
    """Rows of pixels that become what the network takes as they are read: scaled, in the middle of the field.

    ``pictures[which]`` is float32 (k, 1, 32, 32) for k row numbers.

    Parameters
    ----------
    rows : ndarray (n, H * W)
        Of any numeric dtype.
    shape : tuple of int
        (H, W), both at most 32.
    low, high : float
        What becomes the background, -0.1, and the foreground, 1.175.
    """

    def __init__(self, rows: np.ndarray, shape: tuple[int, int], low: float, high: float) -> None:
        self.rows, self.shape, self.low = rows, shape, low
        self.span = high - low or 1.0  # of constant data: all of it is background

    def __getitem__(self, which: np.ndarray) -> np.ndarray:
        height, width = self.shape
        top, left = (FIELD - height) // 2, (FIELD - width) // 2
        ink = (self.rows[which].astype(np.float64) - self.low) / self.span
        x = np.full((len(ink), 1, FIELD, FIELD), BACKGROUND, np.float32)
        x[:, 0, top : top + height, left : left + width] += (FOREGROUND - BACKGROUND) * ink.reshape(-1, height, width)
        return x

    def grey_levels(self) -> np.ndarray:
        """Return uint8 images (n, H, W); what lies outside of the range becomes 0 or 255."""
        ink = (self.rows.astype(np.float64) - self.low) / self.span
        return np.rint(255 * ink.clip(0, 1)).astype(np.uint8).reshape(-1, *self.shape)


@dataclass
class Patterns:
    """What the trainer reads of a data set, without its demand for uint8: `Pictures` and labels (n,)."""

    images: Any
    labels: np.ndarray
    name: str = "X"
    mapped: bool = False

    def __len__(self) -> int:
        return len(self.labels)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (H, W) of images of shape (pixels,), (H, W), (1, H, W) or (H, W, 1).

    Raises
    ------
    ValueError
        If they have another shape, or are larger than the field.
    """
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        shape = (side, side) if side * side == shape[0] else (1, *shape)
    elif len(shape) == 3 and 1 in (shape[0], shape[2]):
        shape = shape[1:] if shape[0] == 1 else shape[:2]
    if len(shape) != 2 or max(shape) > FIELD:
        raise ValueError(
            f"X holds images of up to {FIELD}x{FIELD} in one colour, as (n, H, W), (n, 1, H, W), (n, H, W, 1) or rows "
            f"(n, H * W) of square ones, and rows of up to {FIELD} numbers; found {'x'.join(map(str, shape))}."
        )
    return shape[0], shape[1]
