"""Arguments of compiled layer functions, and accessors for a layer's slices of the network's flat vectors.

All data of a network are stored in a few flat vectors. One of them, the states, contains the inputs, outputs and
stored values of the layers. A compiled network is a table (see `program`), in which a layer's row contains the
positions and sizes of the layer's slices of these vectors; a `Call` points to the row and the vectors. If `lanes` is
above 1, that many patterns are interleaved: every element of the states consists of `lanes` consecutive values, one
for each pattern.

A layer's functions have the form ``code(call, lanes)``. The forward function writes `outputs`. The backward function
reads `above`, writes `below`, and adds to `gradients`. For curvatures, `power` is 2, and `parameters` and `operands`
are squared. The same backward function therefore also computes curvatures (eqs. 23 to 27), provided that it squares
all other factors if `power` is 2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .jit import HAVE_NUMBA, part

if HAVE_NUMBA:
    import numba
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

__all__ = [
    "BASES", "COLUMNS", "Call", "LossCall", "above", "ahead", "below", "call_layer", "call_loss", "cast", "cells",
    "gradients", "inputs", "links", "numbers", "operands", "outputs", "own", "own_operands", "parameters", "pass_down",
    "pointer", "power", "rates", "room", "signature_of_layers", "signature_of_losses", "stepping", "take_inputs",
    "to_input", "top", "typed", "zero",
]  # fmt: skip

# Columns of the table of a compiled network: addresses of a layer's functions; positions of its input, output,
# parameters, stored values, float constants and integer constants (links), and the sizes of the first four; shapes of
# its input and output as maps (vectors are maps of one element); whether the derivative with respect to its input is
# needed; and whether its backward function updates its own parameters.
COLUMNS = (
    FORWARD, REVERSE, X, X_SIZE, Y, Y_SIZE, C, H, W, OUT, HO, WO, P, P_SIZE, OWN, OWN_SIZE, NUMBERS, LINKS,
    TO_INPUT, STEPS,
) = range(20)  # fmt: skip

# Addresses of the flat vectors, and values that all rows share: POWER is 1 for gradients and 2 for curvatures; STEP is
# 1 if parameters are updated after every pattern; LOSS and CURVATURE are the addresses of the loss functions; LARGEST
# is 1 if the class with the largest output wins; SIZE is the number of values in the states of a pattern; and KEEP is
# the distance between the states of consecutive groups of interleaved patterns.
BASES = (
    STATES, SQUARES, DERIVATIVES, PARAMETERS, SQUARED, GRADIENTS, RATES, CONSTANTS, LINKED, ROOM, TOP, LOSS, CURVATURE,
    LOSS_NUMBERS, LARGEST, POWER, STEP, SIZE, KEEP,
) = range(19)  # fmt: skip


class Call(NamedTuple):
    """Arguments of a layer's functions: pointers to its row, `BASES`, states, and states (squared for curvatures)."""

    op: Any
    at: Any
    states: Any
    operands: Any


class LossCall(NamedTuple):
    """Arguments of a loss for one pattern: y, dE/dy, constants, number of classes, label, and scaling factor."""

    y: Any
    v: Any
    numbers: Any
    classes: Any
    label: Any
    factor: Any


def signature_of_layers(dtype: np.dtype, lanes: int) -> Any:
    """Return the Numba type of a layer's functions; `lanes` = 0 stands for any number of lanes."""
    number, whole = types.CPointer(numba.from_dtype(dtype)), types.CPointer(types.int64)
    call = types.NamedTuple((whole, whole, number, number), Call)
    return types.void(call, types.literal(lanes) if lanes else types.int64)


def signature_of_losses(dtype: np.dtype, lanes: int) -> Any:
    """Return the Numba type of a loss's functions."""
    number = numba.from_dtype(dtype)
    at = types.CPointer(number)
    return number(types.NamedTuple((at, at, at, types.int64, types.int64, number), LossCall))


def _intrinsic(typed: Callable[..., Any]) -> Any:
    return intrinsic(typed) if HAVE_NUMBA else typed


@_intrinsic
def pointer(context, array):  # type: ignore[no-untyped-def]
    """Return a pointer to an array's first element."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, build, values[0]).data

    return types.CPointer(array.dtype)(array), generate


@_intrinsic
def zero(context, like):  # type: ignore[no-untyped-def]
    """Return 0 in the pointer's element type."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        return context.get_constant(signature.return_type, 0)

    return like.dtype(like), generate


@_intrinsic
def cast(context, value, like):  # type: ignore[no-untyped-def]
    """Convert a value to the pointer's element type, because in Numba, an integer times a float32 is a float64."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        return context.cast(build, values[0], signature.args[0], signature.return_type)

    return like.dtype(value, like), generate


@_intrinsic
def typed(context, address, like):  # type: ignore[no-untyped-def]
    """Convert an address to a pointer of the same type as `like`."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        return build.inttoptr(values[0], context.get_value_type(signature.args[1]))

    return like(types.int64, like), generate


@_intrinsic
def ahead(context, start, count):  # type: ignore[no-untyped-def]
    """Return a pointer advanced by `count` elements."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        return build.gep(values[0], [values[1]])

    return start(start, types.int64), generate


def _stretch(base: str | int, start: int, *, per_pattern: bool = True) -> Any:
    """Make an accessor that returns a pointer to the start of a layer's slice of a flat vector.

    `base` is the name of a pointer in the call, or an index of `BASES`. `start` is the column of `COLUMNS`
    that contains the position of the slice.
    """

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        whole = ir.IntType(64)
        op, at, states, operands = (build.extract_value(values[0], k) for k in range(4))

        def entry(pointer: Any, k: int) -> Any:
            return build.load(build.gep(pointer, [whole(k)]))

        first, kind = entry(op, start), signature.args[0].types[2]
        if isinstance(base, str):
            data = states if base == "states" else operands
        else:
            if base == LINKED:
                kind = types.CPointer(types.int64)
            data = build.inttoptr(entry(at, base), context.get_value_type(kind))
        if per_pattern:
            first = build.mul(first, values[1])
        return build.gep(data, [first])

    def result(call: Any) -> Any:
        return types.CPointer(types.int64) if base == LINKED else call.types[2]

    def of_patterns(context, call, lanes):  # type: ignore[no-untyped-def]
        return result(call)(call, types.int64), generate

    def of_all(context, call):  # type: ignore[no-untyped-def]
        return result(call)(call), generate

    return _intrinsic(of_patterns if per_pattern else of_all)


# Accessors with arguments (call, lanes). They return pointers to a layer's x and y; to x for the backward function,
# squared for curvatures; to dE/dy and dE/dx; to the values that the forward function stores for the backward
# function; and to these values for the backward function, squared for curvatures.
inputs, outputs, operands = (
    _stretch("states", X),
    _stretch("states", Y),
    _stretch("operands", X),
)
above, below = _stretch(DERIVATIVES, Y), _stretch(DERIVATIVES, X)
own, own_operands = _stretch("states", OWN), _stretch("operands", OWN)
# Accessors with the argument (call). They return pointers to a layer's parameters, concatenated (squared in the
# backward function for curvatures), to their gradients and learning rates, and to its floating-point and integer
# constants.
parameters = _stretch(PARAMETERS, P, per_pattern=False)
gradients = _stretch(GRADIENTS, P, per_pattern=False)
rates = _stretch(RATES, P, per_pattern=False)
numbers = _stretch(CONSTANTS, NUMBERS, per_pattern=False)
links = _stretch(LINKED, LINKS, per_pattern=False)


@part
def cells(call, lanes):  # type: ignore[no-untyped-def]
    """Return the total number of a layer's output values for all interleaved patterns."""
    return call.op[Y_SIZE] * lanes


@part
def power(call):  # type: ignore[no-untyped-def]
    """Return 1 if the backward pass computes gradients, or 2 if it computes curvatures."""
    return call.at[POWER]


@part
def stepping(call):  # type: ignore[no-untyped-def]
    """Return whether to update parameters immediately instead of accumulating gradients."""
    return call.at[STEP] > 0


@part
def to_input(call):  # type: ignore[no-untyped-def]
    """Return whether the derivative with respect to the layer's input is needed."""
    return call.op[TO_INPUT] > 0


@part
def room(call):  # type: ignore[no-untyped-def]
    """Return a pointer to the workspace that all layers share."""
    return typed(call.at[ROOM], call.states)


@part
def top(call):  # type: ignore[no-untyped-def]
    """Return a pointer to dE/dy for the network's output y; these values are kept while curvatures are computed."""
    return typed(call.at[TOP], call.states)


@part
def take_inputs(call, lanes):  # type: ignore[no-untyped-def]
    """Copy x to y unless the layer works in place."""
    if call.op[X] != call.op[Y]:
        x, y = inputs(call, lanes), outputs(call, lanes)
        for p in range(cells(call, lanes)):
            y[p] = x[p]


@part
def pass_down(call, lanes):  # type: ignore[no-untyped-def]
    """Copy dE/dy to dE/dx unless the layer works in place."""
    if call.op[X] != call.op[Y]:
        v, vx = above(call, lanes), below(call, lanes)
        for p in range(cells(call, lanes)):
            vx[p] = v[p]


@_intrinsic
def call_layer(context, address, call, lanes):  # type: ignore[no-untyped-def]
    """Call a layer's function by its address."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        code = build.inttoptr(values[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        build.call(code, values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, call, types.int64), generate


@_intrinsic
def call_loss(context, address, call):  # type: ignore[no-untyped-def]
    """Call a loss function by its address and return its result."""

    def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in (signature.return_type, signature.args[1])]
        code = build.inttoptr(values[0], ir.FunctionType(kinds[0], kinds[1:]).as_pointer())
        return build.call(code, values[1:])

    return call.types[0].dtype(types.int64, call), generate
