"""Checks of the arrays that users give: images for a network, labels for a loss."""

import numpy as np

from .errors import ShapeError

__all__ = ["batch_of", "check_labels", "check_pixels"]

# Prepared pixels are about 1; the squares of finite numbers as large as this one may still be added up.
_LARGEST = 1e9


def batch_of(images: np.ndarray, in_shape: tuple[int, ...]) -> np.ndarray:
    """Return images with a batch axis, or raise ShapeError unless a network of that `in_shape` can read them.

    They are uint8 (N, H, W), (N, H, W, C) for colour, or one such image; or prepared floats (N, *in_shape).
    """
    images = np.asarray(images)
    channels = in_shape[0]
    colour = images.ndim == 3 and images.shape[2] == channels > 1
    if images.dtype == np.uint8 and (images.ndim == 2 or colour):
        return images[None]
    grey = images.ndim == 3 and channels == 1 and min(images.shape[1:]) > 4
    pictures = images.dtype == np.uint8 and (grey or images.ndim == 4 and images.shape[3] == channels)
    if not pictures and not (images.dtype.kind == "f" and images.ndim == len(in_shape) + 1):
        raise ShapeError(
            "Images are uint8 (N, 28, 28) or (28, 28) with 0 for the background, or prepared floats "
            f"(N, {', '.join(map(str, in_shape))}); found {images.dtype} {images.shape}. "
            "lenet5.prepare_digit makes any picture ready."
        )
    return images


def check_pixels(x: np.ndarray) -> None:
    """Raise ShapeError unless prepared floats can be pixels."""
    if not np.vdot(x, x) <= _LARGEST * x.size:  # also where it is NaN
        raise ShapeError("Prepared images hold numbers of about -0.1 to 1.175; found NaN, infinity or huge ones.")


def check_labels(y: np.ndarray, labels: np.ndarray) -> None:
    """Raise ShapeError unless y is (N, classes) with N > 0, and labels are N integers below classes."""
    if y.ndim != 2 or not len(y):
        raise ShapeError(f"A loss takes outputs (N, classes) with N at least 1; found {y.shape}.")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != (len(y),):
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ShapeError(f"Labels are an integer array ({len(y)},), one per output; found {found}.")
    lowest, highest = labels.min(), labels.max()
    if lowest < 0 or highest >= y.shape[1]:
        raise ShapeError(f"Labels lie in 0 to {y.shape[1] - 1}; found {lowest} to {highest}.")
