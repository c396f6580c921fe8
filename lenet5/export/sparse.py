"""Sparse weights for export: only the non-zero kernels of a layer, or only its non-zero weights if few are left."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..layers.operation import Convolution, FullConnection
from ..models.steps import Step

if TYPE_CHECKING:
    from .c import Source

__all__ = ["kernels", "sparse"]

_MOST = 0xFFFF  # largest offset in a `starts` array, which is of type uint16_t


def kernels(source: "Source", name: str, op: Convolution, kind: str) -> list[str]:
    """Add a convolution's non-zero kernels to a C source; return C expressions for `starts`, `inputs` and `weight`."""
    present = _present(op)
    if present.all() or present.sum() > _MOST:
        whole = source.array(kind, f"{name}_weight", op.weight, weights=True)
        return ["0", "0", whole]
    inputs = np.nonzero(present)[1].tolist()
    pointers = [
        source.array("uint16_t", f"{name}_starts", _starts(present.sum(axis=1))),
        source.array("uint16_t", f"{name}_inputs", inputs or [0]),
    ]
    there = op.weight[present]
    return [*pointers, source.array(kind, f"{name}_weight", there if there.size else [0.0], weights=True)]


def sparse(
    source: "Source", name: str, op: Convolution | FullConnection, step: Step, kind: str, *more: str
) -> str | None:
    """Add a layer's non-zero weights and the distances between their inputs to a C source, if this saves memory.

    Parameters
    ----------
    source, name
        Source to which the arrays are added, and the prefix of their names.
    op : Convolution or FullConnection
        Operation with the weights to write, float or int8.
    step : Step
    kind : {"float", "int8_t"}
    *more : str
        Additional pointers for the struct.

    Returns
    -------
    str or None
        Pointer to the struct ``sparse`` or ``sparse_q``; None if storing all weights, or all non-zero kernels,
        takes no more memory.
    """
    cell, weight = (4 if kind == "float" else 1), op.weight
    dense = weight.size * cell
    if isinstance(op, Convolution):
        if any(op.frame):  # with padding, windows would extend beyond the input
            return None
        present = _present(op)
        if not present.all():
            dense = int(present.sum()) * (weight[0, 0].size * cell + 2) + 2 * (len(weight) + 1)
        channels, height, width = step.in_shape
        rows, columns = np.indices(weight.shape[2:])
        within = rows * width + columns
        places = (np.arange(channels)[:, None, None] * height * width + within).ravel()
        shape = (*step.out_shape, width, *op.stride)
    else:
        places, shape = np.arange(weight.shape[1]), (len(weight), 1, 1, 0, 1, 1)
    steps: list[int] = []
    values: list[float] = []
    counts = []
    for each in weight.reshape(len(weight), -1):
        before, at = len(steps), 0
        for k in np.flatnonzero(each):
            while places[k] - at > 255:  # the distance exceeds one byte, so insert a zero weight
                steps.append(255)
                values.append(0)
                at += 255
            steps.append(int(places[k]) - at)
            values.append(each[k])
            at = int(places[k])
        counts.append(len(steps) - before)
    if len(steps) > _MOST or len(steps) * (cell + 1) + 2 * (len(counts) + 1) >= dense:
        return None
    pointers = [
        source.array("uint16_t", f"{name}_starts", _starts(counts)),
        source.array("uint8_t", f"{name}_inputs", steps or [0]),
        source.array(kind, f"{name}_weight", values or [0], weights=True),
    ]
    return source.struct("sparse" if kind == "float" else "sparse_q", name, *shape, *pointers, *more)


def _present(op: Convolution) -> np.ndarray:
    """Return a mask (O, C) of the kernels that are not all zero."""
    present = (op.weight != 0).any(axis=(2, 3))
    return present if op.table is None else present & op.table.T


def _starts(counts: ArrayLike) -> list[int]:
    """Return the offset of each output map's first element, followed by the total number of elements."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts))]).astype(int).tolist()
