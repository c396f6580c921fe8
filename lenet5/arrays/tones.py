"""Warn about images whose grey levels differ from those of the training images, for example inverted images."""

import sys
import warnings
from typing import Any

import numpy as np

from ..errors import LenetWarning
from .learned import Field

__all__ = ["LOOK", "MIDDLE", "look", "tones_of", "warn", "warn_dark"]

LOOK = 256  # number of images of a batch that are checked
_DIM = 0.25  # images are almost black if their lightest pixel is below this fraction of that in the training images
MIDDLE = 127.5
# Images count as inverted if the mean level of their edges differs from that of the training images by more than this.
_TURNED = 144


def look(pictures: np.ndarray, field: Field) -> int:
    """Warn if images (N, H, W) differ in brightness from the training images; return the largest grey level."""
    largest, edge = _brightness(pictures[:LOOK])
    ground = field.ground
    if ground is None or largest <= 1:
        return largest
    if edge > ground + _TURNED:
        warn_dark()
    elif edge < ground - _TURNED:
        warn("These images are light on dark, but the training images were dark on light: pass 255 - images.")
    elif largest < _DIM * field.peak and ground < MIDDLE:
        warn(
            "These images are almost black: their lightest pixel is below a quarter of that in the training images. "
            "Grey levels range from 0 to 255. Scale the images, for example by images * (255 / images.max())."
        )
    return largest


_engine: Any = None


def _brightness(pictures: np.ndarray) -> tuple[int, float]:
    """Return the lightest pixel of images (N, H, W) and the mean of their edge pixels."""
    global _engine
    if _engine is None:
        from .. import engine  # imported here, so that creating a data set does not load the compiler

        _engine = engine
    return _engine.brightness(pictures if pictures.flags.c_contiguous else np.ascontiguousarray(pictures))


def tones_of(pictures: np.ndarray) -> tuple[float | None, int]:
    """Return the mean grey level at the edges of grey images and their largest grey level; for colour, None and 255."""
    if pictures.ndim == 4 and pictures.shape[3] > 1:
        return None, 255
    sample = pictures[:LOOK] if pictures.ndim == 3 else pictures[:LOOK, :, :, 0]
    largest, edge = _brightness(sample)
    return round(float(edge), 1), int(largest)


def warn_dark() -> None:
    """Warn that images are dark on light, unlike the training images."""
    warn(
        "These images are dark on light, but the training images were light on dark: pass 255 - images, or use "
        "lenet5.prepare_digit, which detects this."
    )


def warn(text: str) -> None:
    """Issue a warning that points to the line of user code that called the package."""
    # Python shows a warning once per source line and text, so texts should not contain values that vary.
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("lenet5"):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, LenetWarning, stacklevel=level)
