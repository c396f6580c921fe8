"""Read image files and convert them to a common shape."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, LenetError
from .handwriting import MAX_PIXELS, normalise_digit, picture, resize

__all__ = ["LARGEST", "OtherReading", "Reading", "read_chunk", "read_picture"]

Path_ = str | os.PathLike[str]

LARGEST = 128  # maximum side length in pixels; by default, larger images are scaled down
_COLOURED = 16  # largest difference between the channels of a grey pixel, in grey levels


@dataclass(frozen=True)
class Reading:
    """Options for reading images; if `fit` is empty, images are not scaled."""

    fit: str
    side: int
    colour: bool


class OtherReading(Exception):
    """Raised if images turn out to be in colour or to differ in size; `change` holds the `Reading` option to change."""

    def __init__(self, **change: Any) -> None:
        super().__init__(change)
        self.change = change

    def __reduce__(self) -> tuple[Any, ...]:
        return _other, (self.change,)


def _other(change: dict[str, Any]) -> OtherReading:
    return OtherReading(**change)


def read_picture(path: Path_, fit: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an image file and convert it to `shape`, (H, W) or (H, W, 3), with the option `fit` of `from_folder`.

    Raises
    ------
    ImageError
        If the file cannot be read.
    """
    if fit == "digit":
        return normalise_digit(path)
    pixels = _open(path, len(shape) == 3)
    if len(shape) == 3 and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels if pixels.shape == shape else _scaled(pixels, shape[0])


def read_chunk(paths: Sequence[str], reading: Reading, auto: bool, guess: bool) -> tuple[NDArray[np.uint8], list[Any]]:
    """Return the images (n, H, W) or (n, H, W, 3) that could be read, and (index, reason) for the others."""
    images, damaged = [], []
    for k, path in enumerate(paths):
        try:
            if reading.fit == "digit":
                images.append(normalise_digit(path))
                continue
            pixels = _open(path, reading.colour or guess)
        except LenetError as error:
            damaged.append((k, str(error)))
            continue
        if pixels.ndim == 3 and not reading.colour:
            if np.ptp(pixels.astype(np.int16), axis=2).max(initial=0) > _COLOURED:
                raise OtherReading(colour=True)
            pixels = pixels[..., 0]
        elif pixels.ndim == 2 and reading.colour:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        if not reading.fit:
            if auto and (images and pixels.shape != images[0].shape or max(pixels.shape[:2]) > LARGEST):
                raise OtherReading(fit="scale")
            if not auto and pixels.shape[:2] != (reading.side, reading.side):
                raise OtherReading(fit="scale")
            images.append(pixels)
        else:
            images.append(_scaled(pixels, reading.side))
    return np.stack(images) if images else np.empty((0, 0, 0), np.uint8), damaged


def _open(path: Path_, colour: bool) -> NDArray[np.uint8]:
    """Return the pixels of an image file, (H, W), or (H, W, 3) if it is in colour and `colour` is true."""
    pixels = picture(path, os.fspath(path))
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise ImageError(f"{path}: expected at most {MAX_PIXELS:,} pixels, found more. Reduce the image first")
    if pixels.dtype != np.uint8:  # images with more than 8 bits per channel are floats, usually from 0 to 1
        low, high = float(pixels.min()), float(pixels.max())
        pixels = np.rint((pixels - min(low, 0.0)) * (255 / max(high, 1.0))).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        return pixels[..., 0]
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):  # blend transparent images with white
        alpha = pixels[..., -1:] / np.float32(255)
        pixels = np.rint(pixels[..., :-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if pixels.ndim == 3 and not colour:
        return np.rint(pixels.mean(axis=2)).astype(np.uint8)
    return pixels


def _scaled(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale an image to fit into a square, and fill the rest with the colour of the image's edge."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    edge = np.concatenate([planes[0], planes[-1], planes[:, 0], planes[:, -1]])
    out = np.empty((side, side, planes.shape[2]), np.uint8)
    out[:] = np.median(edge, axis=0).astype(np.uint8)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    for c in range(planes.shape[2]):
        plane = planes[..., c]
        if plane.shape != shape:
            plane = np.rint(resize(plane.astype(np.float32), shape)).clip(0, 255).astype(np.uint8)
        out[top : top + shape[0], left : left + shape[1], c] = plane
    return out[..., 0] if pixels.ndim == 2 else out
