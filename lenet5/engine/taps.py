"""Kernels of any size over rows of numbers: in vectors where there are some for the size, else tap by tap."""

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

__all__ = ["add_dots", "add_dots_plane", "add_taps", "add_taps_plane", "move_rows", "whole"]


@part
def whole(n):  # type: ignore[no-untyped-def]
    """n rounded up to whole vectors."""
    return (n + VECTOR - 1) & -VECTOR


@part
def move_rows(x, x_at, y, y_at, rows, n, x_row, y_row):  # type: ignore[no-untyped-def]
    """y[r, p] = x[r, p] for p < n and every row, in order and in whole vectors: what is behind n is not kept."""
    most = whole(n)
    safe = min((len(x) - x_at - most) // x_row, (len(y) - y_at - most) // y_row) + 1
    safe = max(0, min(rows, safe))
    copy_rows(x, x_at, x, 0, y, y_at, safe, most, x_row, y_row, 0, 0)
    for r in range(safe, rows):  # vectors would end outside of the arrays
        for p in range(n):
            y[y_at + r * y_row + p] = x[x_at + r * x_row + p]


@part
def add_taps(  # type: ignore[no-untyped-def]
    x, x_at, w, w_at, size, turned, y, y_at, rows, n, x_row, y_row, width, step
):
    """y[r, p] += sum_ij w[i, j] x[r, p + i width + j step] for p < n and every row; see `vectors`."""
    done, (kh, kw) = 0, size
    if kh == 5 and kw == 5:
        done = n & -VECTOR
        if turned:
            add_turned_5x5(x, x_at, w, w_at, y, y_at, rows, done, x_row, y_row, width, step)
        else:
            add_taps_5x5(x, x_at, w, w_at, y, y_at, rows, done, x_row, y_row, width, step)
    elif kh == 3 and kw == 3:
        done = n & -VECTOR
        if turned:
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
def add_dots(x, x_at, g, g_at, size, v, v_at, rows, n, x_row, v_row, width, step):  # type: ignore[no-untyped-def]
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
def add_taps_plane(x, x_at, w, w_at, size, turned, y, y_at, n, width, step):  # type: ignore[no-untyped-def]
    """`add_taps` over one row, as fast as can be where that is a plane of the paper's maps."""
    if size[0] == 5 and size[1] == 5 and width == 16:
        if turned:
            add_turned_5x5_16(x, x_at, w, w_at, y, y_at, 1, n, 0, 0, width, step)
        else:
            add_taps_5x5_16(x, x_at, w, w_at, y, y_at, 1, n, 0, 0, width, step)
    elif size[0] == 5 and size[1] == 5 and width == 32:
        if turned:
            add_turned_5x5_32(x, x_at, w, w_at, y, y_at, 1, n, 0, 0, width, step)
        else:
            add_taps_5x5_32(x, x_at, w, w_at, y, y_at, 1, n, 0, 0, width, step)
    else:
        add_taps(x, x_at, w, w_at, size, turned, y, y_at, 1, n, 0, 0, width, step)


@part
def add_dots_plane(x, x_at, g, g_at, size, v, v_at, n, width, step):  # type: ignore[no-untyped-def]
    """`add_dots` over one row, as `add_taps_plane`."""
    if size[0] == 5 and size[1] == 5 and width == 16:
        add_dots_5x5_16(x, x_at, g, g_at, v, v_at, 1, n, 0, 0, width, step)
    elif size[0] == 5 and size[1] == 5 and width == 32:
        add_dots_5x5_32(x, x_at, g, g_at, v, v_at, 1, n, 0, 0, width, step)
    else:
        add_dots(x, x_at, g, g_at, size, v, v_at, 1, n, 0, 0, width, step)
