"""Convolution of several patterns that lie side by side: every cell of a map is LANES numbers, one of each.

The loops run along one row of a map for all of the patterns, so every vector is whole and begins at a cache line.
"""

from .jit import part
from .taps import add_dots, add_taps
from .vectors import VECTOR

__all__ = ["LANES", "conv_lanes", "conv_lanes_back", "room_for_lanes"]

LANES = VECTOR


def room_for_lanes(maps: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return how many numbers `line` needs to have for these maps (C, H, W) and size of kernels."""
    return (maps[1] + size[0] - 1) * (maps[2] + size[1] - 1) * LANES


@part
def conv_lanes(  # type: ignore[no-untyped-def]
    x, x_at, maps, w, w_at, size, starts, channels, bias, bias_at, y, y_at, out
):
    """Maps (C, H, W) in x, from x_at, to maps `out` (O, Ho, Wo) in y, from y_at; w holds kernels of `size` (kh, kw).

    All arrays are flat.
    """
    (_, height, width), (o_count, ho, wo), (kh, kw) = maps, out, size
    row, out_row, taps = width * LANES, wo * LANES, kh * kw
    for o in range(o_count):
        first = y_at + o * ho * out_row
        y[first : first + ho * out_row] = bias[bias_at + o]
        for m in range(starts[o], starts[o + 1]):
            source = x_at + channels[m] * height * row
            add_taps(
                x, source, w, w_at + m * taps, size, False, y, first, ho, out_row, row, out_row, row, LANES
            )  # fmt: skip


@part
def conv_lanes_back(  # type: ignore[no-untyped-def]
    x, x_at, maps, w, w_at, size, starts, channels, v, v_at, out, g, g_at, g_bias, g_bias_at, vx, to_input, line
):
    """Add the patterns' part to the kernels' and biases' derivatives in g; write vx, placed as x, if `to_input`."""
    (c_count, height, width), (o_count, ho, wo), (kh, kw) = maps, out, size
    row, out_row, taps = width * LANES, wo * LANES, kh * kw
    # v between margins of zeros: every cell of x sees kh x kw cells of it.
    wide, corner = row + (kw - 1) * LANES, (kh - 1) * (row + (kw - 1) * LANES) + (kw - 1) * LANES
    if to_input:
        line[: (height + kh - 1) * wide] = 0
        vx[x_at : x_at + c_count * height * row] = 0
    for o in range(o_count):
        first = v_at + o * ho * out_row
        above, total = v[first : first + ho * out_row], v.dtype.type(0)
        for p in range(len(above)):
            total += above[p]
        g_bias[g_bias_at + o] += total
        if to_input:
            for r in range(ho):
                margined, source = line[corner + r * wide :], above[r * out_row :]
                for p in range(out_row):
                    margined[p] = source[p]
        for m in range(starts[o], starts[o + 1]):
            at = x_at + channels[m] * height * row
            add_dots(x, at, g, g_at + m * taps, size, v, first, ho, out_row, row, out_row, row, LANES)
            if to_input:
                add_taps(line, 0, w, w_at + m * taps, size, True, vx, at, height, row, wide, row, wide, LANES)
