"""Conversion of uint8 pixels to network input: 32x32, background -0.1, foreground 1.175 (paper, section II-B)."""

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

# With these the mean of the pixels is about 0 and their variance about 1; they are never fitted to the data.
BACKGROUND = -0.1
FOREGROUND = 1.175

# (background, foreground) by name; "standard" is mean 0 and s.d. 1 over the training images of MNIST.
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
    """value = background + pixel / 255 (foreground - background), in the middle of a background frame.

    Parameters
    ----------
    images : ndarray of uint8, shape (H, W), (N, H, W) or (N, H, W, C)
        Never changed. (H, W) is one pattern.
    size : int or (int, int)
        Of both axes, or height and width. An axis shorter than this is padded to it, `(size - H) // 2` before and the
        rest after; a longer one is kept as it is (section VII feeds the network wide images).
    scale : str
        Key of `SCALES`: what background (pixel 0) and foreground (255) become.
    dtype : float32 or float64
        Type of the result; with `out`, that of `out`.
    out : ndarray, shape (N, C, max(H, size), max(W, size)), optional
        Written to, in full, and returned; saves the allocation.

    Returns
    -------
    ndarray, shape (N, C, max(H, size), max(W, size))

    Raises
    ------
    ConfigError
        There is no such scale.
    ShapeError
        `images` is not uint8, has other dimensions or an empty picture; `out` does not fit.
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
        raise ShapeError(f"prepare: expected pictures with pixels, found shape {images.shape}")
    least = (size, size) if isinstance(size, int) else size
    full = (n, channels, height if height > least[0] else least[0], width if width > least[1] else least[1])
    if out is None:
        out = np.empty(full, dtype)
    elif out.shape != full:
        raise ShapeError(f"prepare: out: expected shape {full}, found {out.shape}")
    if scale not in SCALES:
        raise ConfigError(f"prepare: scale is one of {', '.join(SCALES)}; found {scale!r}.")
    if out.dtype not in (np.float32, np.float64):
        raise ShapeError(f"prepare: expected float32 or float64, found {out.dtype}")
    from .. import engine  # here, so that looking at data does not load a compiler

    engine.scale_pixels(np.ascontiguousarray(pixels), levels(scale, out.dtype), out)
    return out


@functools.cache
def levels(scale: str, dtype: np.dtype) -> NDArray[Any]:
    """Return the number for each of the 256 grey levels; no float64 is rounded on the way to float32."""
    background, foreground = SCALES[scale]
    step, background = dtype.type((foreground - background) / 255), dtype.type(background)
    return np.arange(256, dtype=dtype) * step + background


def one_hot(labels: NDArray[Any], classes: int = 10, *, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return (N, classes): 1 at each label, 0 elsewhere. The losses here take labels as they are.

    Parameters
    ----------
    labels : integer ndarray (N,)
        From 0 to classes - 1.
    classes : int
    dtype : numpy dtype

    Raises
    ------
    ShapeError
        If a label is no class, or the labels are no vector of integers.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ShapeError(f"one_hot: labels are an integer vector; found {labels.dtype} {labels.shape}.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ShapeError(f"one_hot: labels lie in 0 to {classes - 1}; found {labels.min()} to {labels.max()}.")
    return np.equal.outer(labels, np.arange(classes)).astype(dtype)


def prepare_digit(image: str | os.PathLike[str] | ArrayLike, *, invert: Invert = "auto") -> NDArray[np.float32]:
    """Make any picture of one digit ready for the network; see `normalise_digit`.

    Parameters
    ----------
    image : path-like or array-like
        What `normalise_digit` takes.
    invert : {"auto", True, False}
        True for dark ink on light paper, False for light on dark, "auto" to look.

    Returns
    -------
    ndarray of float32, shape (1, 1, 32, 32)

    Raises
    ------
    ImageError
        As `normalise_digit`.
    """
    return prepare(normalise_digit(image, invert=invert))
