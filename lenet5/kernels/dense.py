"""Full connection and RBF units, for patterns side by side: `lanes` numbers for every cell."""

from ._jit import part

__all__ = ["dense_back_one", "dense_one", "dense_step_one", "rbf_back_one", "rbf_bbprop_one", "rbf_one"]


@part
def _turn(x, rows, columns, out):  # type: ignore[no-untyped-def]
    """Write x (rows, columns), flat, as out (columns, rows)."""
    for r in range(rows):
        for c in range(columns):
            out[c * rows + r] = x[r * columns + c]


@part
def _add_four(scale, step, rows, n, out):  # type: ignore[no-untyped-def]
    """out[k] += sum of scale[q step] rows[q n + k] for q = 0 to 3, k < n."""
    s0, s1, s2, s3 = scale[0], scale[step], scale[2 * step], scale[3 * step]
    r1, r2, r3 = rows[n:], rows[2 * n :], rows[3 * n :]
    for k in range(n):
        out[k] += s0 * rows[k] + s1 * r1[k] + s2 * r2[k] + s3 * r3[k]


@part
def dense_one(x, w, bias, y, line, lanes):  # type: ignore[no-untyped-def]
    """y[o] = bias[o] + sum_k w[o, k] x[k]. `line` is room for the patterns one by one; lanes is 1 or 4, 8, ..."""
    n_out, n_in = w.shape
    zero = x.dtype.type(0)
    if lanes == 1:
        for o in range(n_out):
            row, total = w[o], bias[o]
            for k in range(n_in):
                total += row[k] * x[k]
            y[o] = total
        return
    _turn(x, n_in, lanes, line)
    for o in range(n_out):
        row = w[o]
        for first in range(0, lanes, 4):
            x0, x1 = line[first * n_in :], line[(first + 1) * n_in :]
            x2, x3 = line[(first + 2) * n_in :], line[(first + 3) * n_in :]
            t0 = t1 = t2 = t3 = zero
            for k in range(n_in):
                t0 += row[k] * x0[k]
                t1 += row[k] * x1[k]
                t2 += row[k] * x2[k]
                t3 += row[k] * x3[k]
            out = y[o * lanes + first :]
            out[0], out[1], out[2], out[3] = t0 + bias[o], t1 + bias[o], t2 + bias[o], t3 + bias[o]


@part
def dense_back_one(x, v, w, g_w, g_b, vx, to_input, line, lanes):  # type: ignore[no-untyped-def]
    """Add the patterns' part to g_w[o, k] = v[o] x[k] and g_b = v; write vx = w^T v if `to_input`."""
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
    _turn(x, n_in, lanes, line)
    for o in range(n_out):
        above = v[o * lanes :]
        for first in range(0, lanes, 4):
            _add_four(above[first:], 1, line[first * n_in :], n_in, g_w[o])
        for k in range(lanes):
            g_b[o] += above[k]
    if to_input:
        line[: lanes * n_in] = 0
        flat, whole = w.reshape(w.size), n_out - n_out % 4
        for first in range(0, whole, 4):
            for k in range(lanes):
                _add_four(v[first * lanes + k :], lanes, flat[first * n_in :], n_in, line[k * n_in :])
        for o in range(whole, n_out):
            for k in range(lanes):
                out, vo = line[k * n_in :], v[o * lanes + k]
                for i in range(n_in):
                    out[i] += vo * w[o, i]
        _turn(line, lanes, n_in, vx)


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
