"""Full connection and RBF units, for patterns side by side: `lanes` numbers for every cell."""

from .jit import part
from .vectors import VECTOR, add_sums_1, add_sums_8, add_taps_of_all

__all__ = ["dense_back_one", "dense_one", "dense_step_one", "rbf_back_one", "rbf_bbprop_one", "rbf_one"]

# Columns of a matrix at a time: 16 patterns' part takes 16 kB in float32.
BLOCK = 256


@part
def _turn(x, rows, columns, out):  # type: ignore[no-untyped-def]
    """Write x (rows, columns), flat, as out (columns, rows)."""
    for r in range(rows):
        for c in range(columns):
            out[c * rows + r] = x[r * columns + c]


@part
def _add_sums(x, n, w, rows, w_row, w_step, y):  # type: ignore[no-untyped-def]
    """y[q, l] += sum_k w[q w_row + k w_step] x[k, l] for q < rows and k < n, patterns l side by side."""
    whole = rows & -8
    for q in range(0, whole, 8):
        add_sums_8(x, 0, w, q * w_row, y, q * VECTOR, 1, n * VECTOR, 0, 0, w_row, w_step)
    for q in range(whole, rows):
        add_sums_1(x, 0, w, q * w_row, y, q * VECTOR, 1, n * VECTOR, 0, 0, w_row, w_step)


@part
def dense_one(x, w, bias, y, lanes):  # type: ignore[no-untyped-def]
    """y[o] = bias[o] + sum_k w[o, k] x[k]; lanes is 1 or VECTOR."""
    n_out, n_in = w.shape
    if lanes == 1:
        for o in range(n_out):
            row, total = w[o], bias[o]
            for k in range(n_in):
                total += row[k] * x[k]
            y[o] = total
        return
    for o in range(n_out):
        y[o * lanes : (o + 1) * lanes] = bias[o]
    _add_sums(x, n_in, w.reshape(w.size), n_out, n_in, 1, y)


@part
def dense_back_one(x, v, w, g_w, g_b, vx, to_input, line, lanes):  # type: ignore[no-untyped-def]
    """Add the patterns' part to g_w[o, k] = v[o] x[k] and g_b = v; write vx = w^T v if `to_input`.

    `line` is room for the patterns one by one.
    """
    n_out, n_in = w.shape
    if lanes == 1:
        if to_input:
            vx[:] = 0
        for o in range(n_out):
            row, g_row, vo = w[o], g_w[o], v[o]
            g_b[o] += vo
            if to_input:
                for k in range(n_in):
                    vx[k] += vo * row[k]
            for k in range(n_in):
                g_row[k] += vo * x[k]
        return
    for o in range(n_out):
        for k in range(lanes):
            g_b[o] += v[o * lanes + k]
    # Columns in blocks, so that the patterns' part of one stays in the nearest cache while all rows go over it.
    _turn(x, n_in, lanes, line)
    flat = g_w.reshape(g_w.size)
    for first in range(0, n_in, BLOCK):
        n = min(BLOCK, n_in - first)
        whole = n & -VECTOR
        for o in range(n_out):
            add_taps_of_all(line, first, v, o * lanes, flat, o * n_in + first, 1, whole, 0, 0, 0, n_in)
            above = v[o * lanes :]
            for k in range(first + whole, first + n):
                total = g_w[o, k]
                for q in range(lanes):
                    total += above[q] * x[k * lanes + q]
                g_w[o, k] = total
    if to_input:
        vx[:] = 0
        _add_sums(v, n_out, w.reshape(w.size), n_in, 1, n_in, vx)


@part
def dense_step_one(x, v, w, bias, rate_w, rate_b, vx, to_input):  # type: ignore[no-untyped-def]
    """`dense_back_one` of one pattern with the update in place of the gradient: w -= rate v x, once vx has used w."""
    if to_input:
        vx[:] = 0
    for o in range(len(v)):
        row, rate, vo = w[o], rate_w[o], v[o]
        bias[o] -= rate_b[o] * vo
        if to_input:
            for k in range(len(x)):
                vx[k] += vo * row[k]
                row[k] -= rate[k] * (vo * x[k])
        else:
            for k in range(len(x)):
                row[k] -= rate[k] * (vo * x[k])


@part
def rbf_one(x, codes, y, lanes):  # type: ignore[no-untyped-def]
    """y[i] = sum_j (x[j] - codes[i, j])^2 (eq. 7)."""
    classes, cells = codes.shape
    y[:] = 0
    if lanes == 1:
        for i in range(classes):
            code, total = codes[i], x.dtype.type(0)
            for j in range(cells):
                total += (x[j] - code[j]) * (x[j] - code[j])
            y[i] = total
        return
    for i in range(classes):
        out = y[i * lanes :]
        for j in range(cells):
            cell, centre = x[j * lanes :], codes[i, j]
            for k in range(lanes):
                out[k] += (cell[k] - centre) * (cell[k] - centre)


@part
def rbf_back_one(x, codes, v, vx, lanes):  # type: ignore[no-untyped-def]
    """vx[j] = sum_i v[i] 2 (x[j] - codes[i, j])."""
    classes, cells = codes.shape
    vx[:] = 0
    if lanes == 1:
        for i in range(classes):
            code, twice = codes[i], v[i] + v[i]
            for j in range(cells):
                vx[j] += twice * (x[j] - code[j])
        return
    for i in range(classes):
        above = v[i * lanes :]
        for j in range(cells):
            cell, below, centre = x[j * lanes :], vx[j * lanes :], codes[i, j]
            for k in range(lanes):
                below[k] += (above[k] + above[k]) * (cell[k] - centre)


@part
def rbf_bbprop_one(x, codes, h, v, vx, lanes):  # type: ignore[no-untyped-def]
    """vx[j] = sum_i h[i] (2 (x[j] - codes[i, j]))^2 + 2 sum_i v[i], kept non-negative."""
    classes, cells = codes.shape
    zero, four = x.dtype.type(0), x.dtype.type(4)
    for j in range(cells):
        for k in range(lanes):
            total = zero
            for i in range(classes):
                d = x[j * lanes + k] - codes[i, j]
                total += four * h[i * lanes + k] * d * d + (v[i * lanes + k] + v[i * lanes + k])
            vx[j * lanes + k] = max(total, zero)
