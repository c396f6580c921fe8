"""Warn about images whose tones differ from those that a network was trained on, such as dark on light."""

import sys
import warnings
from typing import Any

import numpy as np

from ..errors import LenetWarning
from .learned import Field

__all__ = ["LOOK", "MIDDLE", "look", "tones_of", "warn", "warn_dark"]

LOOK = 256  # pictures of a batch that are looked at
_DIM = 0.25  # of the lightest pixel seen in training; pictures without any as light as this are hardly drawn
MIDDLE = 127.5
_TURNED = 144  # grey levels by which the edge differs from that seen in training where the colours are turned


def look(pictures: np.ndarray, field: Field) -> int:
    """Warn of pictures (N, H, W) that cannot be ink as the network has seen it; return their lightest pixel."""
    largest, edge = _brightness(pictures[:LOOK])
    ground = field.ground
    if ground is None or largest <= 1:
        return largest
    if edge > ground + _TURNED:
        warn_dark()
    elif edge < ground - _TURNED:
        warn("These pictures are light on dark, and the network was trained on dark on light: give 255 - images.")
    elif largest < _DIM * field.peak and ground < MIDDLE:
        warn(
            "These pictures are almost black: no pixel is a quarter as light as those it was trained on. Grey levels "
            "go from 0 to 255: scale the pictures to that, as by images * (255 / images.max())."
        )
    return largest


_engine: Any = None


def _brightness(pictures: np.ndarray) -> tuple[int, float]:
    """Return the lightest pixel of pictures (N, H, W), and the mean at their edge."""
    global _engine
    if _engine is None:
        from .. import engine  # here, so that making a data set does not load a compiler

        _engine = engine
    return _engine.brightness(pictures if pictures.flags.c_contiguous else np.ascontiguousarray(pictures))


def tones_of(pictures: np.ndarray) -> tuple[float | None, int]:
    """Return the mean grey level at the edge of grey pictures, None of those in colour, and the lightest pixel."""
    if pictures.ndim == 4 and pictures.shape[3] > 1:
        return None, 255
    sample = pictures[:LOOK] if pictures.ndim == 3 else pictures[:LOOK, :, :, 0]
    largest, edge = _brightness(sample)
    return round(float(edge), 1), int(largest)


def warn_dark() -> None:
    """Warn of pictures whose colours are turned."""
    warn(
        "These pictures are dark on light, and the network was trained on light on dark: give 255 - images, or let "
        "lenet5.prepare_digit look."
    )


def warn(text: str) -> None:
    """Issue a warning that points to the caller's line outside this package."""
    # At the line that called this package. The text is always the same, so that Python shows it once for each such
    # line.
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("lenet5"):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, LenetWarning, stacklevel=level)
