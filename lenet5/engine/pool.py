"""Sums and maxima over windows, and the way back."""

import numpy as np

from .jit import kernel, part

__all__ = ["max_pool", "max_unpool", "window_spread", "window_sum"]


def _windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Return every window of x as a view (N, C, Ho, Wo, size, size)."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]


@part
def pad_one(x, top, left, y, lanes):  # type: ignore[no-untyped-def]
    """Put x (C, H, W*lanes) into the zeros of y (C, Ho, Wo*lanes), `top` rows down and `left` columns in."""
    y[...] = 0
    for c in range(len(x)):
        for r in range(x.shape[1]):
            row, source = y[c, top + r, left * lanes :], x[c, r]
            for s in range(len(source)):
                row[s] = source[s]


@part
def crop_one(y, top, left, x, lanes):  # type: ignore[no-untyped-def]
    """Take x (C, H, W*lanes) out of y (C, Ho, Wo*lanes): the transpose of `pad_one`."""
    for c in range(len(x)):
        for r in range(x.shape[1]):
            row, source = x[c, r], y[c, top + r, left * lanes :]
            for s in range(len(row)):
                row[s] = source[s]


@part
def repeat_one(x, y):  # type: ignore[no-untyped-def]
    """Copy every map of x (C, H, W*lanes) to as many maps of y as there are for each."""
    copies = len(y) // len(x)
    for c in range(len(y)):
        for r in range(y.shape[1]):
            row, source = y[c, r], x[c // copies, r]
            for s in range(len(row)):
                row[s] = source[s]


@part
def gather_one(y, x):  # type: ignore[no-untyped-def]
    """Add up in every map of x the maps of y that are its copies: the transpose of `repeat_one`."""
    copies = len(y) // len(x)
    x[...] = 0
    for c in range(len(y)):
        for r in range(y.shape[1]):
            row, source = x[c // copies, r], y[c, r]
            for s in range(len(row)):
                row[s] += source[s]


@part
def window_sum_one(x, size, stride, y, lanes):  # type: ignore[no-untyped-def]
    """Patterns side by side: x (C, H, W*lanes) to y (C, Ho, Wo*lanes)."""
    channels, ho, wide = y.shape
    for c in range(channels):
        for r in range(ho):
            out = y[c, r]
            if size == 2 and stride == 2:  # the paper's
                upper, lower = x[c, 2 * r], x[c, 2 * r + 1]
                if lanes == 1:
                    for s in range(wide):
                        out[s] = (upper[2 * s] + upper[2 * s + 1]) + (lower[2 * s] + lower[2 * s + 1])
                    continue
                for s in range(wide // lanes):
                    left, right, cell = upper[2 * s * lanes :], upper[(2 * s + 1) * lanes :], out[s * lanes :]
                    left_below, right_below = lower[2 * s * lanes :], lower[(2 * s + 1) * lanes :]
                    for k in range(lanes):
                        cell[k] = (left[k] + right[k]) + (left_below[k] + right_below[k])
                continue
            out[:] = 0
            for q in range(size * size):
                row = x[c, r * stride + q // size]
                for s in range(wide // lanes):
                    for k in range(lanes):
                        out[s * lanes + k] += row[(s * stride + q % size) * lanes + k]


def _window_sum_numpy(x: np.ndarray, size: int, stride: int, y: np.ndarray) -> None:
    _windows(x, size, stride).sum(axis=(4, 5), out=y)


@kernel(twin=_window_sum_numpy)
def window_sum(x: np.ndarray, size: int, stride: int, y: np.ndarray) -> None:
    """y[n, c, r, s] = sum of the window of x at (r*stride, s*stride).

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    size, stride : int
    y : ndarray (N, C, Ho, Wo), overwritten
    """
    for n in range(len(x)):
        window_sum_one(x[n], size, stride, y[n], 1)


@part
def window_spread_one(y, size, stride, x, lanes):  # type: ignore[no-untyped-def]
    """Add y (C, Ho, Wo*lanes) to the windows of x (C, H, W*lanes), which is overwritten."""
    channels, ho, wide = y.shape
    plain = size == 2 and stride == 2 and x.shape[1] == 2 * ho and x.shape[2] == 2 * wide
    if not plain:
        x[...] = 0
    for c in range(channels):
        for r in range(ho):
            source = y[c, r]
            if plain:
                upper, lower = x[c, 2 * r], x[c, 2 * r + 1]
                if lanes == 1:
                    for s in range(wide):
                        upper[2 * s] = upper[2 * s + 1] = lower[2 * s] = lower[2 * s + 1] = source[s]
                    continue
                for s in range(wide // lanes):
                    left, right, cell = upper[2 * s * lanes :], upper[(2 * s + 1) * lanes :], source[s * lanes :]
                    left_below, right_below = lower[2 * s * lanes :], lower[(2 * s + 1) * lanes :]
                    for k in range(lanes):
                        left[k] = right[k] = left_below[k] = right_below[k] = cell[k]
                continue
            for q in range(size * size):
                row = x[c, r * stride + q // size]
                for s in range(wide // lanes):
                    for k in range(lanes):
                        row[(s * stride + q % size) * lanes + k] += source[s * lanes + k]


def _window_spread_numpy(y: np.ndarray, size: int, stride: int, x: np.ndarray) -> None:
    ho, wo = y.shape[2:]
    x[...] = 0
    for i in range(size):
        for j in range(size):
            x[:, :, i : i + ho * stride : stride, j : j + wo * stride : stride] += y


@kernel(twin=_window_spread_numpy)
def window_spread(y: np.ndarray, size: int, stride: int, x: np.ndarray) -> None:
    """Transpose of `window_sum`: add y[n, c, r, s] to every cell of its window; x is overwritten."""
    for n in range(len(x)):
        window_spread_one(y[n], size, stride, x[n], 1)


@part
def max_pool_one(x, size, stride, y, chosen, lanes):  # type: ignore[no-untyped-def]
    """Patterns side by side: x (C, H, W*lanes) to y and chosen (C, Ho, Wo*lanes)."""
    channels, ho, wide = y.shape
    for c in range(channels):
        for r in range(ho):
            for s in range(wide):
                first = s // lanes * stride * lanes + s % lanes
                best = x[c, r * stride, first]
                which = 0
                for q in range(1, size * size):
                    v = x[c, r * stride + q // size, first + q % size * lanes]
                    # NaN wins, as in NumPy: a network that has failed must not look healthy.
                    if v > best or (v != v and best == best):
                        best = v
                        which = q
                y[c, r, s] = best
                chosen[c, r, s] = which


def _max_pool_numpy(x: np.ndarray, size: int, stride: int, y: np.ndarray, chosen: np.ndarray) -> None:
    windows = _windows(x, size, stride)
    flat = windows.reshape(*windows.shape[:4], size * size)
    chosen[...] = flat.argmax(axis=4)
    flat.max(axis=4, out=y)


@kernel(twin=_max_pool_numpy)
def max_pool(x: np.ndarray, size: int, stride: int, y: np.ndarray, chosen: np.ndarray) -> None:
    """y[n, c, r, s] = maximum of the window of x at (r*stride, s*stride).

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    size, stride : int
    y : ndarray (N, C, Ho, Wo), overwritten
    chosen : ndarray (N, C, Ho, Wo), int32, overwritten
        Which cell of the window, row by row, held the maximum: the first of equals.
    """
    for n in range(len(x)):
        max_pool_one(x[n], size, stride, y[n], chosen[n], 1)


@part
def max_unpool_one(y, size, stride, chosen, x, lanes):  # type: ignore[no-untyped-def]
    """Add y (C, Ho, Wo*lanes) to the chosen cells of x (C, H, W*lanes), which is overwritten."""
    channels, ho, wide = y.shape
    x[...] = 0
    for c in range(channels):
        for r in range(ho):
            for s in range(wide):
                q = int(chosen[c, r, s])
                first = s // lanes * stride * lanes + s % lanes
                x[c, r * stride + q // size, first + q % size * lanes] += y[c, r, s]


def _max_unpool_numpy(y: np.ndarray, size: int, stride: int, chosen: np.ndarray, x: np.ndarray) -> None:
    n, c, r, s = np.ogrid[tuple(map(slice, y.shape))]
    x[...] = 0
    np.add.at(x, (n, c, r * stride + chosen // size, s * stride + chosen % size), y)


@kernel(twin=_max_unpool_numpy)
def max_unpool(y: np.ndarray, size: int, stride: int, chosen: np.ndarray, x: np.ndarray) -> None:
    """Add y[n, c, r, s] to the cell that held its window's maximum; x (N, C, H, W) is overwritten."""
    for n in range(len(y)):
        max_unpool_one(y[n], size, stride, chosen[n], x[n], 1)
