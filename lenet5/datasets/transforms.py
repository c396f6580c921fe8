"""From uint8 pixels to what the network sees: 32x32, background -0.1, foreground 1.175 (paper, section II.B)."""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import ShapeError
from .handwriting import Invert, normalise_digit

__all__ = ["BACKGROUND", "FOREGROUND", "prepare", "prepare_digit"]

# With these the mean of the pixels is about 0 and their variance about 1; they are never fitted to the data.
BACKGROUND = -0.1
FOREGROUND = 1.175

# (step from one grey level to the next, background), of the type computed in: no float64 array comes into being.
_SCALE = {np.dtype(t): (t((FOREGROUND - BACKGROUND) / 255), t(BACKGROUND)) for t in (np.float32, np.float64)}


def prepare(
    images: NDArray[np.uint8],
    *,
    size: int = 32,
    dtype: DTypeLike = np.float32,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """value = background + pixel / 255 (foreground - background), in the middle of a background frame.

    Parameters
    ----------
    images : ndarray of uint8, shape (H, W), (N, H, W) or (N, H, W, C)
        Never changed. (H, W) is one pattern.
    size : int
        An axis shorter than this is padded to it, `(size - H) // 2` before and the rest after; a longer one
        is kept as it is (section VII feeds the network wide images).
    dtype : float32 or float64
        Type of the result; with `out`, that of `out`.
    out : ndarray, shape (N, C, max(H, size), max(W, size)), optional
        Written to, in full, and returned; saves the allocation.

    Returns
    -------
    ndarray, shape (N, C, max(H, size), max(W, size))

    Raises
    ------
    ShapeError
        `images` is not uint8, has other dimensions or an empty picture; `out` does not fit.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise ShapeError(f"prepare: expected uint8 images, found {getattr(images, 'dtype', type(images))}")
    if images.ndim == 3:
        pixels = images[:, None]
    elif images.ndim == 2:
        pixels = images[None, None]
    elif images.ndim == 4:
        pixels = images.transpose(0, 3, 1, 2)
    else:
        raise ShapeError(f"prepare: expected (H, W), (N, H, W) or (N, H, W, C), found shape {images.shape}")
    n, channels, height, width = pixels.shape
    if not (channels and height and width):
        raise ShapeError(f"prepare: expected pictures with pixels, found shape {images.shape}")
    full = (n, channels, height if height > size else size, width if width > size else size)
    if out is None:
        out = np.empty(full, dtype)
    elif out.shape != full:
        raise ShapeError(f"prepare: out: expected shape {full}, found {out.shape}")
    try:
        step, background = _SCALE[out.dtype]
    except KeyError:
        raise ShapeError(f"prepare: expected float32 or float64, found {out.dtype}") from None

    inner = out
    if full[2] != height or full[3] != width:
        out.fill(0)
        top, left = (full[2] - height) // 2, (full[3] - width) // 2
        inner = out[:, :, top : top + height, left : left + width]
    inner[...] = pixels  # then two passes over whole rows, which takes less time than a product of another type
    np.multiply(out, step, out)
    np.add(out, background, out)
    return out


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
