"""Resampling of images at transformed positions."""

import numpy as np

from .jit import kernel

__all__ = ["warp"]


def _warp_numpy(
    images: np.ndarray, matrices: np.ndarray, displacement: np.ndarray, alpha: np.float32, out: np.ndarray
) -> None:
    n, height, width, _ = images.shape
    down, right = np.mgrid[:height, :width].astype(np.float32)
    for k in range(n):
        (a, b, e), (c, d, f) = matrices[k]
        row, column = a * down + b * right + e, c * down + d * right + f
        if len(displacement):
            row, column = row + alpha * displacement[k, 0], column + alpha * displacement[k, 1]
        padded = np.pad(images[k], [(1, 2), (1, 2), (0, 0)]).astype(np.float32)
        row, column = np.clip(row, -1, height) + 1, np.clip(column, -1, width) + 1
        top, left = row.astype(np.int64), column.astype(np.int64)
        v, u = (row - top)[..., None], (column - left)[..., None]
        upper = padded[top, left] + u * (padded[top, left + 1] - padded[top, left])
        lower = padded[top + 1, left] + u * (padded[top + 1, left + 1] - padded[top + 1, left])
        out[k] = upper + v * (lower - upper) + np.float32(0.5)


@kernel(twin=_warp_numpy)
def warp(images, matrices, displacement, alpha, out):  # type: ignore[no-untyped-def]
    """Set out[n, p] to images[n] at position matrices[n] (p, 1) + alpha displacement[n, p], interpolated bilinearly.

    Pixels outside the image count as 0. images and out are uint8 (N, H, W, C). matrices (N, 2, 3) map (row, column, 1)
    to (row, column). displacement is (N, 2, H, W), rows before columns, or (0, 2, H, W) for none. Both are float32.
    """
    n, height, width, channels = images.shape
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    for k in range(n):
        a, b, e = matrices[k, 0]
        c, d, f = matrices[k, 1]
        for r in range(height):
            for s in range(width):
                row = a * np.float32(r) + b * np.float32(s) + e
                column = c * np.float32(r) + d * np.float32(s) + f
                if len(displacement) > 0:
                    row += alpha * displacement[k, 0, r, s]
                    column += alpha * displacement[k, 1, r, s]
                if not (-one < row < height and -one < column < width):
                    for m in range(channels):
                        out[k, r, s, m] = 0
                    continue
                top, left = int(row + one) - 1, int(column + one) - 1  # int() truncates towards 0
                v, u = row - np.float32(top), column - np.float32(left)
                for m in range(channels):
                    here = right = below = across = zero
                    if top >= 0:
                        here = np.float32(images[k, top, left, m]) if left >= 0 else zero
                        right = np.float32(images[k, top, left + 1, m]) if left + 1 < width else zero
                    if top + 1 < height:
                        below = np.float32(images[k, top + 1, left, m]) if left >= 0 else zero
                        across = np.float32(images[k, top + 1, left + 1, m]) if left + 1 < width else zero
                    upper = here + u * (right - here)
                    lower = below + u * (across - below)
                    out[k, r, s, m] = np.uint8(upper + v * (lower - upper) + half)
