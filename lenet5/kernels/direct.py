"""Convolution at stride 1 without im2col.

One pattern: a map of width W is one flat vector, and a kernel with all its taps side by side runs along all of it.
The results at the W - Wo columns where a row ends and the next begins are never read. So the inner loops
are as long as a plane, and nothing is copied. Several patterns: they lie side by side, `lanes` numbers for
every cell, and the loops run along one row of all of them.
"""

import numpy as np

from ._jit import kernel, part
from .im2col import col2im_numpy, im2col_numpy
from .vectors import (
    VECTOR,
    add_dots_3x3,
    add_dots_5x5,
    add_taps_3x3,
    add_taps_5x5,
    add_turned_3x3,
    add_turned_5x5,
    copy_rows,
)  # fmt: skip

__all__ = ["LANES", "conv", "conv_back", "room_for_line"]

# Patterns side by side, where there are several: every cell is then one vector, and begins at a cache line.
LANES = VECTOR


def room_for_line(height: int, width: int, kh: int, kw: int, lanes: int) -> int:
    """Return how many numbers `conv` and `conv_back` need to work in: a plane within margins."""
    return (height + kh - 1) * (width + kw - 1) * lanes + VECTOR


@part
def _add_taps(  # type: ignore[no-untyped-def]
    x, x_at, w, w_at, size, turned, y, y_at, rows, n, x_row, y_row, width, step
):
    """y[r, p] += sum_ij w[i, j] x[r, p + i width + j step] for p < n and every row; see `vectors`."""
    done, (kh, kw) = 0, size
    if kh == kw and (kh == 5 or kh == 3):
        done = n & -VECTOR
        if kh == 5:
            if turned:
                add_turned_5x5(x, x_at, w, w_at, y, y_at, rows, done, x_row, y_row, width, step)
            else:
                add_taps_5x5(x, x_at, w, w_at, y, y_at, rows, done, x_row, y_row, width, step)
        elif turned:
            add_turned_3x3(x, x_at, w, w_at, y, y_at, rows, done, x_row, y_row, width, step)
        else:
            add_taps_3x3(x, x_at, w, w_at, y, y_at, rows, done, x_row, y_row, width, step)
    if done < n:
        for r in range(rows):
            out = y[y_at + r * y_row + done :]
            for k in range(kh * kw):
                source = x[x_at + r * x_row + done + k // kw * width + k % kw * step :]
                wk = w[w_at + kh * kw - 1 - k] if turned else w[w_at + k]
                for p in range(n - done):
                    out[p] += wk * source[p]


@part
def _add_dots(x, x_at, g, g_at, size, v, v_at, rows, n, x_row, v_row, width, step):  # type: ignore[no-untyped-def]
    """g[i, j] += sum_rp v[r, p] x[r, p + i width + j step] for p < n and every row; see `vectors`."""
    done, (kh, kw) = 0, size
    if kh == 5 and kw == 5:
        done = n & -VECTOR
        add_dots_5x5(x, x_at, g, g_at, v, v_at, rows, done, x_row, v_row, width, step)
    elif kh == 3 and kw == 3:
        done = n & -VECTOR
        add_dots_3x3(x, x_at, g, g_at, v, v_at, rows, done, x_row, v_row, width, step)
    if done < n:
        for r in range(rows):
            above = v[v_at + r * v_row + done :]
            for k in range(kh * kw):
                source = x[x_at + r * x_row + done + k // kw * width + k % kw * step :]
                total = g[g_at + k]
                for p in range(n - done):
                    total += above[p] * source[p]
                g[g_at + k] = total


@part
def _whole(n, most):  # type: ignore[no-untyped-def]
    """n rounded up to whole vectors, if there is memory for these: what is computed beyond n is not used."""
    return min((n + VECTOR - 1) & -VECTOR, most)


@part
def conv_one(  # type: ignore[no-untyped-def]
    x, x_at, maps, w, w_at, size, starts, channels, bias, bias_at, y, y_at, out, line, lanes
):
    """Patterns side by side: `maps` (C, H, W) in x, from x_at, to maps `out` (O, Ho, Wo) in y, from y_at.

    All arrays are flat; w holds kernels of `size` (kh, kw), and `line` is room to work in.
    """
    (_, height, width), (o_count, ho, wo), (kh, kw) = maps, out, size
    plane, taps = height * width * lanes, kh * kw
    if lanes > 1:
        for o in range(o_count):
            first = y_at + o * ho * wo * lanes
            y[first : first + ho * wo * lanes] = bias[bias_at + o]
            for m in range(starts[o], starts[o + 1]):
                _add_taps(
                    x, x_at + channels[m] * plane, w, w_at + m * taps, size, False,
                    y, first, ho, wo * lanes, width * lanes, wo * lanes, width * lanes, lanes,
                )  # fmt: skip
        return
    n, reach = (ho - 1) * width + wo, (kh - 1) * width + kw - 1
    for o in range(o_count):
        line[: n + VECTOR] = bias[bias_at + o]
        for m in range(starts[o], starts[o + 1]):
            first = x_at + channels[m] * plane
            length = _whole(n, len(x) - first - reach)
            _add_taps(x, first, w, w_at + m * taps, size, False, line, 0, 1, length, 0, 0, width, 1)
        # Whole vectors, row after row: what is too much is overwritten by the next row, or by a later layer.
        first, whole = y_at + o * ho * wo, _whole(wo, wo + VECTOR)
        rows = max(0, min(ho, (len(y) - first - whole) // wo + 1))
        copy_rows(line, 0, line, 0, y, first, rows, whole, width, wo, 0, 0)
        for p in range(rows * wo, ho * wo):
            y[first + p] = line[p // wo * width + p % wo]


@part
def conv_back_one(  # type: ignore[no-untyped-def]
    x, x_at, maps, w, w_at, size, starts, channels, v, v_at, out, g, g_at, g_bias, g_bias_at, vx, to_input, line, lanes
):
    """Add the patterns' part to the kernels' and biases' derivatives in g; write vx, placed as x, if `to_input`."""
    (c_count, height, width), (o_count, ho, wo), (kh, kw) = maps, out, size
    plane, taps, top, left = height * width * lanes, kh * kw, kh - 1, (kw - 1) * lanes
    # A plane of v within zeros: `stride` from row to row, so far apart that a kernel that reaches over the edge of x
    # finds nothing. For one pattern, whose vectors run along the whole plane, one margin serves both sides.
    stride = width + kw - 1 if lanes > 1 else width
    zero = v.dtype.type(0)
    line[: (height + top) * (width + kw - 1) * lanes + VECTOR] = zero
    if to_input:
        vx[x_at : x_at + c_count * plane] = zero
    for o in range(o_count):
        total, first = zero, v_at + o * ho * wo * lanes
        above = v[first : first + ho * wo * lanes]
        for p in range(len(above)):
            total += above[p]
        for r in range(ho):
            row, source = line[(top + r) * stride * lanes + left :], above[r * wo * lanes :]
            for s in range(wo * lanes):
                row[s] = source[s]
        g_bias[g_bias_at + o] += total
        for m in range(starts[o], starts[o + 1]):
            first = x_at + channels[m] * plane
            if lanes > 1:
                _add_dots(
                    x, first, g, g_at + m * taps, size, v, v_at + o * ho * wo * lanes,
                    ho, wo * lanes, width * lanes, wo * lanes, width * lanes, lanes,
                )  # fmt: skip
            else:
                length = _whole((ho - 1) * width + wo, len(x) - first - top * width - left)
                _add_dots(x, first, g, g_at + m * taps, size, line, top * width + left, 1, length, 0, 0, width, 1)
            if not to_input:
                continue
            if lanes > 1:
                _add_taps(
                    line, 0, w, w_at + m * taps, size, True, vx, first,
                    height, width * lanes, stride * lanes, width * lanes, stride * lanes, lanes,
                )  # fmt: skip
            else:
                length = _whole(plane, len(vx) - first)
                _add_taps(line, 0, w, w_at + m * taps, size, True, vx, first, 1, length, 0, 0, width, 1)


def _conv_numpy(
    x: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, bias: np.ndarray, line: np.ndarray,
    y: np.ndarray,
) -> None:  # fmt: skip
    dense = _dense(w, starts, channels, x.shape[1])
    n, o, ho, wo = y.shape
    cols = np.empty((n, dense.shape[1], ho * wo), x.dtype)
    im2col_numpy(x, w.shape[1:], (1, 1), (0, 0), (ho, wo), cols)
    y[...] = (dense @ cols).reshape(y.shape) + bias[:, None, None]


@kernel(twin=_conv_numpy)
def conv(
    x: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, bias: np.ndarray, line: np.ndarray,
    y: np.ndarray,
) -> None:  # fmt: skip
    """y[n, o] = bias[o] + sum_m w[m] * x[n, channels[m]] over the kernels m of map o.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    w : ndarray (M, kh, kw)
        Kernels, map by map; those of map o are starts[o] to starts[o+1].
    starts : int64 ndarray (O+1,)
    channels : int64 ndarray (M,)
    bias : ndarray (O,)
    line : ndarray (room_for_line(H, W, kh, kw, 1),)
        Room to work in.
    y : ndarray (N, O, H-kh+1, W-kw+1)
        Overwritten.
    """
    flat = x.reshape(x.size)
    for n in range(len(x)):
        conv_one(
            flat, n * flat.size // len(x), x.shape[1:], w.reshape(w.size), 0, w.shape[1:], starts, channels, bias, 0,
            y.reshape(y.size), n * y.size // len(y), y.shape[1:], line, 1,
        )  # fmt: skip


def _conv_back_numpy(
    x: np.ndarray, v: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, line: np.ndarray,
    g_w: np.ndarray, g_b: np.ndarray, vx: np.ndarray, to_input: bool,
) -> None:  # fmt: skip
    dense = _dense(w, starts, channels, x.shape[1])
    n, o, ho, wo = v.shape
    flat = v.reshape(n, o, ho * wo)
    cols = np.empty((n, dense.shape[1], ho * wo), x.dtype)
    im2col_numpy(x, w.shape[1:], (1, 1), (0, 0), (ho, wo), cols)
    g_dense = (flat @ cols.transpose(0, 2, 1)).sum(axis=0).reshape(o, x.shape[1], *w.shape[1:])
    g_w[...] = g_dense[np.repeat(np.arange(o), np.diff(starts)), channels]
    g_b[...] = flat.sum(axis=(0, 2))
    if to_input:
        col2im_numpy(dense.T @ flat, w.shape[1:], (1, 1), (0, 0), (ho, wo), vx)


@kernel(twin=_conv_back_numpy)
def conv_back(
    x: np.ndarray, v: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, line: np.ndarray,
    g_w: np.ndarray, g_b: np.ndarray, vx: np.ndarray, to_input: bool,
) -> None:  # fmt: skip
    """Transpose of `conv`: g_w[m] = sum of v[n, o] times x under kernel m, g_b[o] = sum of v[n, o], and vx.

    Parameters
    ----------
    x, w, starts, channels, line
        As for `conv`.
    v : ndarray (N, O, Ho, Wo)
    g_w : ndarray (M, kh, kw), overwritten
    g_b : ndarray (O,), overwritten
    vx : ndarray (N, C, H, W)
        Overwritten if `to_input`; else any array will do.
    to_input : bool
    """
    flat, kernels, g = x.reshape(x.size), w.reshape(w.size), g_w.reshape(g_w.size)
    g_w[...] = 0
    g_b[...] = 0
    for n in range(len(x)):
        conv_back_one(
            flat, n * x.size // len(x), x.shape[1:], kernels, 0, w.shape[1:], starts, channels,
            v.reshape(v.size), n * v.size // len(v), v.shape[1:], g, 0, g_b, 0, vx.reshape(vx.size), to_input, line, 1,
        )  # fmt: skip


def _dense(w: np.ndarray, starts: np.ndarray, channels: np.ndarray, c_count: int) -> np.ndarray:
    """Return the kernels as (O, C*kh*kw), with zeros where there is none."""
    o_count = len(starts) - 1
    dense = np.zeros((o_count, c_count, *w.shape[1:]), w.dtype)
    dense[np.repeat(np.arange(o_count), np.diff(starts)), channels] = w
    return dense.reshape(o_count, -1)
