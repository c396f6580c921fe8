"""A network as a table: one row per layer, read by one compiled loop.

The table says which of the other kernels to run, on which stretches of a few flat vectors: the parameters,
the states of all layers, their derivatives. So a pattern goes through forward, loss, backward and update without
Python in between, for any sequence of layers that `lenet5.compiled` can write down.
"""

import numpy as np

from ._jit import jit, part
from .dense import dense_back_one, dense_one, dense_step_one, rbf_back_one, rbf_bbprop_one, rbf_one
from .direct import conv_back_one, conv_one
from .pool import max_pool_one, max_unpool_one, window_spread_one, window_sum_one
from .squash import relu, relu_back, sigmoid, sigmoid_back, tanh, tanh_back

__all__ = ["COLUMNS", "CROSS_ENTROPY", "CURVATURE", "EQ_8", "EQ_9", "GRADIENT", "KINDS", "STEP", "forward", "learn"]

# Kinds of layers, and the columns of the table.
KINDS = (
    CONV, DENSE, SUBSAMPLE, AVERAGE, MAXIMUM, TANH, SIGMOID, RELU, RBF,
) = range(9)  # fmt: skip
COLUMNS = (
    KIND, X, X_SIZE, Y, Y_SIZE, C, H, W, OUT, HO, WO, P, P_SIZE, KERNEL_H, KERNEL_W, STRIDE, LINKS, EXTRA,
) = range(18)  # fmt: skip
# X, Y: where the layer's input and output begin in the vector of states; P: its parameters, weights before
# biases; LINKS: connections of CONV (starts, then channels); EXTRA: sums of SUBSAMPLE among the states, choices
# of MAXIMUM, codes of RBF. KERNEL_W is also the size of a window.

EQ_8, EQ_9, CROSS_ENTROPY = range(3)
GRADIENT, CURVATURE, STEP = range(3)


@part
def _cube(vector, start, a, b, c):  # type: ignore[no-untyped-def]
    return vector[start : start + a * b * c].reshape(a, b, c)


@part
def _links(op, links):  # type: ignore[no-untyped-def]
    """Return starts (O+1,) and channels (M,) of a convolution."""
    first = op[LINKS]
    starts = links[first : first + op[OUT] + 1]
    return starts, links[first + op[OUT] + 1 : first + op[OUT] + 1 + starts[op[OUT]]]


@part
def _forward_one(table, numbers, links, codes, theta, states, choices, line):  # type: ignore[no-untyped-def]
    """Run every layer on the pattern that lies at the front of `states`."""
    for k in range(len(table)):
        op, kind = table[k], table[k, KIND]
        x, y = states[op[X] : op[X] + op[X_SIZE]], states[op[Y] : op[Y] + op[Y_SIZE]]
        a, b = numbers[k, 0], numbers[k, 1]
        if kind == TANH:
            tanh(x, a, b, y)
        elif kind == SIGMOID:
            sigmoid(x, y)
        elif kind == RELU:
            relu(x, y)
        elif kind == DENSE:
            weights = op[X_SIZE] * op[Y_SIZE]
            w = theta[op[P] : op[P] + weights].reshape(op[Y_SIZE], op[X_SIZE])
            dense_one(x, w, theta[op[P] + weights : op[P] + op[P_SIZE]], y)
        elif kind == RBF:
            dense_codes = codes[op[EXTRA] : op[EXTRA] + op[X_SIZE] * op[Y_SIZE]].reshape(op[Y_SIZE], op[X_SIZE])
            rbf_one(x, dense_codes, y)
        else:
            xs, ys = x.reshape(op[C], op[H], op[W]), y.reshape(op[OUT], op[HO], op[WO])
            if kind == CONV:
                starts, channels = _links(op, links)
                w = _cube(theta, op[P], len(channels), op[KERNEL_H], op[KERNEL_W])
                conv_one(xs, w, starts, channels, theta[op[P] + w.size : op[P] + op[P_SIZE]], line, ys)
            elif kind == MAXIMUM:
                picks = _cube(choices, op[EXTRA], op[OUT], op[HO], op[WO])
                max_pool_one(xs, op[KERNEL_W], op[STRIDE], ys, picks)
            else:
                sums = ys if kind == AVERAGE else _cube(states, op[EXTRA], op[OUT], op[HO], op[WO])
                window_sum_one(xs, op[KERNEL_W], op[STRIDE], sums)
                for c in range(op[OUT]):
                    factor, bias = a, b
                    if kind == SUBSAMPLE:
                        factor, bias = theta[op[P] + c], theta[op[P] + op[OUT] + c]
                    for r in range(op[HO]):
                        for s in range(op[WO]):
                            ys[c, r, s] = factor * sums[c, r, s] + bias


@part
def _sweep_one(  # type: ignore[no-untyped-def]
    table, numbers, links, codes, power, theta, states, squares, choices, derivatives, top, line, grad, rates, step
):
    """Push the derivatives at the last layer's output down to every parameter.

    With `power` 1 these are gradients; with 2 curvatures, and `theta` and `squares` hold squares of the
    parameters and states (`top` is then dE/dy). They are added to `grad`; or, if `step`, every
    parameter is moved by its rate at once, after its layer has passed the derivatives on.
    """
    for k in range(len(table) - 1, -1, -1):
        op, kind = table[k], table[k, KIND]
        v, vx = derivatives[op[Y] : op[Y] + op[Y_SIZE]], derivatives[op[X] : op[X] + op[X_SIZE]]
        x, y = squares[op[X] : op[X] + op[X_SIZE]], states[op[Y] : op[Y] + op[Y_SIZE]]
        a, b = numbers[k, 0], numbers[k, 1]
        first, last = op[P], op[P] + op[P_SIZE]
        if kind == TANH:
            tanh_back(v, y, a, b, power, vx)
        elif kind == SIGMOID:
            sigmoid_back(v, y, power, vx)
        elif kind == RELU:
            relu_back(v, y, vx)
        elif kind == DENSE:
            n_out, n_in = op[Y_SIZE], op[X_SIZE]
            middle = first + n_out * n_in
            w, g_w = theta[first:middle].reshape(n_out, n_in), grad[first:middle].reshape(n_out, n_in)
            if step:
                rate_w = rates[first:middle].reshape(n_out, n_in)
                dense_step_one(x, v, w, theta[middle:last], rate_w, rates[middle:last], vx, k > 0)
            else:
                dense_back_one(x, v, w, g_w, grad[middle:last], vx, k > 0)
        elif kind == RBF:
            own = codes[op[EXTRA] : op[EXTRA] + op[X_SIZE] * op[Y_SIZE]].reshape(op[Y_SIZE], op[X_SIZE])
            plain = states[op[X] : op[X] + op[X_SIZE]]
            if power == 1:
                rbf_back_one(plain, own, v, vx)
            else:
                rbf_bbprop_one(plain, own, v, top, vx)
        else:
            xs, vs = x.reshape(op[C], op[H], op[W]), v.reshape(op[OUT], op[HO], op[WO])
            below = vx.reshape(op[C], op[H], op[W])
            if step:
                grad[first:last] = 0
            if kind == CONV:
                starts, channels = _links(op, links)
                w = _cube(theta, first, len(channels), op[KERNEL_H], op[KERNEL_W])
                g_w = _cube(grad, first, len(channels), op[KERNEL_H], op[KERNEL_W])
                reverse = line[len(line) - op[KERNEL_W] :]
                conv_back_one(
                    xs, vs, w, starts, channels, line, reverse, g_w, grad[first + w.size : last], below, k > 0
                )
            elif kind == MAXIMUM:
                picks = _cube(choices, op[EXTRA], op[OUT], op[HO], op[WO])
                max_unpool_one(vs, op[KERNEL_W], op[STRIDE], picks, below)
            else:
                for c in range(op[OUT]):
                    factor = a if power == 1 else a * a
                    if kind == SUBSAMPLE:
                        factor = theta[first + c]
                        sums = _cube(squares, op[EXTRA], op[OUT], op[HO], op[WO])
                        g_factor = g_bias = v.dtype.type(0)
                        for r in range(op[HO]):
                            for s in range(op[WO]):
                                g_factor += vs[c, r, s] * sums[c, r, s]
                                g_bias += vs[c, r, s]
                        grad[first + c] += g_factor
                        grad[first + op[OUT] + c] += g_bias
                    for r in range(op[HO]):
                        for s in range(op[WO]):
                            vs[c, r, s] *= factor
                window_spread_one(vs, op[KERNEL_W], op[STRIDE], below)
            if step:
                for p in range(first, last):
                    theta[p] -= rates[p] * grad[p]


@part
def _loss_one(kind, j, factor, y, label, v):  # type: ignore[no-untyped-def]
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
def _wrong(y, label, penalties):  # type: ignore[no-untyped-def]
    """Whether another class than `label` is the first of smallest penalty, or of largest score."""
    best = 0
    for i in range(1, len(y)):
        if (y[i] < y[best]) if penalties else (y[i] > y[best]):
            best = i
    return best != label


@jit
def forward(table, numbers, links, codes, theta, states, choices, line, x, y):  # type: ignore[no-untyped-def]
    """y (N, classes) = outputs for x (N, inputs)."""
    last = len(table) - 1
    out = states[table[last, Y] : table[last, Y] + table[last, Y_SIZE]]
    for n in range(len(x)):
        states[: x.shape[1]] = x[n]
        _forward_one(table, numbers, links, codes, theta, states, choices, line)
        y[n] = out


@part
def _loss_curvature(kind, factor, v):  # type: ignore[no-untyped-def]
    """Turn the gradient of a loss into the diagonal of its second derivative, p (1 - p), or 0 for eq. 8."""
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for i in range(len(v)):
        share = abs(v[i]) / factor  # p_i, or 1 - p_i for the label: the product is the same
        v[i] = zero if kind == EQ_8 else factor * share * (one - share)


@jit
def learn(  # type: ignore[no-untyped-def]
    mode, table, numbers, links, codes, theta, squared, states, squares, choices, derivatives, line,
    x, labels, loss, j, factor, penalties, grad, rates, total,
):  # fmt: skip
    """Go through patterns x (N, inputs) with their labels; return total plus factor * losses, and the errors.

    GRADIENT sets grad to the sum of factor * dE/dtheta. CURVATURE sets it to that of the Gauss-Newton diagonal
    (eqs. 23 to 27), with the squares of theta in `squared`. STEP updates theta after every single pattern, each
    number by its own rate, and grad is room to work in.
    """
    last = len(table) - 1
    y = states[table[last, Y] : table[last, Y] + table[last, Y_SIZE]]
    v = derivatives[table[last, Y] : table[last, Y] + table[last, Y_SIZE]]
    top = np.empty_like(v)
    errors = 0
    power, used, seen = 1, theta, states
    if mode == CURVATURE:
        power, used, seen = 2, squared, squares
    if mode != STEP:
        grad[:] = 0
    for n in range(len(x)):
        states[: x.shape[1]] = x[n]
        _forward_one(table, numbers, links, codes, theta, states, choices, line)
        total += _loss_one(loss, j, factor, y, labels[n], v)
        errors += _wrong(y, labels[n], penalties)
        if mode == CURVATURE:
            for p in range(len(states)):
                squares[p] = states[p] * states[p]
            top[:] = v
            _loss_curvature(loss, factor, v)
        _sweep_one(
            table, numbers, links, codes, power, used, states, seen, choices, derivatives, top, line, grad, rates,
            mode == STEP,
        )  # fmt: skip
    return total, errors
