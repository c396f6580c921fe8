"""Convolution of one pattern.

x is laid out once for every column of a kernel, each time moved by one more column, in rows of whole vectors. So a
kernel runs along a whole plane, its row ends included, and every vector that it takes begins at a cache line: vectors
that lie across two take twice as long. What the row ends give is not read.
"""

from .jit import part
from .taps import add_dots_plane, add_taps_plane, move_rows, whole
from .vectors import VECTOR, copy_rows

__all__ = ["conv_plane", "conv_plane_back", "room_for_planes"]


def room_for_planes(maps: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return how many numbers `line` needs to have for these maps (C, H, W) and size of kernels."""
    (channels, height, width), (kh, kw) = maps, size
    row = width + VECTOR
    return (kw + 1) * channels * height * row + (kw + 2) * (height + kh - 1) * (row + kw)


@part
def _lay_out(x, x_at, maps, kw, row, line):  # type: ignore[no-untyped-def]
    """line[j, c, r, s] = x[c, r, s + j] for s < row; what is beyond x is multiplied by zeros, or not read."""
    channels, height, width = maps
    rows = channels * height
    for j in range(kw):
        first, target = x_at + j, j * rows * row
        safe = max(0, min(rows, (len(x) - first - row) // width + 1))
        copy_rows(x, first, x, 0, line, target, safe, row, width, row, 0, 0)
        for q in range(safe * row, rows * row):  # vectors would end outside of x
            at = first + q // row * width + q % row
            line[target + q] = x[at] if at < len(x) else line.dtype.type(0)


@part
def conv_plane(  # type: ignore[no-untyped-def]
    x, x_at, maps, w, w_at, size, starts, channels, bias, bias_at, y, y_at, out, line
):
    """Maps (C, H, W) in x, from x_at, to maps `out` (O, Ho, Wo) in y, from y_at; w holds kernels of `size` (kh, kw).

    All arrays are flat; `line` is room to work in. The VECTOR numbers behind y may be overwritten.
    """
    (c_count, height, _), (o_count, ho, wo), (kh, kw) = maps, out, size
    row, taps = whole(wo), kh * kw
    plane = height * row
    _lay_out(x, x_at, maps, kw, row, line)
    result = kw * c_count * plane
    for o in range(o_count):
        line[result : result + ho * row] = bias[bias_at + o]
        for m in range(starts[o], starts[o + 1]):
            source = channels[m] * plane
            add_taps_plane(
                line, source, w, w_at + m * taps, size, False, line, result, ho * row, row, c_count * plane
            )  # fmt: skip
        move_rows(line, result, y, y_at + o * ho * wo, ho, wo, row, wo)


@part
def conv_plane_back(  # type: ignore[no-untyped-def]
    x, x_at, maps, w, w_at, size, starts, channels, v, v_at, out, g, g_at, g_bias, g_bias_at, vx, to_input, line
):
    """Add the pattern's part to the kernels' and biases' derivatives in g; write vx, placed as x, if `to_input`.

    The VECTOR numbers behind vx may be overwritten.
    """
    (c_count, height, width), (o_count, ho, wo), (kh, kw) = maps, out, size
    row, wide, taps = whole(wo), whole(width), kh * kw
    plane, tall = height * row, height + kh - 1
    _lay_out(x, x_at, maps, kw, row, line)
    # Of v: its rows as long as those of x; the same moved by each column of the kernel, in planes with kh - 1 rows
    # of zeros above and below; and both are copied from its rows between zeros. And vx, in rows of whole vectors.
    above = kw * c_count * plane
    moved = above + ho * row
    below = moved + kw * tall * wide
    margined, stride = below + c_count * height * wide, wide + kw - 1
    line[above : margined + ho * stride] = 0
    for o in range(o_count):
        first, total = v_at + o * ho * wo, v.dtype.type(0)
        v_map = v[first : first + ho * wo]
        for r in range(ho):
            v_row, target = v_map[r * wo :], line[margined + r * stride + kw - 1 :]
            for s in range(wo):
                target[s] = v_row[s]
        for p in range(ho * wo):
            total += v_map[p]
        g_bias[g_bias_at + o] += total
        copy_rows(line, margined + kw - 1, line, 0, line, above, ho, row, stride, row, 0, 0)
        if to_input:
            for j in range(kw):
                target_at = moved + (j * tall + kh - 1) * wide
                copy_rows(line, margined + j, line, 0, line, target_at, ho, wide, stride, wide, 0, 0)
        for m in range(starts[o], starts[o + 1]):
            source = channels[m] * plane
            add_dots_plane(line, source, g, g_at + m * taps, size, line, above, ho * row, row, c_count * plane)
            if to_input:
                target = below + channels[m] * height * wide
                add_taps_plane(
                    line, moved, w, w_at + m * taps, size, True, line, target, height * wide, wide, tall * wide
                )  # fmt: skip
    if to_input:
        move_rows(line, below, vx, x_at, c_count * height, width, wide, width)
