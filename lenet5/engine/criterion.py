"""Losses of one pattern, their derivatives, and whether its answer is wrong."""

import numpy as np

from .jit import part

__all__ = ["CROSS_ENTROPY", "EQ_8", "EQ_9", "SQUARED", "loss_curvature", "loss_one", "wrong"]

EQ_8, EQ_9, CROSS_ENTROPY, SQUARED = range(4)


@part
def loss_one(kind, j, factor, y, label, v):  # type: ignore[no-untyped-def]
    """Return the loss of outputs y, times `factor`, and write its gradient into v.

    `j` is that of eq. 9, and the label smoothing of cross-entropy.
    """
    zero, one = y.dtype.type(0), y.dtype.type(1)
    if kind == EQ_8:
        v[:] = zero
        v[label] = factor
        return factor * y[label]
    if kind == SQUARED:
        total = zero
        for i in range(len(y)):
            off = y[i] - one if i == label else y[i] + one
            v[i] = factor * off
            total += off * off
        return factor * total / y.dtype.type(2)
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
    right = sign * y[label]
    if kind == CROSS_ENTROPY and j > zero:
        # The label's share of the target, 1, becomes 1 - j + j/classes; j/classes is for every class.
        each, all_scores = j / y.dtype.type(len(y)), zero
        for i in range(len(y)):
            v[i] -= factor * each
            all_scores -= y[i]
        v[label] += factor * j
        right += each * all_scores - j * right
    return factor * (right - low + np.log(total))


@part
def loss_curvature(kind, j, factor, label, v):  # type: ignore[no-untyped-def]
    """Turn the gradient of a loss into the diagonal of its second derivative: p (1 - p); 0 for eq. 8; 1 for squares."""
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for i in range(len(v)):
        share = abs(v[i]) / factor  # p_i, or 1 - p_i for the label: the product is the same
        if kind == CROSS_ENTROPY and j > zero:
            share = v[i] / factor + j / v.dtype.type(len(v)) + (one - j if i == label else zero)
        v[i] = zero if kind == EQ_8 else factor * share * (one - share)
        if kind == SQUARED:
            v[i] = factor


@part
def wrong(y, label, kind):  # type: ignore[no-untyped-def]
    """Whether another class than `label` has the smallest penalty or, where outputs are scores, the largest."""
    best = 0
    for i in range(1, len(y)):
        if (y[i] > y[best]) if kind >= CROSS_ENTROPY else (y[i] < y[best]):
            best = i
    return best != label
