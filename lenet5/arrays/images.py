"""Convert images from any supported format.

Pixels: bool, integer values from 0 to 255 of any type, and floats from 0 to 1 are grey levels and become uint8. Other
floats in the network's input shape are taken as prepared input. Nothing else is accepted.

Shapes: grey images are (H, W) or (N, H, W), with or without a channel axis of length 1 before or after the two image
axes, or flattened square images (N, H * W). Colour images are (H, W, C), (N, H, W, C) or (N, C, H, W).
"""

import math
from typing import Any

import numpy as np

from ..errors import ShapeError
from .learned import Field
from .tones import LOOK, MIDDLE, look, warn, warn_dark

__all__ = ["as_array", "batch_of", "grey_levels", "pictures_of"]

# Prepared pixels are of order 1. Values up to this bound can be squared and summed without overflow.
_LARGEST = 1e9
_CHUNK = 4096  # number of images converted at a time
_SMALLEST = 5  # smallest side for which (H, W, 3) and (H, W, 4) mean one colour image, not H images of W x 3 pixels

_WHAT = (
    "Images must be integers from 0 to 255 or floats from 0 to 1, of shape (N, H, W), (N, H, W, C) or (N, C, H, W), a "
    "single such image, or flattened square images (N, H * W)"
)


def batch_of(images: Any, field: Field) -> tuple[np.ndarray, bool]:
    """Return images with a batch axis: uint8 (N, H, W) or (N, H, W, C), or prepared floats (N, *in_shape).

    Parameters
    ----------
    images : array-like
        Images in one of the formats described in the docstring of this module.
    field : Field

    Returns
    -------
    batch : ndarray
    single : bool
        Whether the input was a single image without a batch axis.

    Raises
    ------
    ShapeError
        If the images have an unsupported format, are larger than the field, or are ambiguous.
    """
    channels, *sides = field.in_shape
    if type(images) is np.ndarray and images.dtype == np.uint8:
        array, shape = images, images.shape
        plain = channels == 1 and len(shape) == 3 and len(sides) == 2 and len(images)
        if plain and _SMALLEST <= shape[1] <= sides[0] and _SMALLEST <= shape[2] <= sides[1]:  # fast path
            if look(images, field) == 1:
                grey_levels(images)
            return images, False
    else:
        array = as_array(images)
    if array.dtype.kind == "f":
        prepared = _prepared(array, field)
        if prepared is not None:
            return prepared
    if len(sides) != 2:
        raise ShapeError(f"This network takes floats (N, {channels}), not images; found {array.dtype} {array.shape}.")
    pictures, single = _colour(array, field) if channels > 1 else _grey(array, field)
    levels = grey_levels(pictures)
    if levels is None:
        raise ShapeError(
            f"{_refused(array)} {_WHAT}; this network also takes floats (N, {_list(field.in_shape)}) from "
            "net.prepared(images)."
        )
    if channels == 1 and levels.size:
        look(levels if levels.ndim == 3 else levels[..., 0], field)
    return levels, single


def as_array(images: Any, what: str = "images") -> np.ndarray:
    """Convert a value to an array of numbers, or raise ShapeError."""
    try:
        array = np.asarray(images)
    except Exception as error:  # arbitrary objects can raise any exception; NumPy rejects ragged lists
        raise ShapeError(
            f"{what}: {type(images).__name__} cannot be converted to an array of numbers: {error}"
        ) from error
    if array.dtype.kind == "O":  # for example, a data frame with several dtypes
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            pass
    if array.dtype.kind not in "biuf":
        found = f"{array.dtype} {array.shape}" if array.ndim else type(images).__name__
        hint = " lenet5.prepare_digit(path) reads an image file." if isinstance(images, str) else ""
        raise ShapeError(f"{what}: expected an array of numbers; found {found}.{hint}")
    return array


def grey_levels(array: np.ndarray, what: str = "images") -> np.ndarray | None:
    """Return pixels as uint8, or None for floats that are not grey levels; see the docstring of this module.

    Raises
    ------
    ShapeError
        If integer values are not grey levels.
    """
    if array.dtype == np.uint8:
        if array.size and array[:LOOK].max() == 1 == array.max():
            raise ShapeError(
                f"{what}: found only the integers 0 and 1, which are almost black as grey levels. Multiply them by "
                "255, or pass them as bool or float."
            )
        return array
    if array.dtype.kind == "b":
        return array * np.uint8(255)
    if not array.size:
        return array.astype(np.uint8)
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu":
        if not 0 <= low <= high <= 255:
            raise ShapeError(f"{what}: integer pixels must be from 0 to 255; found {low} to {high}.")
        return grey_levels(array.astype(np.uint8), what)
    share = 0 <= low and high <= 1.001
    if not share and not (0 <= low <= high <= 255):  # also rejects NaN
        return None
    levels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), _CHUNK):
        part = array[start : start + _CHUNK]
        whole = np.rint(np.minimum(part.astype(np.float64, copy=False), 1) * 255 if share else part)
        if not share and not np.array_equal(whole, part):
            return None
        levels[start : start + _CHUNK] = whole
    return levels


def _finer(shares: np.ndarray) -> bool:
    """Return whether any of the given floats from 0 to 1 is not one of the 256 grey levels."""
    parts = (shares[start : start + _CHUNK] * 255.0 for start in range(0, len(shares), _CHUNK))
    return any(np.abs(part - np.rint(part)).max(initial=0) > 0.01 for part in parts)


def pictures_of(images: Any, n: int, what: str = "images") -> np.ndarray:
    """Return n images, uint8 (n, H, W) or (n, H, W, C), from an array in one of the formats of this module's docstring.

    Raises
    ------
    ShapeError
        If the array has an unsupported format, or is ambiguous.
    """
    array = as_array(images, what)
    shape = array.shape
    if array.ndim == 2 and len(array) == n:
        side = math.isqrt(shape[1])
        if side * side != shape[1]:
            raise ShapeError(
                f"{what}: rows of {shape[1]} pixels are not square images. Reshape them to (N, H, W) or (N, H, W, C)."
            )
        array = array.reshape(n, side, side)
    elif array.ndim == 4:
        first, last = (shape[axis] in (1, 3) for axis in (1, 3))
        if first == last:
            raise ShapeError(
                f"{what}: shape {shape} has {'two axes' if first else 'no axis'} of length 1 or 3 that can be the "
                "channel axis. Pass (N, H, W, C) or (N, H, W)."
            )
        array = array if last else array.transpose(0, 2, 3, 1)
        array = array[..., 0] if array.shape[3] == 1 else array
    elif array.ndim != 3:
        raise ShapeError(f"{_WHAT.replace(' a single such image,', '')}; found {what} {array.dtype} {shape}.")
    levels = grey_levels(array, what)
    if levels is None:
        raise ShapeError(
            f"{what}: expected grey levels, integers from 0 to 255 or floats from 0 to 1; found {array.dtype} values "
            f"from {array.min():g} to {array.max():g}. Pass the images before standardisation."
        )
    return levels


def _prepared(array: np.ndarray, field: Field) -> tuple[np.ndarray, bool] | None:
    """Return an array that is prepared input as a batch, and whether it is a single image; None for other arrays."""
    single = array.shape == field.in_shape
    if not single and array.shape[1:] != field.in_shape:
        return None
    batch = array[None] if single else array
    if not array.size:
        return batch, single
    low, high = float(array.min()), float(array.max())
    if not -_LARGEST < low <= high < _LARGEST:
        raise ShapeError(
            "Prepared images have values from about -0.1 to 1.175; found NaN, infinity or very large values."
        )
    if len(field.in_shape) == 3 and low >= 0:
        unit = field.span is None or field.span[0] == 0  # whether floats from 0 to 1 can be prepared input
        if high > 1.001 and grey_levels(array) is not None or high <= 1.001 and not (unit and _finer(array)):
            return None
    if field.span is not None:
        background, foreground = sorted(field.span)
        margin = 0.1 * (foreground - background)
        if low < background - margin or high > foreground + margin:
            warn(
                f"Prepared images for this network have values from {background:g} to {foreground:g}. These images "
                "exceed that range: they look standardised, or prepared for another network. Pass grey levels "
                "(integers from 0 to 255 or floats from 0 to 1), which the network prepares itself."
            )
        elif field.in_shape[0] == 1 and field.ground is not None and field.ground < MIDDLE:
            edge = batch[:LOOK, 0]
            frame = np.concatenate([edge[:, 0], edge[:, -1], edge[:, :, 0], edge[:, :, -1]], axis=1)
            if frame.mean() > (background + foreground) / 2:
                warn_dark()
    return batch, single


def _grey(array: np.ndarray, field: Field) -> tuple[np.ndarray, bool]:
    """Return images (N, H, W) from an array in one of the shapes of grey images."""
    shape, (_, height, width) = array.shape, field.in_shape
    known = {side * side: side for side in field.sides if side <= min(height, width)}
    fits = len(shape) > 1 and shape[-2] <= height and shape[-1] <= width
    if len(shape) == 1 and shape[0] in known:
        return array.reshape(1, known[shape[0]], -1), True
    if len(shape) == 2:
        if shape[1] in known and not fits:
            return array.reshape(len(array), known[shape[1]], known[shape[1]]), False
        if fits and shape[1] not in known:
            return array[None], True
        side = math.isqrt(shape[1])
        if side * side == shape[1]:
            raise ShapeError(
                f"{array.dtype} {shape} is ambiguous: {shape[0]} flattened {side}x{side} images, or one image. "
                f"Reshape it to (-1, {side}, {side}) or (1, {shape[0]}, {shape[1]}).{_sweep(shape, field)}"
            )
    if len(shape) == 4 and 1 in (shape[1], shape[3]) and not (shape[1] == shape[3] or shape[2] == 1):
        array = array[:, 0] if shape[1] == 1 else array[..., 0]
        shape, fits = array.shape, array.shape[1] <= height and array.shape[2] <= width
    elif len(shape) == 3 and shape[2] == 1 and shape[0] <= height and shape[1] <= width:
        return array[None, :, :, 0], True
    if len(shape) == 3 and min(shape[1:]) >= min(_SMALLEST, height, width):
        if fits:
            return array, False
        raise ShapeError(
            f"Images of {shape[1]}x{shape[2]} are larger than the input of this network, {height}x{width}."
            f"{_sweep(shape, field)}"
        )
    colours = 3 in shape[1:] or 4 in shape[1:]
    hint = " This network takes grey images: average the colour channels first." if colours and len(shape) > 2 else ""
    raise ShapeError(f"{_refused(array)} {_WHAT}.{hint}{_sweep(shape, field)}")


def _sweep(shape: tuple[int, ...], field: Field) -> str:
    if len(shape) < 2 or shape[-2] <= field.in_shape[1] and shape[-1] <= field.in_shape[2]:
        return ""
    return (
        " net.sweep(images) applies a network at every position of larger images; lenet5.prepare_digit(image) scales "
        "one digit of any size."
    )


def _colour(array: np.ndarray, field: Field) -> tuple[np.ndarray, bool]:
    """Return images (N, H, W, C) from an array in one of the shapes of colour images."""
    channels, height, width = field.in_shape
    single = array.ndim == 3
    batch = array[None] if single else array
    if batch.ndim == 4 and (batch.shape[1] == channels) != (batch.shape[3] == channels):
        pictures = batch if batch.shape[3] == channels else batch.transpose(0, 2, 3, 1)
        if pictures.shape[1] <= height and pictures.shape[2] <= width:
            return pictures, single
    raise ShapeError(
        f"{_refused(array)} This network takes images of up to {height}x{width} with {channels} channels, (N, H, W, "
        f"{channels}) or (N, {channels}, H, W), as integers from 0 to 255 or floats from 0 to 1."
        f"{_sweep(batch.shape[:3], field)}"
    )


def _refused(array: np.ndarray) -> str:
    values = f" from {array.min():g} to {array.max():g}" if array.size and array.dtype.kind == "f" else ""
    return f"{array.dtype} {array.shape}{values} cannot be used as images for this network."


def _list(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
