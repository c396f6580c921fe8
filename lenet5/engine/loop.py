"""Compiled loops over a network's table of layer functions (see `program`): forward, backward, both with a loss."""

from . import call as eng
from .jit import jit, part

__all__ = ["MODES", "learn", "push", "run"]

_WIDTH = len(eng.COLUMNS)
MODES = _GRADIENT, _CURVATURE, _STEP, _EVALUATE = range(4)


@part
def _load(x, first, states, lanes):  # type: ignore[no-untyped-def]
    """Interleave x[first], x[first + 1], ... at the start of `states`; lanes beyond the last pattern are set to 0."""
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


@part
def _store(states, y, first, lanes):  # type: ignore[no-untyped-def]
    """Copy the interleaved values of patterns first, first + 1, ... to rows of y."""
    for k in range(min(lanes, len(y) - first)):
        row = y[first + k]
        for p in range(len(row)):
            row[p] = states[p * lanes + k]


@part
def _forward(table, at, states, lanes):  # type: ignore[no-untyped-def]
    """Call the forward function of every table row on the patterns at the start of `states`."""
    for k in range(len(table)):
        op = eng.ahead(eng.pointer(table), k * _WIDTH)
        eng.call_layer(op[eng.FORWARD], eng.Call(op, eng.pointer(at), states, states), lanes)


@part
def _reverse(table, at, states, lanes):  # type: ignore[no-untyped-def]
    """Propagate the derivatives at the network's output to all parameters, and to the input if needed."""
    where = eng.pointer(at)
    operands, theta = states, eng.typed(at[eng.PARAMETERS], states)
    if at[eng.POWER] == 2:
        operands = eng.typed(at[eng.SQUARES], states)
        for p in range(at[eng.SIZE] * lanes):
            operands[p] = states[p] * states[p]
        at[eng.PARAMETERS], at[eng.SQUARED] = at[eng.SQUARED], at[eng.PARAMETERS]
    for k in range(len(table) - 1, -1, -1):
        op = eng.ahead(eng.pointer(table), k * _WIDTH)
        first, size = op[eng.P], op[eng.P_SIZE]
        if op[eng.TO_INPUT] == 0 and size == 0:
            continue  # no parameters in this row or in earlier rows
        moved = at[eng.STEP] > 0 and op[eng.STEPS] == 0
        grad, rates = eng.typed(at[eng.GRADIENTS], states), eng.typed(at[eng.RATES], states)
        if moved:
            for p in range(first, first + size):
                grad[p] = 0
        eng.call_layer(op[eng.REVERSE], eng.Call(op, where, states, operands), lanes)
        if moved:
            for p in range(first, first + size):
                theta[p] -= rates[p] * grad[p]
    if at[eng.POWER] == 2:
        at[eng.PARAMETERS], at[eng.SQUARED] = at[eng.SQUARED], at[eng.PARAMETERS]


@jit
def run(table, at, x, y, lanes):  # type: ignore[no-untyped-def]
    """Run the forward pass: compute the outputs y (N, outputs) of the network for x (N, inputs)."""
    last = len(table) - 1
    states = eng.typed(at[eng.STATES], eng.pointer(x))
    for first in range(0, len(x), lanes):
        _load(x, first, states, lanes)
        _forward(table, at, states, lanes)
        _store(eng.ahead(states, table[last, eng.Y] * lanes), y, first, lanes)
        states = eng.ahead(states, at[eng.KEEP])


@jit
def push(table, at, vy, vx, lanes):  # type: ignore[no-untyped-def]
    """Compute the derivatives vx (N, inputs) from vy (N, outputs) and the states that `run` stored."""
    last = len(table) - 1
    states = eng.typed(at[eng.STATES], eng.pointer(vy))
    derivatives = eng.typed(at[eng.DERIVATIVES], states)
    for first in range(0, len(vy), lanes):
        _load(vy, first, eng.ahead(derivatives, table[last, eng.Y] * lanes), lanes)
        _reverse(table, at, states, lanes)
        if vx.shape[1] > 0:
            _store(eng.ahead(derivatives, table[0, eng.X] * lanes), vx, first, lanes)
        states = eng.ahead(states, at[eng.KEEP])


@jit
def learn(mode, table, at, x, labels, factor, total, lanes):  # type: ignore[no-untyped-def]
    """Process patterns x (N, inputs) with their labels; return total + factor * losses, and the number of errors.

    Mode _GRADIENT accumulates gradients, and _CURVATURE the Gauss-Newton diagonal (eqs. 23 to 27). _STEP updates every
    parameter with its own learning rate after each pattern; `lanes` must be 1. _EVALUATE computes only the losses and
    errors; training uses it instead of `run`, which would have to be compiled as well.
    """
    last = len(table) - 1
    classes = table[last, eng.Y_SIZE]
    states = eng.typed(at[eng.STATES], eng.pointer(x))
    outputs = eng.ahead(states, table[last, eng.Y] * lanes)
    top, numbers = eng.typed(at[eng.TOP], states), eng.typed(at[eng.LOSS_NUMBERS], states)
    derivative = top  # in evaluation, there is no vector of derivatives
    if mode != _EVALUATE:
        derivative = eng.ahead(eng.typed(at[eng.DERIVATIVES], states), table[last, eng.Y] * lanes)
    y = eng.ahead(top, classes * lanes)  # outputs of one pattern
    v = eng.ahead(y, classes)
    errors = 0
    for first in range(0, len(x), lanes):
        _load(x, first, states, lanes)
        _forward(table, at, states, lanes)
        for p in range(classes * lanes):  # lanes without a pattern keep 0 and contribute nothing
            derivative[p] = 0
            top[p] = 0
        for k in range(min(lanes, len(x) - first)):
            label, best = labels[first + k], 0
            for i in range(classes):
                y[i] = outputs[i * lanes + k]
                if (y[i] > y[best]) if at[eng.LARGEST] > 0 else (y[i] < y[best]):
                    best = i
            errors += best != label
            called = eng.LossCall(y, v, numbers, classes, label, factor)
            total += eng.call_loss(at[eng.LOSS], called)
            for i in range(classes):
                top[i * lanes + k] = v[i]
            if mode == _CURVATURE:
                eng.call_loss(at[eng.CURVATURE], called)
            for i in range(classes):
                derivative[i * lanes + k] = v[i]
        if mode != _EVALUATE:
            _reverse(table, at, states, lanes)
    return total, errors
