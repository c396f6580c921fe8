"""Style shared by all plots, and functions that tile images and save figures."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import atomic_write

__all__ = ["COLOURS", "LINES", "MARKERS", "PAPER", "TEST", "TRAIN", "VALIDATION", "mosaic", "save", "tiles"]

# Okabe and Ito's palette, whose colours also differ in lightness. Line styles and markers distinguish curves in print
# without colours.
TEST, TRAIN, VALIDATION, PAPER = "#0072B2", "#D55E00", "#009E73", "#555555"
COLOURS = (TEST, TRAIN, VALIDATION, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES, MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "v", "D")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a PNG file atomically; the file omits Matplotlib's version, so its bytes are reproducible."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=130, metadata={"Software": None})


def tiles(pictures: np.ndarray, columns: int, *, gap: int = 1) -> np.ndarray:
    """Arrange images (N, H, W) row by row in one array, separated by gaps of NaN, which are drawn blank."""
    n, height, width = pictures.shape
    rows = -(-n // columns)
    out = np.full((rows * columns, height + gap, width + gap), np.nan)
    out[:n, :height, :width] = pictures
    grid = out.reshape(rows, columns, height + gap, width + gap).transpose(0, 2, 1, 3)
    return grid.reshape(rows * (height + gap), columns * (width + gap))[: -gap or None, : -gap or None]


def mosaic(axes: Axes, pictures: np.ndarray, columns: int, labels: Sequence[str] = (), **options: object) -> None:
    """Draw images (N, H, W) and labels above them in a single Axes, which is much faster than one Axes per image."""
    n, height, width = pictures.shape
    gap = max(1, height // 3) if labels else 1
    padded = np.full((n, height + gap - 1, width), np.nan) if labels else np.asarray(pictures, float)
    if labels:
        padded[:, gap - 1 :] = pictures
    axes.imshow(tiles(padded, columns), **({"cmap": "gray_r", "interpolation": "nearest"} | options))  # type: ignore[arg-type]
    axes.set_axis_off()
    for k, label in enumerate(labels):
        x, y = (k % columns) * (width + 1) + width / 2 - 0.5, (k // columns) * (height + gap) + gap / 2 - 1
        axes.text(x, y, label, ha="center", va="center", fontsize=7)
