"""Distortions of training images, fresh at every pass."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

__all__ = ["Distortion", "shift"]

# (images uint8 (N, H, W) or (N, H, W, C), rng) -> images of the same kind
Distortion = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]


def shift(images: NDArray[np.uint8], rng: np.random.Generator, *, pixels: int = 1) -> NDArray[np.uint8]:
    """Move every image by its own whole number of pixels, horizontally and vertically.

    The translation of the paper's planar affine distortions (section III-C), which gives no ranges.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Never changed. What enters at the border is background (0).
    rng : numpy.random.Generator
    pixels : int
        Largest move along each axis; all moves up to it are equally likely.

    Returns
    -------
    ndarray of uint8, of the same shape

    Raises
    ------
    ConfigError
        If `pixels` is negative.
    """
    if pixels < 0:
        raise ConfigError(f"shift: pixels is at least 0; found {pixels}.")
    n, height, width = images.shape[:3]
    border = [(0, 0), (pixels, pixels), (pixels, pixels), (0, 0)][: images.ndim]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, border), (height, width), axis=(1, 2))
    down, right = rng.integers(2 * pixels + 1, size=(2, n))
    moved = windows[np.arange(n), down, right]  # (N, H, W), or (N, C, H, W) for colour
    return np.ascontiguousarray(moved if images.ndim == 3 else np.moveaxis(moved, 1, 3))
