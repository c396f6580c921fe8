"""Full connection and RBF units, one pattern at a time."""

from ._jit import part

__all__ = ["dense_back_one", "dense_one", "rbf_back_one", "rbf_one"]


@part
def dense_one(x, w, bias, y):  # type: ignore[no-untyped-def]
    """y[o] = bias[o] + sum_k w[o, k] x[k]."""
    for o in range(len(y)):
        row, total = w[o], bias[o]
        for k in range(len(x)):
            total += row[k] * x[k]
        y[o] = total


@part
def dense_back_one(x, v, w, g_w, g_b, vx, to_input):  # type: ignore[no-untyped-def]
    """Add one pattern's part to g_w[o, k] = v[o] x[k] and g_b = v; write vx = w^T v if `to_input`."""
    if to_input:
        vx[:] = 0
    for o in range(len(v)):
        row, g_row, vo = w[o], g_w[o], v[o]
        g_b[o] += vo
        if to_input:
            for k in range(len(x)):
                vx[k] += vo * row[k]
        for k in range(len(x)):
            g_row[k] += vo * x[k]


@part
def dense_step_one(x, v, w, bias, rate_w, rate_b, vx, to_input):  # type: ignore[no-untyped-def]
    """`dense_back_one` with the update in place of the gradient: w -= rate v x, after vx has used w."""
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
def rbf_one(x, codes, y):  # type: ignore[no-untyped-def]
    """y[i] = sum_j (x[j] - codes[i, j])^2 (eq. 7)."""
    for i in range(len(y)):
        code, total = codes[i], x.dtype.type(0)
        for j in range(len(x)):
            d = x[j] - code[j]
            total += d * d
        y[i] = total


@part
def rbf_back_one(x, codes, v, vx):  # type: ignore[no-untyped-def]
    """vx[j] = sum_i v[i] 2 (x[j] - codes[i, j])."""
    vx[:] = 0
    for i in range(len(v)):
        code, twice = codes[i], v[i] + v[i]
        for j in range(len(x)):
            vx[j] += twice * (x[j] - code[j])


@part
def rbf_bbprop_one(x, codes, h, v, vx):  # type: ignore[no-untyped-def]
    """vx[j] = sum_i h[i] (2 (x[j] - codes[i, j]))^2 + 2 sum_i v[i], kept non-negative."""
    zero = x.dtype.type(0)
    vx[:] = zero
    total = zero
    for i in range(len(h)):
        code, four = codes[i], x.dtype.type(4) * h[i]
        total += v[i] + v[i]
        for j in range(len(x)):
            d = x[j] - code[j]
            vx[j] += four * d * d
    for j in range(len(x)):
        vx[j] = max(vx[j] + total, zero)
