"""Convolution with stride 1, for a single pattern (stored in planes) and for interleaved patterns.

For one pattern, x is copied once for every column of a kernel, each time shifted by one more column, with rows padded
to a multiple of VECTOR values. A kernel is then applied along a whole plane, including the row ends, and every vector
is aligned to a cache line; loading a vector that spans two cache lines takes twice as long. The results at the row ends
are ignored.

For interleaved patterns, every element of a map consists of VECTOR values, one for each pattern. The loops run along a
row of a map for all patterns, so every vector is full and aligned to a cache line.

Arrays are passed as pointers. Kernels are ordered by output map: map o has kernels starts[o] to starts[o+1] - 1.
Kernel m has `taps` weights and reads the input map channels[m]. The biases of all maps follow the kernels.
"""

from typing import Any, NamedTuple

import numpy as np

from . import call as eng
from .call import ahead, zero
from .jit import part
from .vectors import (
    VECTOR,
    add_dots_3x3,
    add_dots_5x5,
    add_dots_5x5_16,
    add_dots_5x5_32,
    add_taps_3x3,
    add_taps_5x5,
    add_taps_5x5_16,
    add_taps_5x5_32,
    add_turned_3x3,
    add_turned_5x5,
    add_turned_5x5_16,
    add_turned_5x5_32,
    copy_rows,
)

__all__ = [
    "BEFORE", "STRIDE", "Geometry", "conv_lanes", "conv_lanes_3x3", "conv_lanes_3x3_back", "conv_lanes_5x5",
    "conv_lanes_5x5_back", "conv_lanes_back", "conv_plane", "conv_plane_3x3", "conv_plane_3x3_back", "conv_plane_5x5",
    "conv_plane_5x5_back", "conv_plane_back", "geometry_links", "geometry_of", "room_for_lanes", "room_for_planes",
]  # fmt: skip


class Geometry(NamedTuple):
    """Shapes of a convolution, and pointers to the tables `starts` and `channels` of its kernels."""

    maps: Any
    out: Any
    kernel: Any
    starts: Any
    channels: Any


# Positions of a convolution's integer constants, which are: kernel size, stride, and top and left padding, each as
# (vertical, horizontal); then the first kernel of each output map, and the input map of each kernel.
STRIDE, BEFORE, _STARTS = 2, 4, 6


@part
def geometry_of(call):  # type: ignore[no-untyped-def]
    """Return the geometry of a convolution, read from the integer constants that `geometry_links` concatenated."""
    op, ints = call.op, eng.links(call)
    starts = eng.ahead(ints, _STARTS)
    maps, out = (op[eng.C], op[eng.H], op[eng.W]), (op[eng.OUT], op[eng.HO], op[eng.WO])
    return Geometry(maps, out, (ints[0], ints[1]), starts, eng.ahead(starts, op[eng.OUT] + 1))


def geometry_links(*parts: Any) -> np.ndarray:
    """Concatenate a convolution's integer constants: kernel size, stride, padding, `starts` and `channels`."""
    return np.concatenate([np.ravel(part) for part in parts])


def room_for_planes(maps: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return the workspace size for a convolution of one pattern with maps (C, H, W) and kernels of `size`."""
    (channels, height, width), (kh, kw) = maps, size
    row = width + VECTOR
    return (kw + 1) * channels * height * row + (kw + 2) * (height + kh - 1) * (row + kw)


def room_for_lanes(maps: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return the workspace size for a convolution of VECTOR interleaved patterns."""
    return (maps[1] + size[0] - 1) * (maps[2] + size[1] - 1) * VECTOR


@part
def _whole(n):  # type: ignore[no-untyped-def]
    """Round n up to a multiple of VECTOR."""
    return (n + VECTOR - 1) & -VECTOR


@part
def _add_taps(x, w, y, size, rows, window, kernel):  # type: ignore[no-untyped-def]
    """Add sum_ij w[i, j] x[r, p + i width + j step] to y[r, p] for p < n and every row r, for any kernel size."""
    for r in range(size[0]):
        out = ahead(y, r * rows[1])
        for k in range(kernel[0] * kernel[1]):
            source, wk = ahead(x, r * rows[0] + k // kernel[1] * window[0] + k % kernel[1] * window[1]), w[k]
            for p in range(size[1]):
                out[p] += wk * source[p]


@part
def _add_turned(x, w, y, size, rows, window, kernel):  # type: ignore[no-untyped-def]
    """Do the same as `_add_taps`, with the weights in reverse order."""
    last = kernel[0] * kernel[1] - 1
    for r in range(size[0]):
        out = ahead(y, r * rows[1])
        for k in range(last + 1):
            source, wk = ahead(x, r * rows[0] + k // kernel[1] * window[0] + k % kernel[1] * window[1]), w[last - k]
            for p in range(size[1]):
                out[p] += wk * source[p]


@part
def _add_dots(x, g, v, size, rows, window, kernel):  # type: ignore[no-untyped-def]
    """Add sum_rp v[r, p] x[r, p + i width + j step] to g[i, j], over p < n and all rows r, for any kernel size."""
    for r in range(size[0]):
        above = ahead(v, r * rows[1])
        for k in range(kernel[0] * kernel[1]):
            source, total = ahead(x, r * rows[0] + k // kernel[1] * window[0] + k % kernel[1] * window[1]), g[k]
            for p in range(size[1]):
                total += above[p] * source[p]
            g[k] = total


@part
def _add_taps_plane(x, w, y, size, rows, window, kernel):  # type: ignore[no-untyped-def]
    """Do the same as `_add_taps` for 5x5 kernels, with special versions for the widths of the paper's planes."""
    if window[0] == 16:
        add_taps_5x5_16(x, w, y, size, rows, window, kernel)
    elif window[0] == 32:
        add_taps_5x5_32(x, w, y, size, rows, window, kernel)
    else:
        add_taps_5x5(x, w, y, size, rows, window, kernel)


@part
def _add_turned_plane(x, w, y, size, rows, window, kernel):  # type: ignore[no-untyped-def]
    """Do the same as `_add_taps_plane`, with the weights in reverse order."""
    if window[0] == 16:
        add_turned_5x5_16(x, w, y, size, rows, window, kernel)
    elif window[0] == 32:
        add_turned_5x5_32(x, w, y, size, rows, window, kernel)
    else:
        add_turned_5x5(x, w, y, size, rows, window, kernel)


@part
def _add_dots_plane(x, g, v, size, rows, window, kernel):  # type: ignore[no-untyped-def]
    """Do the same as `_add_dots` for 5x5 kernels, with special versions for the widths of the paper's planes."""
    if window[0] == 16:
        add_dots_5x5_16(x, g, v, size, rows, window, kernel)
    elif window[0] == 32:
        add_dots_5x5_32(x, g, v, size, rows, window, kernel)
    else:
        add_dots_5x5(x, g, v, size, rows, window, kernel)


@part
def _lay_out(x, maps, kw, row, line):  # type: ignore[no-untyped-def]
    """Copy x[c, r, s + j] to line[j, c, r, s] for s < row; values beyond x are later multiplied by 0 or ignored."""
    channels, height, width = maps
    rows = channels * height
    for j in range(kw):
        copy_rows(ahead(x, j), x, ahead(line, j * rows * row), (rows, row), (width, row), (0, 0), (0, 0))


def _plane(taps: Any, turned: Any, dots: Any) -> tuple[Any, Any]:
    """Build the forward and backward convolutions of one pattern from the inner loops for one kernel size."""

    @part
    def forward(call):  # type: ignore[no-untyped-def]
        """Compute y = bias + kernels * x for one pattern.

        Up to 2 * VECTOR values after x may be read, and up to VECTOR values after y may be overwritten.
        """
        x, w, y, line = eng.inputs(call, 1), eng.parameters(call), eng.outputs(call, 1), eng.room(call)
        geometry = geometry_of(call)
        (c_count, height, _), (o_count, ho, wo), (kh, kw) = geometry.maps, geometry.out, geometry.kernel
        row, count = _whole(wo), kh * kw
        plane = height * row
        _lay_out(x, geometry.maps, kw, row, line)
        result = ahead(line, kw * c_count * plane)
        bias = ahead(w, geometry.starts[o_count] * count)
        for o in range(o_count):
            for p in range(ho * row):
                result[p] = bias[o]
            for m in range(geometry.starts[o], geometry.starts[o + 1]):
                source, kernel = ahead(line, geometry.channels[m] * plane), ahead(w, m * count)
                taps(source, kernel, result, (1, ho * row), (0, 0), (row, c_count * plane), geometry.kernel)
            copy_rows(result, x, ahead(y, o * ho * wo), (ho, row), (row, wo), (0, 0), (0, 0))

    @part
    def reverse(call):  # type: ignore[no-untyped-def]
        """Add the derivatives with respect to kernels and biases to g; if needed, write those for x to vx.

        Up to 2 * VECTOR values after x may be read, and up to VECTOR values after vx may be overwritten.
        """
        x, w, v = eng.operands(call, 1), eng.parameters(call), eng.above(call, 1)
        g, vx, line = eng.gradients(call), eng.below(call, 1), eng.room(call)
        geometry, to_input = geometry_of(call), eng.to_input(call)
        (c_count, height, width), (o_count, ho, wo), (kh, kw) = geometry.maps, geometry.out, geometry.kernel
        row, wide, count = _whole(wo), _whole(width), kh * kw
        plane, tall = height * row, height + kh - 1
        _lay_out(x, geometry.maps, kw, row, line)
        # Parts of the workspace: v with rows of the same length as the copies of x (aligned); v shifted by each column
        # of the kernel, in planes with kh - 1 rows of zeros above and below (moved); vx with padded rows (under); and
        # the zero-padded rows of v from which the first two are copied (margined).
        aligned = ahead(line, kw * c_count * plane)
        moved = ahead(aligned, ho * row)
        under = ahead(moved, kw * tall * wide)
        margined, stride = ahead(under, c_count * height * wide), wide + kw - 1
        for p in range(ho * row + kw * tall * wide + c_count * height * wide + ho * stride):
            aligned[p] = 0
        g_bias = ahead(g, geometry.starts[o_count] * count)
        for o in range(o_count):
            v_map, total = ahead(v, o * ho * wo), zero(v)
            for r in range(ho):
                v_row, target = ahead(v_map, r * wo), ahead(margined, r * stride + kw - 1)
                for s in range(wo):
                    target[s] = v_row[s]
            for p in range(ho * wo):
                total += v_map[p]
            g_bias[o] += total
            copy_rows(ahead(margined, kw - 1), x, aligned, (ho, row), (stride, row), (0, 0), (0, 0))
            if to_input:
                for j in range(kw):
                    target = ahead(moved, (j * tall + kh - 1) * wide)
                    copy_rows(ahead(margined, j), x, target, (ho, wide), (stride, wide), (0, 0), (0, 0))
            for m in range(geometry.starts[o], geometry.starts[o + 1]):
                source = ahead(line, geometry.channels[m] * plane)
                window = (row, c_count * plane)
                dots(source, ahead(g, m * count), aligned, (1, ho * row), (0, 0), window, geometry.kernel)
                if to_input:
                    target, kernel = ahead(under, geometry.channels[m] * height * wide), ahead(w, m * count)
                    turned(moved, kernel, target, (1, height * wide), (0, 0), (wide, tall * wide), geometry.kernel)
        if to_input:
            copy_rows(under, x, vx, (c_count * height, wide), (wide, width), (0, 0), (0, 0))

    return forward, reverse


def _lanes(taps: Any, turned: Any, dots: Any) -> tuple[Any, Any]:
    """Build the forward and backward convolutions of VECTOR interleaved patterns, as `_plane` does for one."""

    @part
    def forward(call):  # type: ignore[no-untyped-def]
        """Compute y = bias + kernels * x for VECTOR interleaved patterns."""
        x, w, y = eng.inputs(call, VECTOR), eng.parameters(call), eng.outputs(call, VECTOR)
        geometry = geometry_of(call)
        (_, height, width), (o_count, ho, wo), (kh, kw) = geometry.maps, geometry.out, geometry.kernel
        row, out_row, count = width * VECTOR, wo * VECTOR, kh * kw
        bias = ahead(w, geometry.starts[o_count] * count)
        for o in range(o_count):
            out = ahead(y, o * ho * out_row)
            for p in range(ho * out_row):
                out[p] = bias[o]
            for m in range(geometry.starts[o], geometry.starts[o + 1]):
                source, kernel = ahead(x, geometry.channels[m] * height * row), ahead(w, m * count)
                taps(source, kernel, out, (ho, out_row), (row, out_row), (row, VECTOR), geometry.kernel)

    @part
    def reverse(call):  # type: ignore[no-untyped-def]
        """Add the derivatives with respect to kernels and biases to g; if needed, write those for x to vx."""
        x, w, v = eng.operands(call, VECTOR), eng.parameters(call), eng.above(call, VECTOR)
        g, vx, line = eng.gradients(call), eng.below(call, VECTOR), eng.room(call)
        geometry, to_input = geometry_of(call), eng.to_input(call)
        (c_count, height, width), (o_count, ho, wo), (kh, kw) = geometry.maps, geometry.out, geometry.kernel
        row, out_row, count = width * VECTOR, wo * VECTOR, kh * kw
        # `line` contains v with margins of zeros: every element of vx is a weighted sum of kh x kw elements of `line`.
        wide, corner = row + (kw - 1) * VECTOR, (kh - 1) * (row + (kw - 1) * VECTOR) + (kw - 1) * VECTOR
        if to_input:
            for p in range((height + kh - 1) * wide):
                line[p] = 0
            for p in range(c_count * height * row):
                vx[p] = 0
        g_bias = ahead(g, geometry.starts[o_count] * count)
        for o in range(o_count):
            v_map, total = ahead(v, o * ho * out_row), zero(v)
            for p in range(ho * out_row):
                total += v_map[p]
            g_bias[o] += total
            if to_input:
                for r in range(ho):
                    margined, source = ahead(line, corner + r * wide), ahead(v_map, r * out_row)
                    for p in range(out_row):
                        margined[p] = source[p]
            for m in range(geometry.starts[o], geometry.starts[o + 1]):
                at, kernel = geometry.channels[m] * height * row, ahead(w, m * count)
                source, sums = ahead(x, at), ahead(g, m * count)
                dots(source, sums, v_map, (ho, out_row), (row, out_row), (row, VECTOR), geometry.kernel)
                if to_input:
                    target = ahead(vx, at)
                    turned(line, kernel, target, (height, row), (wide, row), (wide, VECTOR), geometry.kernel)

    return forward, reverse


# Versions for the paper's 5x5 kernels, for 3x3 kernels, and for kernels of any size. Only those that a network uses are
# compiled.
conv_plane_5x5, conv_plane_5x5_back = _plane(_add_taps_plane, _add_turned_plane, _add_dots_plane)
conv_plane_3x3, conv_plane_3x3_back = _plane(add_taps_3x3, add_turned_3x3, add_dots_3x3)
conv_plane, conv_plane_back = _plane(_add_taps, _add_turned, _add_dots)
conv_lanes_5x5, conv_lanes_5x5_back = _lanes(add_taps_5x5, add_turned_5x5, add_dots_5x5)
conv_lanes_3x3, conv_lanes_3x3_back = _lanes(add_taps_3x3, add_turned_3x3, add_dots_3x3)
conv_lanes, conv_lanes_back = _lanes(_add_taps, _add_turned, _add_dots)
