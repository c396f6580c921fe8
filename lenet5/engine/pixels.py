"""Conversion of pixels to floats, and the brightness of images."""

import numpy as np

from .jit import kernel

__all__ = ["brightness", "scale_pixels"]


def _scale_numpy(images: np.ndarray, levels: np.ndarray, out: np.ndarray) -> None:
    height, width = images.shape[1:3]
    top, left = (out.shape[2] - height) // 2, (out.shape[3] - width) // 2
    out.fill(levels[0])
    out[:, :, top : top + height, left : left + width] = levels[images].transpose(0, 3, 1, 2)


@kernel(twin=_scale_numpy)
def scale_pixels(images, levels, out):  # type: ignore[no-untyped-def]
    """Set out[n, c, i, j] = levels[images[n, i - top, j - left, c]] at the centre of out, and levels[0] around it.

    images is uint8 (N, H, W, C); levels (256,) and out (N, C, H' >= H, W' >= W) have the same dtype.
    """
    n, height, width, channels = images.shape
    rows, columns = out.shape[2:]
    top, left = (rows - height) // 2, (columns - width) // 2
    for k in range(n):
        for c in range(channels):
            for i in range(rows):
                row, inside = out[k, c, i], top <= i < top + height
                for j in range(left if inside else columns):
                    row[j] = levels[0]
                if inside:
                    for j in range(width):
                        row[left + j] = levels[images[k, i - top, j, c]]
                    for j in range(left + width, columns):
                        row[j] = levels[0]


def _brightness_numpy(images: np.ndarray) -> tuple[int, float]:
    edge = np.ones(images.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    return int(images.max(initial=0)), float(images[:, edge].mean())


@kernel(twin=_brightness_numpy)
def brightness(images):  # type: ignore[no-untyped-def]
    """Return the largest pixel value in uint8 images (N, H, W), and the mean of all their edge pixels."""
    n, height, width = images.shape
    flat = images.reshape(images.size)
    largest, total, count = np.uint8(0), 0, 0
    for p in range(len(flat)):
        largest = max(largest, flat[p])
    for k in range(n):
        for j in range(width):
            total += images[k, 0, j] + (images[k, height - 1, j] if height > 1 else 0)
        for i in range(1, height - 1):
            total += images[k, i, 0] + (images[k, i, width - 1] if width > 1 else 0)
        count += width * min(height, 2) + max(height - 2, 0) * min(width, 2)
    return largest, total / max(count, 1)
