"""Losses of one pattern, their derivatives, and whether its answer is wrong."""

import numpy as np

from ._jit import part

__all__ = ["CROSS_ENTROPY", "EQ_8", "EQ_9", "loss_curvature", "loss_one", "wrong"]

EQ_8, EQ_9, CROSS_ENTROPY = range(3)


@part
def loss_one(kind, j, factor, y, label, v):  # type: ignore[no-untyped-def]
    """Return the loss of outputs y, times `factor`, and write its gradient into v; eqs. 8 and 9, cross-entropy."""
    zero = y.dtype.type(0)
    if kind == EQ_8:
        v[:] = zero
        v[label] = factor
        return factor * y[label]
    sign = y.dtype.type(1 if kind == EQ_9 else -1)
    # Of penalties (or negative scores) the smallest is taken out, so that the sum is at least 1.
    low = sign * y[0]
    for i in range(len(y)):
        low = min(low, sign * y[i])
    if kind == EQ_9:
        low = min(low, j)
    total = np.exp(low - j) if kind == EQ_9 else zero
    for i in range(len(y)):
        v[i] = np.exp(low - sign * y[i])
        total += v[i]
    scale = sign * factor / total
    for i in range(len(y)):
        v[i] *= -scale
    v[label] += sign * factor
    return factor * (sign * y[label] - low + np.log(total))


@part
def loss_curvature(kind, factor, v):  # type: ignore[no-untyped-def]
    """Turn the gradient of a loss into the diagonal of its second derivative, p (1 - p), or 0 for eq. 8."""
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for i in range(len(v)):
        share = abs(v[i]) / factor  # p_i, or 1 - p_i for the label: the product is the same
        v[i] = zero if kind == EQ_8 else factor * share * (one - share)


@part
def wrong(y, label, kind):  # type: ignore[no-untyped-def]
    """Whether another class than `label` has the smallest penalty or, for cross-entropy, the largest score."""
    best = 0
    for i in range(1, len(y)):
        if (y[i] > y[best]) if kind == CROSS_ENTROPY else (y[i] < y[best]):
            best = i
    return best != label
