"""Convolution at stride 1 without im2col: whole planes at once.

A map of width W is one flat vector, and a kernel row with its taps side by side runs along all of it.
The results at the W - Wo columns where a row ends and the next begins are never read. So the inner loops
are as long as a plane, and vectorise, and nothing is copied. With several patterns side by side (`lanes` numbers for
every cell) the same loops run over all of them.
"""

import numpy as np

from ._jit import kernel, part
from .im2col import col2im_numpy, im2col_numpy

__all__ = ["conv", "conv_back"]


@part
def add_taps(x, w, y, n, lanes):  # type: ignore[no-untyped-def]
    """y[p] += sum_j w[j] x[p + j lanes] for p < n."""
    if len(w) == 5:
        w0, w1, w2, w3, w4 = w[0], w[1], w[2], w[3], w[4]
        x1, x2, x3, x4 = x[lanes:], x[2 * lanes :], x[3 * lanes :], x[4 * lanes :]
        for p in range(n):
            y[p] += w0 * x[p] + w1 * x1[p] + w2 * x2[p] + w3 * x3[p] + w4 * x4[p]
    else:
        for j in range(len(w)):
            wj, xj = w[j], x[j * lanes :]
            for p in range(n):
                y[p] += wj * xj[p]


@part
def add_dots(x, v, g, n, lanes):  # type: ignore[no-untyped-def]
    """g[j] += sum_p v[p] x[p + j lanes] for p < n."""
    zero = v.dtype.type(0)
    if len(g) == 5:
        x1, x2, x3, x4 = x[lanes:], x[2 * lanes :], x[3 * lanes :], x[4 * lanes :]
        g0 = g1 = g2 = g3 = g4 = zero
        for p in range(n):
            vp = v[p]
            g0 += vp * x[p]
            g1 += vp * x1[p]
            g2 += vp * x2[p]
            g3 += vp * x3[p]
            g4 += vp * x4[p]
        g[0] += g0
        g[1] += g1
        g[2] += g2
        g[3] += g3
        g[4] += g4
    else:
        for j in range(len(g)):
            xj, total = x[j * lanes :], zero
            for p in range(n):
                total += v[p] * xj[p]
            g[j] += total


@part
def conv_one(x, w, starts, channels, bias, line, y, lanes):  # type: ignore[no-untyped-def]
    """Patterns side by side: x (C, H, W*lanes) to y (O, Ho, Wo*lanes); `line` (H*W*lanes,) is room for a plane."""
    c_count, height, width = x.shape
    o_count, ho, wo = y.shape
    kh = w.shape[1]
    if lanes > 1:  # rows are long enough, and stay in the nearest cache
        for o in range(o_count):
            for r in range(ho):
                out = y[o, r]
                out[:] = bias[o]
                for m in range(starts[o], starts[o + 1]):
                    for i in range(kh):
                        add_taps(x[channels[m], r + i], w[m, i], out, wo, lanes)
        return
    planes = x.reshape(c_count, height * width)
    n = (ho - 1) * width + wo
    for o in range(o_count):
        b = bias[o]
        for p in range(n):
            line[p] = b
        for m in range(starts[o], starts[o + 1]):
            plane = planes[channels[m]]
            for i in range(kh):
                add_taps(plane[i * width :], w[m, i], line, n, lanes)
        for r in range(ho):
            row, out = line[r * width :], y[o, r]
            for s in range(wo):
                out[s] = row[s]


@part
def conv_back_one(  # type: ignore[no-untyped-def]
    x, v, w, starts, channels, line, reverse, g_w, g_b, vx, to_input, lanes
):
    """Add the patterns' part to g_w and g_b; write vx (C, H, W*lanes) if `to_input`.

    `line` ((H*W + 2 kw)*lanes,) holds v with the columns that are not read at 0, and kw - 1 zeros at either end.
    """
    c_count, height, width = x.shape
    o_count, ho, wo = v.shape
    kh, kw = w.shape[1], w.shape[2]
    planes = x.reshape(c_count, height * width)
    n, margin = (ho - 1) * width + wo, (kw - 1) * lanes
    v_line = line[margin:]
    if to_input:
        vx[...] = 0
    if lanes > 1:  # row by row, as in conv_one
        line[: wo + 2 * margin] = 0
        for o in range(o_count):
            for r in range(ho):
                source, total = v[o, r], v.dtype.type(0)
                for s in range(wo):
                    v_line[s] = source[s]
                    total += source[s]
                g_b[o] += total
                for m in range(starts[o], starts[o + 1]):
                    c = channels[m]
                    for i in range(kh):
                        add_dots(x[c, r + i], source, g_w[m, i], wo, lanes)
                        if to_input:
                            for j in range(kw):
                                reverse[j] = w[m, i, kw - 1 - j]
                            add_taps(line, reverse, vx[c, r + i], wo + margin, lanes)
        return
    below = vx.reshape(c_count, height * width)
    line[: n + 2 * margin] = 0
    for o in range(o_count):
        total = v.dtype.type(0)
        for r in range(ho):
            row, source = v_line[r * width :], v[o, r]
            for s in range(wo):
                row[s] = source[s]
                total += source[s]
        g_b[o] += total
        for m in range(starts[o], starts[o + 1]):
            c = channels[m]
            plane, plane_below = planes[c], below[c]
            for i in range(kh):
                add_dots(plane[i * width :], v_line, g_w[m, i], n, lanes)
            if to_input:
                for i in range(kh):
                    for j in range(kw):
                        reverse[j] = w[m, i, kw - 1 - j]
                    add_taps(line, reverse, plane_below[i * width :], n + margin, lanes)


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
    line : ndarray (H*W + 2*kw,)
        Room to work in.
    y : ndarray (N, O, H-kh+1, W-kw+1)
        Overwritten.
    """
    for n in range(len(x)):
        conv_one(x[n], w, starts, channels, bias, line, y[n], 1)


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
        Overwritten if `to_input`; else (1, C, H, W) will do.
    to_input : bool
    """
    g_w[...] = 0
    g_b[...] = 0
    reverse = np.empty(w.shape[2], w.dtype)
    for n in range(len(x)):
        conv_back_one(x[n], v[n], w, starts, channels, line, reverse, g_w, g_b, vx[n if to_input else 0], to_input, 1)


def _dense(w: np.ndarray, starts: np.ndarray, channels: np.ndarray, c_count: int) -> np.ndarray:
    """Return the kernels as (O, C*kh*kw), with zeros where there is none."""
    o_count = len(starts) - 1
    dense = np.zeros((o_count, c_count, *w.shape[1:]), w.dtype)
    dense[np.repeat(np.arange(o_count), np.diff(starts)), channels] = w
    return dense.reshape(o_count, -1)
