"""Convolution as a matrix product: `im2col` copies receptive fields to columns, `col2im` adds them to the map."""

from typing import Any, NamedTuple

import numpy as np

from . import call as eng
from .call import ahead, pointer
from .convolution import BEFORE, STRIDE, geometry_of
from .jit import kernel, part

__all__ = ["Grid", "col2im", "conv_strided", "conv_strided_back", "im2col"]


class Grid(NamedTuple):
    """Kernel size, stride, padding above and left of x, and number of positions, each as (vertical, horizontal)."""

    kernel: Any
    stride: Any
    before: Any
    out: Any


@part
def _inside(j, width, stride, left, count):  # type: ignore[no-untyped-def]
    """Return (first, last): for first <= s < last, the input column s*stride + j - left of position s is inside x."""
    first = min(max(0, -((j - left) // stride)), count)
    return first, max(first, min(count, (width - 1 + left - j) // stride + 1))


@part
def _im2col_one(x, cols, maps, grid, lanes):  # type: ignore[no-untyped-def]
    """Set cols[(c,i,j), (r,s), l] = x[c, r*stride + i - before, s*stride + j - before, l], or 0 outside x."""
    (channels, height, width), (kh, kw), (sh, sw) = maps, grid.kernel, grid.stride
    (top, left), (ho, wo) = grid.before, grid.out
    for k in range(channels * kh * kw):
        c, i, j = k // (kh * kw), k // kw % kh, k % kw
        first, last = _inside(j, width, sw, left, wo)
        for r in range(ho):
            target, row = ahead(cols, (k * ho + r) * wo * lanes), r * sh + i - top
            if row < 0 or row >= height:
                for p in range(wo * lanes):
                    target[p] = 0
                continue
            for p in range(first * lanes):
                target[p] = 0
            source = ahead(x, ((c * height + row) * width + j - left) * lanes)
            for s in range(first, last):
                for q in range(lanes):
                    target[s * lanes + q] = source[s * sw * lanes + q]
            for p in range(last * lanes, wo * lanes):
                target[p] = 0


@part
def _col2im_one(cols, x, maps, grid, lanes):  # type: ignore[no-untyped-def]
    """Apply the transpose of `_im2col_one`: set x[c, row, col, l] to the sum of the entries of cols copied from it."""
    (channels, height, width), (kh, kw), (sh, sw) = maps, grid.kernel, grid.stride
    (top, left), (ho, wo) = grid.before, grid.out
    for p in range(channels * height * width * lanes):
        x[p] = 0
    for k in range(channels * kh * kw):
        c, i, j = k // (kh * kw), k // kw % kh, k % kw
        first, last = _inside(j, width, sw, left, wo)
        for r in range(ho):
            source, row = ahead(cols, (k * ho + r) * wo * lanes), r * sh + i - top
            if 0 <= row < height:
                target = ahead(x, ((c * height + row) * width + j - left) * lanes)
                for s in range(first, last):
                    for q in range(lanes):
                        target[s * sw * lanes + q] += source[s * lanes + q]


@part
def _grid(call):  # type: ignore[no-untyped-def]
    ints = eng.links(call)
    stride, before = (ints[STRIDE], ints[STRIDE + 1]), (ints[BEFORE], ints[BEFORE + 1])
    return Grid((ints[0], ints[1]), stride, before, (call.op[eng.HO], call.op[eng.WO]))


@part
def conv_strided(call, lanes):  # type: ignore[no-untyped-def]
    """Compute y = bias + kernels * x for any stride and padding, with the im2col columns in the workspace."""
    shape, grid, cols = geometry_of(call), _grid(call), eng.room(call)
    w, taps, n = eng.parameters(call), grid.kernel[0] * grid.kernel[1], grid.out[0] * grid.out[1] * lanes
    y, bias = eng.outputs(call, lanes), eng.ahead(w, shape.starts[shape.out[0]] * taps)
    _im2col_one(eng.inputs(call, lanes), cols, shape.maps, grid, lanes)
    for o in range(shape.out[0]):
        out = eng.ahead(y, o * n)
        for p in range(n):
            out[p] = bias[o]
        for m in range(shape.starts[o], shape.starts[o + 1]):
            first, kernel, done = eng.ahead(cols, shape.channels[m] * taps * n), eng.ahead(w, m * taps), taps & -4
            for q in range(0, done, 4):  # four taps at a time, so that the map is read and written less often
                one, two, three, four = kernel[q], kernel[q + 1], kernel[q + 2], kernel[q + 3]
                a, b = eng.ahead(first, q * n), eng.ahead(first, (q + 1) * n)
                c, d = eng.ahead(first, (q + 2) * n), eng.ahead(first, (q + 3) * n)
                for p in range(n):
                    out[p] += (one * a[p] + two * b[p]) + (three * c[p] + four * d[p])
            for q in range(done, taps):
                column, weight = eng.ahead(first, q * n), kernel[q]
                for p in range(n):
                    out[p] += weight * column[p]


@part
def conv_strided_back(call, lanes):  # type: ignore[no-untyped-def]
    """Add the patterns' derivatives with respect to kernels and biases to g; if needed, write those for x to vx."""
    shape, grid, cols = geometry_of(call), _grid(call), eng.room(call)
    w, taps, n = eng.parameters(call), grid.kernel[0] * grid.kernel[1], grid.out[0] * grid.out[1] * lanes
    v, g, down = eng.above(call, lanes), eng.gradients(call), eng.to_input(call)
    size = shape.maps[0] * taps * n
    v_cols, g_bias = eng.ahead(cols, size), eng.ahead(g, shape.starts[shape.out[0]] * taps)
    _im2col_one(eng.operands(call, lanes), cols, shape.maps, grid, lanes)
    if down:
        for p in range(size):
            v_cols[p] = 0
    for o in range(shape.out[0]):
        v_map, total = eng.ahead(v, o * n), eng.zero(v)
        for p in range(n):
            total += v_map[p]
        g_bias[o] += total
        for m in range(shape.starts[o], shape.starts[o + 1]):
            for q in range(taps):
                k = shape.channels[m] * taps + q
                column, target = eng.ahead(cols, k * n), eng.ahead(v_cols, k * n)
                weight, total = w[m * taps + q], eng.zero(v)
                if down:  # compute the derivatives for w and x in one loop
                    for p in range(n):
                        total += v_map[p] * column[p]
                        target[p] += weight * v_map[p]
                else:
                    for p in range(n):
                        total += v_map[p] * column[p]
                g[m * taps + q] += total
    if down:
        _col2im_one(v_cols, eng.below(call, lanes), shape.maps, grid, lanes)


Pair = tuple[int, int]


def im2col_numpy(x: np.ndarray, kernel_size: Pair, stride: Pair, before: Pair, out: Pair, cols: np.ndarray) -> None:
    (kh, kw), (sh, sw), (ho, wo) = kernel_size, stride, out
    padded = _padded(x, Grid(kernel_size, stride, before, out))
    fields = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))[:, :, ::sh, ::sw]
    fields = fields[:, :, :ho, :wo].transpose(0, 1, 4, 5, 2, 3)
    cols[...] = fields.reshape(cols.shape)


@kernel(twin=im2col_numpy)
def im2col(x: np.ndarray, kernel_size: Pair, stride: Pair, before: Pair, out: Pair, cols: np.ndarray) -> None:
    """Set cols[n, (c,i,j), (r,s)] = x[n, c, r*stride + i - before, s*stride + j - before], or 0 outside x.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
        Contiguous.
    kernel_size, stride, before, out : (int, int)
        Kernel height and width; step between positions; padding above and left of x; number of positions (Ho, Wo).
    cols : ndarray (N, C*kh*kw, Ho*Wo), of x's dtype
        Contiguous; overwritten.
    """
    grid = Grid(kernel_size, stride, before, out)
    start, end = pointer(x.reshape(x.size)), pointer(cols.reshape(cols.size))
    for n in range(len(x)):
        _im2col_one(ahead(start, n * x[0].size), ahead(end, n * cols[0].size), x.shape[1:], grid, 1)


def col2im_numpy(cols: np.ndarray, kernel_size: Pair, stride: Pair, before: Pair, out: Pair, x: np.ndarray) -> None:
    (kh, kw), (sh, sw), (top, left), (ho, wo) = kernel_size, stride, before, out
    padded = np.zeros_like(_padded(x, Grid(kernel_size, stride, before, out)))
    fields = cols.reshape(x.shape[0], x.shape[1], kh, kw, ho, wo)
    for i in range(kh):
        for j in range(kw):
            padded[:, :, i : i + ho * sh : sh, j : j + wo * sw : sw] += fields[:, :, i, j]
    x[...] = padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]


@kernel(twin=col2im_numpy)
def col2im(cols: np.ndarray, kernel_size: Pair, stride: Pair, before: Pair, out: Pair, x: np.ndarray) -> None:
    """Apply the transpose of `im2col`: set x[n, c, row, col] to the sum of the entries of cols copied from there.

    Parameters
    ----------
    cols : ndarray (N, C*kh*kw, Ho*Wo)
        Contiguous.
    kernel_size, stride, before, out : (int, int)
        As for `im2col`.
    x : ndarray (N, C, H, W)
        Contiguous; overwritten.
    """
    grid = Grid(kernel_size, stride, before, out)
    start, end = pointer(cols.reshape(cols.size)), pointer(x.reshape(x.size))
    for n in range(len(x)):
        _col2im_one(ahead(start, n * cols[0].size), ahead(end, n * x[0].size), x.shape[1:], grid, 1)


def _padded(x: np.ndarray, grid: Grid) -> np.ndarray:
    """Return x with enough zero padding for every receptive field."""
    pads = [(0, 0), (0, 0)]
    for axis in (0, 1):
        reach = (grid.out[axis] - 1) * grid.stride[axis] + grid.kernel[axis]
        pads.append((grid.before[axis], max(0, reach - grid.before[axis] - x.shape[2 + axis])))
    return np.pad(x, pads)
