"""Remove printed rules (lines or a grid on the paper) and the dark frame of a scan."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["without_frame", "without_rules"]

_SMALLEST = 40  # minimum side in pixels; smaller images are left unchanged, as a stroke can span them
_WIDEST = 0.3  # largest width of a frame, relative to the image's side
_FULL = 0.85  # smallest fraction of dark pixels in a row of a frame
_LONG = 0.7  # smallest fraction of ink along a rule
_THICK = 0.05  # largest thickness of a rule, relative to the image's side
_SLOPES = np.linspace(-0.08, 0.08, 33)  # slopes of ruled lines, in rows per column; at most 4.6 degrees
_EDGE = 0.03  # smallest distance of handwriting from the edge of a ruled image, relative to the side


def without_frame(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Crop bands at the edges of an image (H, W, C) that are not paper: a scanner's lid, a table, a shadow.

    A band must be bordered by paper along its whole length, so that a stroke at the edge is not mistaken for a band.
    """
    height, width = levels.shape[:2]
    if min(height, width) < _SMALLEST:
        return levels
    away = np.abs(levels - np.median(levels[height // 8 : -(height // 8), width // 8 : -(width // 8)], axis=(0, 1)))
    far = away.max(axis=2)
    dark = far > max(48.0, 0.35 * float(far.max()))
    top = bottom = left = right = 0
    for behind in (False, True):  # the second pass crops only bands that border on paper
        inner = dark[:, left : width - right]
        top, bottom = _band(inner, behind), _band(inner[::-1], behind)
        inner = dark[top : height - bottom].T
        left, right = _band(inner, behind), _band(inner[::-1], behind)
    return levels[top : height - bottom, left : width - right]


def _band(dark: NDArray[np.bool_], behind: bool) -> int:
    """Return the number of rows of a dark band at the start, or 0; if `behind`, the band must end at light paper."""
    most = int(_WIDEST * len(dark))
    share = dark[: most + 4].mean(axis=1)
    within = share > _FULL
    count = int(np.argmin(within)) if not within.all() else most + 1
    if not 0 < count <= most:
        return 0
    if not behind:
        return count + 3
    clear = np.flatnonzero(share[count : count + 4] < 0.02)
    return count + int(clear[0]) + 1 if len(clear) else 0


def without_rules(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove straight lines across an image's ink (H, W), but keep the strokes that cross them.

    Nothing is removed if the remaining ink reaches the edges of the image. In that case the lines are strokes of a
    character that fills the image.
    """
    if min(ink.shape) < _SMALLEST:
        return ink
    across, down = _lines(ink), _lines(ink.T)
    if not across and not down:
        return ink
    # On squared paper, printed lines that cross each other must not be mistaken for strokes.
    left = np.minimum(_erased(ink, across, ~_mask(ink.T, down).T), _erased(ink.T, down, ~_mask(ink, across).T).T)
    if not left.any():
        return ink
    rows, columns = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
    for found, side in ((rows, ink.shape[0]), (columns, ink.shape[1])):
        if found[0] < _EDGE * side or found[-1] >= (1 - _EDGE) * side:
            return ink
    return left


Line = tuple[NDArray[np.int_], NDArray[np.int_]]  # first and last row of a line in each column


def _lines(ink: NDArray[np.float32]) -> list[Line]:
    """Find straight lines that run from left to right, all with the same slope; include their soft edges."""
    height, width = ink.shape
    on = ink > 0
    outer = max(width // 10, 1)
    if not (on[:, :outer].any() and on[:, -outer:].any()):  # in most images, no line can span the width
        return []
    columns, rows = np.arange(width), np.arange(height)[:, None]
    best, share = 0.0, np.zeros(height)
    for slope in _SLOPES:
        at = rows + np.rint(slope * (columns - width / 2)).astype(int)
        inside = (at >= 0) & (at < height)
        count = inside.sum(axis=1)
        along = (on[at.clip(0, height - 1), columns] & inside).sum(axis=1) / np.maximum(count, 1)
        along[count < 0.5 * width] = 0
        if np.sum(along**8) > np.sum(share**8):
            best, share = float(slope), along
    shift = np.rint(best * (columns - width / 2)).astype(int)
    found = np.flatnonzero(share > _LONG)
    lines = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1) if len(found) else []
    thickest = max(2, _THICK * height) + 2
    return [(line[0] - 1 + shift, line[-1] + 1 + shift) for line in lines if len(line) <= thickest]


def _mask(ink: NDArray[np.float32], lines: list[Line]) -> NDArray[np.bool_]:
    rows = np.arange(len(ink))[:, None]
    mask = np.zeros(ink.shape, bool)
    for first, last in lines:
        mask |= (rows >= first) & (rows <= last)
    return mask


def _erased(ink: NDArray[np.float32], lines: list[Line], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the ink without lines, but keep visible strokes that cross a line or are darker than it."""
    height, width = ink.shape
    columns, out = np.arange(width), ink.copy()

    def at(row: NDArray[np.int_]) -> NDArray[np.float32]:
        row, column = np.broadcast_arrays(row, columns)
        inside = (row >= 0) & (row < height)
        row = row.clip(0, height - 1)
        return np.where(inside & seen[row, column], ink[row, column], 0)

    for first, last in lines:
        rows = first + np.arange(int((last - first)[0]) + 1)[:, None]
        darkest = at(rows).max(axis=0)
        level = float(np.median(darkest[darkest > 0])) if darkest.any() else 0.0
        through = (np.maximum(at(first - 1), at(first - 2)) > 0) & (np.maximum(at(last + 1), at(last + 2)) > 0)
        gone = (rows >= 0) & (rows < height) & ~(through | (at(rows) > 1.6 * level))
        row, column = np.broadcast_arrays(rows, columns)
        out[row[gone], column[gone]] = 0
    return out
