"""Convert rows of pixels, scikit-learn's input format, to images."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .preparation import BACKGROUND, FOREGROUND

__all__ = ["LARGEST", "Patterns", "Pictures", "image_shape", "rows_of"]

FIELD = 32  # side length of the input of the paper's network; smaller images are centred in it
LARGEST = 128  # largest accepted side length of an image; the network is enlarged for images above 32x32


class Pictures:
    """Rows of pixels that are scaled and centred in the network's input on access.

    If `which` contains k row indices, ``pictures[which]`` is a float32 array (k, C, field, field), where field is the
    side length of the network's input.

    Parameters
    ----------
    rows : ndarray (n, H * W * C)
        Pixels of any numeric dtype.
    shape : tuple of int
        Shape of the images, (H, W) or (H, W, C).
    low, high : float
        Pixel values that are scaled to the background, -0.1, and to the foreground, 1.175.
    """

    def __init__(self, rows: np.ndarray, shape: tuple[int, ...], low: float, high: float) -> None:
        self.rows, self.shape, self.low = rows, shape, low
        self.span = high - low or 1.0  # if all pixels are equal, they become background
        self.field = max(FIELD, *shape[:2])

    def __getitem__(self, which: np.ndarray) -> np.ndarray:
        height, width, *channels = self.shape
        top, left = (self.field - height) // 2, (self.field - width) // 2
        ink = (self.rows[which].astype(np.float64) - self.low) / self.span
        ink = ink.reshape(-1, height, width, *(channels or [1])).transpose(0, 3, 1, 2)
        x = np.full((*ink.shape[:2], self.field, self.field), BACKGROUND, np.float32)
        x[:, :, top : top + height, left : left + width] += (FOREGROUND - BACKGROUND) * ink
        return x

    def grey_levels(self) -> np.ndarray:
        """Return uint8 images (n, H, W) or (n, H, W, C); values are clipped to 0..255."""
        ink = (self.rows.astype(np.float64) - self.low) / self.span
        return np.rint(255 * ink.clip(0, 1)).astype(np.uint8).reshape(-1, *self.shape)


@dataclass
class Patterns:
    """Training data of the classifier: images as `Pictures`, labels (n,) and weights (n,)."""

    images: Any
    labels: np.ndarray
    weights: np.ndarray | None = None
    name: str = "X"
    mapped: bool = False

    def __len__(self) -> int:
        return len(self.labels)


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return (H, W), or (H, W, C) for colour, for images of shape (pixels,), (H, W), (C, H, W) or (H, W, C).

    Raises
    ------
    ValueError
        If the images have an unsupported shape or are too large.
    """
    found = shape
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        square = side * side == shape[0]
        found = (side, side) if square else (1, *shape)
        if not square and shape[0] > FIELD:
            found = ()
    elif len(shape) == 3 and (shape[0] in (1, 3)) != (shape[2] in (1, 3)):
        found = shape if shape[2] in (1, 3) else (*shape[1:], shape[0])
        found = found[:2] if found[2] == 1 else found
    elif len(shape) == 3:  # the channel axis is ambiguous or missing
        found = ()
    if len(found) not in (2, 3) or len(found) == 3 and found[2] != 3 or max(found[:2]) > LARGEST:
        raise ValueError(
            f"X: expected images of up to {LARGEST}x{LARGEST}: grey (n, H, W), images with a channel axis of length 1 "
            "or 3 before or after the image axes, flattened square grey images (n, H * W), or other rows of up to "
            f"{FIELD} features; found {'x'.join(map(str, shape))}."
        )
    return found


def rows_of(X: np.ndarray) -> np.ndarray:
    """Return images (n, ...) as rows of pixels, in the order (H, W, C)."""
    if X.ndim == 4 and X.shape[1] == 3 and X.shape[3] != 3:
        X = X.transpose(0, 2, 3, 1)
    return X.reshape(len(X), math.prod(X.shape[1:]))
