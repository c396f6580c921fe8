"""A network as a table: one row per layer, read by one compiled loop.

The table says which of the other kernels to run, on which stretches of a few flat vectors: the parameters,
the states of all layers, their derivatives. So a pattern goes through forward, loss, backward and update without
Python in between, for any sequence of layers that `lenet5.compiled` can write down.

Where a batch is large enough, `lanes` patterns go side by side: every cell of every state is then that many
numbers in a row, and the vectors of the processor run along patterns.
"""

from .criterion import CROSS_ENTROPY, EQ_8, EQ_9, SQUARED, loss_curvature, loss_one, wrong
from .dense import dense_back_one, dense_one, dense_step_one, rbf_back_one, rbf_bbprop_one, rbf_one
from .jit import jit, part, woven
from .lanes import LANES, conv_lanes, conv_lanes_back
from .planes import conv_plane, conv_plane_back
from .pool import (
    crop_one,
    gather_one,
    max_pool_one,
    max_unpool_one,
    pad_one,
    repeat_one,
    window_spread_one,
    window_sum_one,
)
from .squash import elu, elu_back, leaky, leaky_back, relu, relu_back, sigmoid, sigmoid_back, tanh, tanh_back
from .vectors import VECTOR

__all__ = [
    "COLUMNS", "CROSS_ENTROPY", "CURVATURE", "EQ_8", "EQ_9", "EVALUATE", "GRADIENT", "KINDS", "LANES", "SQUARED",
    "STEP", "VECTOR", "forward", "learn",
]  # fmt: skip

# Kinds of layers, and the columns of the table.
KINDS = (
    CONV, PAD, DENSE, SUBSAMPLE, AVERAGE, MAXIMUM, TANH, SIGMOID, RELU, LEAKY, ELU, RBF, REPEAT,
) = range(13)  # fmt: skip
COLUMNS = (
    KIND, X, X_SIZE, Y, Y_SIZE, C, H, W, OUT, HO, WO, P, P_SIZE, KERNEL_H, KERNEL_W, STRIDE, LINKS, EXTRA, NUMBERS,
    TO_INPUT,
) = range(20)  # fmt: skip
# X, Y: where the layer's input and output begin in a vector of states; P: its parameters, weights before
# biases; LINKS: connections of CONV (starts, then channels); EXTRA: sums of SUBSAMPLE and choices of MAXIMUM
# among the states; NUMBERS: codes of RBF, factors of others. KERNEL_H and KERNEL_W are also the size of
# a window, and what PAD puts above and left; TO_INPUT: whether there are parameters below.

# Vectors of a workspace, for every pattern: the states, their squares, the derivatives, and room for a layer.
ROOMS = STATES, SQUARES, DERIVATIVES, LINE, TOP, OUTPUT = range(6)

GRADIENT, CURVATURE, STEP, EVALUATE = range(4)


@woven
def _stretch(vector, start, size, lanes):  # type: ignore[no-untyped-def]
    return vector[start * lanes : (start + size) * lanes]


@woven
def _maps(vector, start, c, h, w, lanes):  # type: ignore[no-untyped-def]
    return vector[start * lanes : (start + c * h * w) * lanes].reshape(c, h, w * lanes)


@woven
def _matrix(vector, start, rows, columns):  # type: ignore[no-untyped-def]
    return vector[start : start + rows * columns].reshape(rows, columns)


@woven
def _links(op, links):  # type: ignore[no-untyped-def]
    """Return starts (O+1,) and channels (M,) of a convolution."""
    first = op[LINKS]
    starts = links[first : first + op[OUT] + 1]
    return starts, links[first + op[OUT] + 1 : first + op[OUT] + 1 + starts[op[OUT]]]


@woven
def _forward_one(table, links, numbers, theta, states, line, lanes):  # type: ignore[no-untyped-def]
    """Run every layer on the patterns that lie at the front of `states`; most activations work in place."""
    for k in range(len(table)):
        op, kind = table[k], table[k, KIND]
        x, y = _stretch(states, op[X], op[X_SIZE], lanes), _stretch(states, op[Y], op[Y_SIZE], lanes)
        a, b = numbers[op[NUMBERS]], numbers[op[NUMBERS] + 1]
        if TANH <= kind <= ELU and op[X] != op[Y]:
            for p in range(len(x)):
                y[p] = x[p]
        if kind == TANH:
            tanh(y, a, b)
        elif kind == SIGMOID:
            sigmoid(y)
        elif kind == RELU:
            relu(y)
        elif kind == LEAKY:
            leaky(y, a)
        elif kind == ELU:
            elu(y, a)
        elif kind == DENSE:
            w = _matrix(theta, op[P], op[Y_SIZE], op[X_SIZE])
            dense_one(x, w, theta[op[P] + w.size : op[P] + op[P_SIZE]], y, lanes)
        elif kind == RBF:
            rbf_one(x, _matrix(numbers, op[NUMBERS], op[Y_SIZE], op[X_SIZE]), y, lanes)
        elif kind == CONV:
            starts, channels = _links(op, links)
            bias_at = op[P] + len(channels) * op[KERNEL_H] * op[KERNEL_W]
            maps, size, out = (op[C], op[H], op[W]), (op[KERNEL_H], op[KERNEL_W]), (op[OUT], op[HO], op[WO])
            if lanes > 1:
                conv_lanes(
                    states, op[X] * lanes, maps, theta, op[P], size, starts, channels, theta, bias_at,
                    states, op[Y] * lanes, out,
                )  # fmt: skip
            else:
                conv_plane(
                    states, op[X], maps, theta, op[P], size, starts, channels, theta, bias_at,
                    states, op[Y], out, line,
                )  # fmt: skip
        else:
            xs = _maps(states, op[X], op[C], op[H], op[W], lanes)
            ys = _maps(states, op[Y], op[OUT], op[HO], op[WO], lanes)
            if kind == PAD:
                pad_one(xs, op[KERNEL_H], op[KERNEL_W], ys, lanes)
            elif kind == REPEAT:
                repeat_one(xs, ys)
            elif kind == MAXIMUM:
                picks = _maps(states, op[EXTRA], op[OUT], op[HO], op[WO], lanes)
                max_pool_one(xs, op[KERNEL_W], op[STRIDE], ys, picks, lanes)
            else:
                sums_at, cells = op[Y] if kind == AVERAGE else op[EXTRA], op[HO] * op[WO]
                sums = _maps(states, sums_at, op[OUT], op[HO], op[WO], lanes)
                window_sum_one(xs, op[KERNEL_W], op[STRIDE], sums, lanes)
                for c in range(op[OUT]):
                    factor, bias = a, b
                    if kind == SUBSAMPLE:
                        factor, bias = theta[op[P] + c], theta[op[P] + op[OUT] + c]
                    source = _stretch(states, sums_at + c * cells, cells, lanes)
                    out = _stretch(states, op[Y] + c * cells, cells, lanes)
                    for p in range(len(out)):
                        out[p] = factor * source[p] + bias


@woven
def _sweep_one(  # type: ignore[no-untyped-def]
    table, links, numbers, power, theta, states, squares, derivatives, top, line, grad, rates, step, lanes
):
    """Push the derivatives at the last layer's output down to every parameter.

    With `power` 1 these are gradients; with 2 curvatures, and `theta` and `squares` hold squares of the
    parameters and states (`top` is then dE/dy). They are added to `grad`; or, if `step`, every
    parameter is moved by its rate at once, after its layer has passed the derivatives on.
    """
    for k in range(len(table) - 1, -1, -1):
        op, kind = table[k], table[k, KIND]
        v = _stretch(derivatives, op[Y], op[Y_SIZE], lanes)
        vx = _stretch(derivatives, op[X], op[X_SIZE], lanes)
        x, y = _stretch(squares, op[X], op[X_SIZE], lanes), _stretch(states, op[Y], op[Y_SIZE], lanes)
        a, b = numbers[op[NUMBERS]], numbers[op[NUMBERS] + 1]
        first, last, to_input = op[P], op[P] + op[P_SIZE], op[TO_INPUT] > 0
        if kind == TANH:
            tanh_back(v, y, a, b, power)
        elif kind == SIGMOID:
            sigmoid_back(v, y, power)
        elif kind == RELU:
            relu_back(v, y)
        elif kind == LEAKY:
            leaky_back(v, y, a, power)
        elif kind == ELU:
            elu_back(v, y, a, power)
        elif kind == DENSE:
            w = _matrix(theta, first, op[Y_SIZE], op[X_SIZE])
            middle = first + w.size
            if step:
                rate_w = _matrix(rates, first, op[Y_SIZE], op[X_SIZE])
                dense_step_one(x, v, w, theta[middle:last], rate_w, rates[middle:last], vx, to_input)
            else:
                g_w = _matrix(grad, first, op[Y_SIZE], op[X_SIZE])
                dense_back_one(x, v, w, g_w, grad[middle:last], vx, to_input, line, lanes)
        elif kind == RBF:
            own = _matrix(numbers, op[NUMBERS], op[Y_SIZE], op[X_SIZE])
            plain = _stretch(states, op[X], op[X_SIZE], lanes)
            if power == 1:
                rbf_back_one(plain, own, v, vx, lanes)
            else:
                rbf_bbprop_one(plain, own, v, top, vx, lanes)
        else:
            vs = _maps(derivatives, op[Y], op[OUT], op[HO], op[WO], lanes)
            below = _maps(derivatives, op[X], op[C], op[H], op[W], lanes)
            if step:
                grad[first:last] = 0
            if kind == CONV:
                starts, channels = _links(op, links)
                bias_at = first + len(channels) * op[KERNEL_H] * op[KERNEL_W]
                maps, size, out = (op[C], op[H], op[W]), (op[KERNEL_H], op[KERNEL_W]), (op[OUT], op[HO], op[WO])
                if lanes > 1:
                    conv_lanes_back(
                        squares, op[X] * lanes, maps, theta, first, size, starts, channels,
                        derivatives, op[Y] * lanes, out, grad, first, grad, bias_at, derivatives, to_input, line,
                    )  # fmt: skip
                else:
                    conv_plane_back(
                        squares, op[X], maps, theta, first, size, starts, channels,
                        derivatives, op[Y], out, grad, first, grad, bias_at, derivatives, to_input, line,
                    )  # fmt: skip
            elif kind == PAD:
                if to_input:
                    crop_one(vs, op[KERNEL_H], op[KERNEL_W], below, lanes)
            elif kind == REPEAT:
                gather_one(vs, below)
            elif kind == MAXIMUM:
                picks = _maps(states, op[EXTRA], op[OUT], op[HO], op[WO], lanes)
                max_unpool_one(vs, op[KERNEL_W], op[STRIDE], picks, below, lanes)
            else:
                cells = op[HO] * op[WO]
                for c in range(op[OUT]):
                    factor, flat = a if power == 1 else a * a, _stretch(derivatives, op[Y] + c * cells, cells, lanes)
                    if kind == SUBSAMPLE:
                        factor = theta[first + c]
                        sums = _stretch(squares, op[EXTRA] + c * cells, cells, lanes)
                        g_factor = g_bias = v.dtype.type(0)
                        for p in range(len(flat)):
                            g_factor += flat[p] * sums[p]
                            g_bias += flat[p]
                        grad[first + c] += g_factor
                        grad[first + op[OUT] + c] += g_bias
                    for p in range(len(flat)):
                        flat[p] *= factor
                window_spread_one(vs, op[KERNEL_W], op[STRIDE], below, lanes)
            if step:
                for p in range(first, last):
                    theta[p] -= rates[p] * grad[p]
        if TANH <= kind <= ELU and op[X] != op[Y]:
            for p in range(len(v)):
                vx[p] = v[p]


@part
def _load(x, first, states, lanes):  # type: ignore[no-untyped-def]
    """Lay patterns first, first + 1, ... side by side at the front of `states`; zeros where there are no more."""
    if lanes == 1:
        row = x[first]
        for p in range(len(row)):
            states[p] = row[p]
        return
    for k in range(lanes):
        if first + k < len(x):
            row = x[first + k]
            for p in range(len(row)):
                states[p * lanes + k] = row[p]
        else:
            for p in range(x.shape[1]):
                states[p * lanes + k] = 0


@jit
def forward(table, links, numbers, theta, room, x, y, lanes):  # type: ignore[no-untyped-def]
    """y (N, classes) = outputs for x (N, inputs); lanes is 1 or LANES."""
    last = len(table) - 1
    states = room[STATES]
    out = _stretch(states, table[last, Y], table[last, Y_SIZE], lanes)
    for first in range(0, len(x), lanes):
        _load(x, first, states, lanes)
        _forward_one(table, links, numbers, theta, states, room[LINE], lanes)
        for k in range(min(lanes, len(x) - first)):
            for i in range(y.shape[1]):
                y[first + k, i] = out[i * lanes + k]


@jit
def learn(  # type: ignore[no-untyped-def]
    mode, table, links, numbers, theta, squared, room, x, labels, loss, j, factor, grad, rates, total, lanes
):
    """Go through patterns x (N, inputs) with their labels; return total plus factor * losses, and the errors.

    GRADIENT sets grad to the sum of factor * dE/dtheta. CURVATURE sets it to that of the Gauss-Newton diagonal
    (eqs. 23 to 27), with the squares of theta in `squared`. STEP updates theta after every single pattern, each
    number by its own rate; grad is then room to work in, and lanes is 1. EVALUATE stops at the loss: in place of
    `forward`, so that training need not compile both.
    """
    last = len(table) - 1
    classes = table[last, Y_SIZE]
    states, squares, derivatives, line = room[STATES], room[SQUARES], room[DERIVATIVES], room[LINE]
    outputs = _stretch(states, table[last, Y], classes, lanes)
    derivative = _stretch(derivatives, table[last, Y], classes, lanes)
    top, y, v = room[TOP], room[OUTPUT], room[OUTPUT, classes:]
    errors = 0
    power, used, seen = 1, theta, states
    if mode == CURVATURE:
        power, used, seen = 2, squared, squares
    if mode == GRADIENT or mode == CURVATURE:
        grad[:] = 0
    for first in range(0, len(x), lanes):
        _load(x, first, states, lanes)
        _forward_one(table, links, numbers, theta, states, line, lanes)
        derivative[:] = 0  # and so it stays for lanes without a pattern, which then add nothing
        top[:] = 0
        for k in range(min(lanes, len(x) - first)):
            label = labels[first + k]
            for i in range(classes):
                y[i] = outputs[i * lanes + k]
            total += loss_one(loss, j, factor, y[:classes], label, v[:classes])
            errors += wrong(y[:classes], label, loss)
            for i in range(classes):
                top[i * lanes + k] = v[i]
            if mode == CURVATURE:
                loss_curvature(loss, j, factor, label, v[:classes])
            for i in range(classes):
                derivative[i * lanes + k] = v[i]
        if mode == EVALUATE:
            continue
        if mode == CURVATURE:
            for p in range(len(states)):
                squares[p] = states[p] * states[p]
        _sweep_one(
            table, links, numbers, power, used, states, seen, derivatives, top, line, grad, rates, mode == STEP, lanes
        )
    return total, errors
