"""Deslanting: measure the slant of each image from its second moments, and remove it by shearing."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["deslant", "slant"]

# Number of images processed at a time.
_CHUNK = 4096


def slant(images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the slant of each image and the row of its centre of mass.

    The slant is cov(row, column) / var(row), weighted by the grey levels: the slope of the regression of columns on
    rows, in columns per row. It is 0 for images without ink or with ink in a single row.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Images. The grey levels of the channels are summed.

    Returns
    -------
    slants, centres : ndarray of float64, shape (N,)
    """
    slants, centres = np.zeros((2, len(images)))
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].astype(np.float64)
        ink = chunk.sum(axis=3) if chunk.ndim == 4 else chunk
        rows, columns = np.arange(ink.shape[1]), np.arange(ink.shape[2])
        across = ink.sum(axis=2)  # (n, H)
        mass = np.maximum(across.sum(axis=1), 1.0)
        row = across @ rows / mass
        column = ink.sum(axis=1) @ columns / mass
        variance = across @ rows**2 / mass - row**2
        covariance = (ink @ columns) @ rows / mass - row * column
        level = variance > 1e-9
        part = slice(start, start + len(chunk))
        slants[part] = np.where(level, covariance / np.where(level, variance, 1.0), 0.0)
        centres[part] = row
    return slants, centres


def deslant(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shear every image horizontally so that its slant becomes 0.

    As in the paper (section III.C), the slant is determined from the second moments of the ink, and the shear makes the
    principal axis vertical. Pixels stay in their rows, and the centre of mass does not move.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Not modified. The area outside an image counts as background (0).

    Returns
    -------
    ndarray of uint8, of the same shape
    """
    from .. import engine  # imported here, because this import loads the compiler

    slants, centres = slant(images)
    n, height, width = images.shape[:3]
    matrices = np.zeros((n, 2, 3), np.float32)
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1.0
    # new (row, column) <- old (row, column + slant (row - centre))
    matrices[:, 1, 0], matrices[:, 1, 2] = slants, -slants * centres
    out, none = np.empty((n, height, width, images[..., None].shape[3]), np.uint8), np.empty((0, 2, height, width))
    engine.warp(np.array(images).reshape(out.shape), matrices, none.astype(np.float32), np.float32(0), out)
    return out.reshape(images.shape)
