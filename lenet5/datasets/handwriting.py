"""Convert images of handwritten digits to MNIST's format, and images of lines of digits to the input of `sdnn.sweep`.

In MNIST, digits fit into 20x20 pixels and are centred by mass in images of 28x28 pixels.
"""

import itertools
import math
import os
import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, ImageError
from .rules import without_frame, without_rules

__all__ = [
    "BOX",
    "MAX_PIXELS",
    "SIDE",
    "SeveralDigitsError",
    "centre",
    "normalise_digit",
    "normalise_line",
    "picture",
    "resize",
]

SIDE, BOX = 28, 20  # as in MNIST: images are 28x28 pixels, and the digits in them up to 20x20
LINE_HEIGHT = 22  # height of the ink in a line; more than 20, because centring by mass shifts digits vertically
LINE_MARGIN = 16  # width of the background on each side of a line: half the width of the network's input
LONGEST_LINE = 480  # maximum width of the ink in a line; wider lines are scaled down
MAX_PIXELS = 50_000_000
# Other formats are rare, and some of Pillow's readers for them start programs (EPS) or open other files.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
WORKING_SIDE = 400  # large images are first downsampled to about WORKING_SIDE**2 pixels
FAINTEST = 8.0  # smallest contrast, in grey levels (0 to 255); images with less contrast count as blank

Invert = bool | Literal["auto"]


class SeveralDigitsError(ImageError):
    """Raised if an image of one digit shows several characters side by side."""


def normalise_digit(image: str | os.PathLike[str] | ArrayLike, *, invert: Invert = "auto") -> NDArray[np.uint8]:
    """Convert an image of one digit to the format of MNIST.

    Parameters
    ----------
    image : path-like or array-like
        Image file, or array of shape (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4): grey or RGB, with or without
        alpha; uint8, bool, or floats in 0..1 or 0..255. The ink can be dark on light, light on dark, coloured, or drawn
        on a transparent background. Not modified.
    invert : {"auto", True, False}
        True for dark ink on light paper, False for light ink on dark paper, "auto" to detect which.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        Background 0, ink up to 255.

    Raises
    ------
    ImageError
        If the image cannot be read, has an unsupported format, is too large, or is blank. The subclass
        `SeveralDigitsError` is raised if it shows several characters side by side.
    ConfigError
        If `invert` is not one of the values listed above.
    """
    ink = _cropped(image, invert)
    if parts := _side_by_side(ink):
        raise SeveralDigitsError(
            f"{_name(image)}: expected one digit, found {parts} characters side by side. Cut them apart, or read them "
            "as a line: run python -m lenet5.predict, or call lenet5.analysis.sdnn.sweep(net, "
            "lenet5.datasets.normalise_line(image))."
        )
    longest = max(ink.shape)
    if not BOX - 1 <= longest <= BOX:  # accept BOX - 1, so as not to blur images in MNIST's format
        ink = _fitted(ink, BOX / longest)
    return centre(np.rint(255 * ink))


def normalise_line(image: str | os.PathLike[str] | ArrayLike, *, invert: Invert = "auto") -> NDArray[np.uint8]:
    """Convert an image of several digits side by side to an image that `analysis.sdnn.sweep` can read (section VII).

    Parameters
    ----------
    image, invert
        As for `normalise_digit`.

    Returns
    -------
    ndarray of uint8, shape (28, W)
        The ink is 22 rows high and vertically centred, with 16 columns of background on the left and on the right.
        This is half the width of the network's input, so a window can be centred on the first and the last digit.

    Raises
    ------
    ImageError
        As for `normalise_digit`.
    ConfigError
        As for `normalise_digit`.
    """
    ink = _cropped(image, invert)
    ink = _fitted(ink, min(LINE_HEIGHT / ink.shape[0], LONGEST_LINE / ink.shape[1]))
    above = (SIDE - ink.shape[0]) // 2
    frame = ((above, SIDE - ink.shape[0] - above), (LINE_MARGIN, LINE_MARGIN))
    return np.pad(np.rint(255 * ink).astype(np.uint8), frame)


def _cropped(image: str | os.PathLike[str] | ArrayLike, invert: Invert) -> NDArray[np.float32]:
    """Return the ink of an image, scaled to at most 1 and cropped to its bounding box."""
    if invert not in (True, False, "auto"):
        raise ConfigError(f"invert: expected True, False or 'auto', found {invert!r}")
    name = _name(image)
    pixels = picture(image, name) if isinstance(image, str | os.PathLike) else image
    ink = _ink(_opaque(_levels(pixels, name), name), invert, name)
    if not ink.any():  # only specks
        raise ImageError(f"{name}: nothing drawn: the image contains specks, but no strokes")
    ink = ink[_extent(ink.max(axis=1)), _extent(ink.max(axis=0))]
    return ink / ink.max()


def _name(image: object) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else "image"


def _side_by_side(ink: NDArray[np.float32]) -> int:
    """Count characters side by side in cropped ink; return 0 if there is only one or the ink is too small to tell."""
    height, width = ink.shape
    if min(ink.shape) < BOX:
        return 0
    inked = ink.any(axis=0)
    edges = np.flatnonzero(np.diff(inked.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    tall = []
    for start, stop in edges:
        rows = np.flatnonzero(ink[:, start:stop].any(axis=1))
        if rows[-1] - rows[0] + 1 >= 0.5 * height:
            tall.append((start, stop))
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(tall)]
    apart = width > 1.15 * height or any(gap > 0.3 * height for gap in gaps)
    return len(tall) if len(tall) > 1 and apart else 0


def _fitted(ink: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Resize ink by `factor`, and rescale its levels so that strokes are as white as in MNIST."""
    height, width = (max(1, round(side * factor)) for side in ink.shape)
    ink = resize(ink, (height, width))
    # Shrinking turns thin strokes grey. Rescale the levels so that a quarter of the ink is white, as in MNIST.
    return np.minimum(ink / np.percentile(ink[ink > 0.1 * ink.max()], 75), 1)


def centre(ink: NDArray[Any]) -> NDArray[np.uint8]:
    """Place `ink`, at most 28x28 and not all zero, in a 28x28 image with its centre of mass in the middle."""
    total = ink.sum(dtype=np.float64)
    placed = np.zeros((SIDE, SIDE), np.uint8)
    where = []
    for axis, length in enumerate(ink.shape):
        mass = ink.sum(axis=1 - axis, dtype=np.float64)
        offset = round(SIDE / 2 - float(mass @ np.arange(length)) / total)
        offset = min(max(offset, 0), SIDE - length)
        where.append(slice(offset, offset + length))
    placed[where[0], where[1]] = np.clip(ink, 0, 255)
    return placed


def resize(picture: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a float32 image to `shape` (H, W), with antialiasing if it shrinks; negative values become 0."""
    from PIL import Image

    resized = Image.fromarray(picture).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.maximum(np.asarray(resized, np.float32), 0)


def picture(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Decode an image file to uint8, or to floats from 0 to 1 if it has more than 8 bits per channel."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ImageError(_too_large(name, picture.height, picture.width))
            # Avoid copies: a tiny file can decode to 200 MB of pixels.
            ImageOps.exif_transpose(picture, in_place=True)
            if picture.mode.startswith("I"):
                deep = _averaged(np.asarray(picture)[:, :, None])
                return deep / np.float32(max(65535.0, deep.max()))
            if picture.mode == "F":
                return np.asarray(picture)
            mode = "RGBA" if picture.has_transparency_data else "L" if picture.mode in ("1", "L") else "RGB"
            return np.asarray(picture if picture.mode == mode else picture.convert(mode))
    except ImageError:
        raise
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error and others
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise ImageError(f"{name}: not a readable image: {reason}") from error


def _too_large(name: str, height: int, width: int) -> str:
    return f"{name}: {width} x {height} pixels; the limit is {MAX_PIXELS:,} in total. Reduce the image first"


def _averaged(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return float32 pixels (H, W, C); if there are too many (see WORKING_SIDE), average square blocks of them."""
    factor = max(1, math.isqrt(array.shape[0] * array.shape[1]) // WORKING_SIDE)
    if factor == 1:
        return array.astype(np.float32)
    # Average `factor` rows at a time, to avoid a float32 copy of the whole image.
    rows = [array[k : k + factor].mean(axis=0, dtype=np.float32) for k in range(0, len(array), factor)]
    starts = np.arange(0, array.shape[1], factor)
    cells = np.diff(starts, append=array.shape[1]).astype(np.float32)
    sums: NDArray[np.float32] = np.add.reduceat(np.stack(rows), starts, axis=1)
    return np.divide(sums, cells[:, None], out=sums)


def _levels(image: object, name: str) -> NDArray[np.float32]:
    """Return an image as float32 levels 0..255 of shape (H, W, C), downsampled if it is large (see WORKING_SIDE)."""
    try:
        array = np.asarray(image)
    except Exception as error:  # arbitrary objects can raise any exception
        raise ImageError(f"{name}: expected an image file or an array, found {type(image).__name__}") from error
    if array.dtype.kind not in "biuf":
        raise ImageError(f"{name}: expected integer, bool or float pixels, found {array.dtype}")
    if array.dtype.kind in "iu" and array.dtype != np.uint8:  # such as int64 from a list of lists
        if array.size and not (array.min() >= 0 and array.max() <= 255):
            raise ImageError(f"{name}: expected levels in 0..255, found {array.min()} to {array.max()}")
        array = array.astype(np.uint8)
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4 or array.size == 0:
        raise ImageError(f"{name}: expected (H, W) or (H, W, 1 to 4) pixels, found shape {array.shape}")
    height, width = array.shape[:2]
    if height * width > MAX_PIXELS:
        raise ImageError(_too_large(name, height, width))
    scale = 255.0 if array.dtype.kind == "b" else 1.0
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 255):  # also rejects NaN
            raise ImageError(f"{name}: expected levels in 0..1 or 0..255, found {low:g} to {high:g}")
        scale = 255.0 if high <= 1.001 else 1.0

    return _averaged(array) * np.float32(scale)


def _opaque(levels: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Blend an image that has an alpha channel with paper of a suitable colour, and drop the channel."""
    channels = levels.shape[2]
    if channels in (1, 3):
        return levels
    colour, alpha = levels[:, :, :-1], levels[:, :, -1:] / 255
    if alpha.max() == 0:
        raise ImageError(f"{name}: nothing drawn: every pixel is transparent")
    solid = colour[alpha[:, :, 0] >= alpha.max() / 2]
    paper = np.median(solid, axis=0)
    if (np.abs(solid - paper).max(axis=1) > 64).mean() < 0.02:
        # If all visible pixels have one colour, they are ink: choose white paper for dark ink, black for light ink.
        paper = np.full_like(paper, 255 if paper.mean() < 128 else 0)
    return colour * alpha + paper * (1 - alpha)


def _ink(levels: NDArray[np.float32], invert: Invert, name: str) -> NDArray[np.float32]:
    """Return the ink (H, W): each pixel's difference from the paper, or 0 if it is only the paper's texture."""
    levels = without_frame(levels)
    paper, noise = _paper(levels)
    darker, lighter = (paper - levels).max(axis=2), (levels - paper).max(axis=2)
    if invert == "auto":
        invert = _energy(darker, noise) > _energy(lighter, noise)
    ink = np.maximum(darker if invert else lighter, 0)
    peak = float(ink.max())
    if peak < max(FAINTEST, 1.5 * noise):
        raise ImageError(f"{name}: nothing drawn: no stroke stands out from the background")
    # In a large image, faint grey is JPEG ringing or smear; in a small one, it is part of the shape.
    faint = 0.1 * peak if max(ink.shape) > SIDE else 0.0
    ink[ink < min(max(noise, faint), 0.4 * peak)] = 0
    return _without_specks(without_rules(ink))


def _paper(levels: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Fit a plane to the levels at the image's edges, to model uneven lighting; return it and 4 sigma of the noise."""
    height, width, channels = levels.shape
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    plane = np.stack([np.ones_like(rows), rows, columns], axis=2)
    # The ring of pixels at the edges is wider than a line drawn along an edge.
    on_edge, ring = np.ones((height, width), bool), max(1, min(height, width) // 50)
    on_edge[ring:-ring, ring:-ring] = False
    edge, at = levels[on_edge], plane[on_edge]
    # Exclude strokes at the edge as outliers. One sigma of a Gaussian is 1.4826 median absolute deviations.
    away = np.abs(edge - np.median(edge, axis=0)).max(axis=1)
    near = away <= 3 * 1.4826 * np.median(away)
    fit = np.linalg.lstsq(at[near], edge[near], rcond=None)[0]
    noise = 4 * 1.4826 * float(np.median(np.abs(edge[near] - at[near] @ fit)))
    return plane @ fit, noise


def _energy(ink: NDArray[np.float32], noise: float) -> float:
    return float(np.square(ink[ink > noise], dtype=np.float64).sum())


def _without_specks(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove specks (ink with little other ink around it), which would enlarge the bounding box of the digit."""
    from PIL import Image, ImageFilter

    radius = max(ink.shape) // 40
    if radius == 0:
        return ink
    grey = Image.fromarray(np.rint(ink * (255 / ink.max())).astype(np.uint8))
    around = np.asarray(grey.filter(ImageFilter.BoxBlur(radius)))
    return np.where(around > 0.1 * around.max(), ink, 0)


def _extent(profile: NDArray[np.float32]) -> slice:
    inked = np.flatnonzero(profile)
    return slice(int(inked[0]), int(inked[-1]) + 1)
