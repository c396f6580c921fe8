"""Convert uint8 pixels to network input: 32x32, background -0.1, foreground 1.175 (paper, section II-B)."""

import functools
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import ConfigError, ShapeError
from .distort import Distort, Distortion, shift
from .distortions import DISTORTIONS
from .handwriting import Invert, normalise_digit

__all__ = [
    "BACKGROUND", "DISTORTIONS", "FOREGROUND", "SCALES", "Distort", "Distortion", "levels", "one_hot", "prepare",
    "prepare_digit", "shift",
]  # fmt: skip

# With these constants the pixels of MNIST have a mean of about 0 and a variance of about 1.
BACKGROUND = -0.1
FOREGROUND = 1.175

# (background, foreground) by name. With "standard", MNIST's training images have mean 0 and standard deviation 1.
SCALES: dict[str, tuple[float, float]] = {
    "paper": (BACKGROUND, FOREGROUND),
    "unit": (0.0, 1.0),
    "signed": (-1.0, 1.0),
    "standard": (-0.1307 / 0.3081, (1 - 0.1307) / 0.3081),
}


def prepare(
    images: NDArray[np.uint8],
    *,
    size: int | tuple[int, int] = 32,
    scale: str = "paper",
    dtype: DTypeLike = np.float32,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Scale pixels to background + pixel / 255 * (foreground - background), and pad with background on all sides.

    Parameters
    ----------
    images : ndarray of uint8, shape (H, W), (N, H, W) or (N, H, W, C)
        Images, not modified; (H, W) is a single image.
    size : int or (int, int)
        Minimum size of both axes, or (height, width). A shorter axis is padded, with `(size - H) // 2` pixels before
        it and the rest after. A longer axis is not changed, since section VII uses wide images.
    scale : str
        Key of `SCALES`, which selects the values of background (pixel 0) and foreground (pixel 255).
    dtype : float32 or float64
        Type of the result. Ignored if `out` is given.
    out : ndarray, shape (N, C, max(H, size), max(W, size)), optional
        Array for the result, to avoid an allocation. It is overwritten and returned.

    Returns
    -------
    ndarray, shape (N, C, max(H, size), max(W, size))

    Raises
    ------
    ConfigError
        If the scale is unknown.
    ShapeError
        If `images` is not uint8, has no pixels or an unsupported number of dimensions, or `out` has the wrong shape or
        dtype.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise ShapeError(f"prepare: expected uint8 images, found {getattr(images, 'dtype', type(images))}")
    if images.ndim == 3:
        pixels = images[..., None]
    elif images.ndim == 2:
        pixels = images[None, ..., None]
    elif images.ndim == 4:
        pixels = images
    else:
        raise ShapeError(f"prepare: expected (H, W), (N, H, W) or (N, H, W, C), found shape {images.shape}")
    n, height, width, channels = pixels.shape
    if not (channels and height and width):
        raise ShapeError(f"prepare: expected images of at least one pixel, found shape {images.shape}")
    least = (size, size) if isinstance(size, int) else size
    full = (n, channels, height if height > least[0] else least[0], width if width > least[1] else least[1])
    if out is None:
        out = np.empty(full, dtype)
    elif out.shape != full:
        raise ShapeError(f"prepare: expected `out` of shape {full}, found shape {out.shape}")
    if scale not in SCALES:
        raise ConfigError(f"prepare: scale must be one of {', '.join(SCALES)}; found {scale!r}.")
    if out.dtype not in (np.float32, np.float64):
        raise ShapeError(f"prepare: the result must be float32 or float64, found {out.dtype}")
    from .. import engine  # imported here, because this import loads the compiler

    engine.scale_pixels(np.ascontiguousarray(pixels), levels(scale, out.dtype), out)
    return out


@functools.cache
def levels(scale: str, dtype: np.dtype) -> NDArray[Any]:
    """Return the scaled value of each of the 256 grey levels, computed in `dtype` throughout."""
    background, foreground = SCALES[scale]
    step, background = dtype.type((foreground - background) / 255), dtype.type(background)
    return np.arange(256, dtype=dtype) * step + background


def one_hot(labels: NDArray[Any], classes: int = 10, *, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return one-hot rows (N, classes): 1 at each label, 0 elsewhere. The library's losses do not need them.

    Parameters
    ----------
    labels : integer ndarray (N,)
        Labels from 0 to classes - 1.
    classes : int
        Number of classes.
    dtype : numpy dtype
        Type of the result.

    Raises
    ------
    ShapeError
        If a label is out of range, or the labels are not an integer vector.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ShapeError(f"one_hot: labels must be an integer vector; found {labels.dtype} {labels.shape}.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ShapeError(f"one_hot: labels must be from 0 to {classes - 1}; found {labels.min()} to {labels.max()}.")
    return np.equal.outer(labels, np.arange(classes)).astype(dtype)


def prepare_digit(image: str | os.PathLike[str] | ArrayLike, *, invert: Invert = "auto") -> NDArray[np.float32]:
    """Convert an image of one digit to network input; see `normalise_digit`.

    Parameters
    ----------
    image : path-like or array-like
        Image file or array; see `normalise_digit`.
    invert : {"auto", True, False}
        True for dark ink on light paper, False for light ink on dark paper, "auto" to detect which.

    Returns
    -------
    ndarray of float32, shape (1, 1, 32, 32)

    Raises
    ------
    ImageError
        As for `normalise_digit`.
    """
    return prepare(normalise_digit(image, invert=invert))
