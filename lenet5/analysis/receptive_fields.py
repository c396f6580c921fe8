"""Receptive fields: which pixels of the input each unit of a stage sees."""

from typing import NamedTuple

from ..layers import Conv2D, Flatten, ZeroPad2D
from ..layers.subsample import Windowed
from ..network import Sequential

__all__ = ["Field", "receptive_fields"]


class Field(NamedTuple):
    """What a stage's unit in row i and column j sees: `size` pixels from `start` + (i, j) * `step` on.

    Each is (down, right). A `start` below 0 is padding around the input.
    """

    size: tuple[int, int]
    step: tuple[int, int]
    start: tuple[int, int]


def receptive_fields(net: Sequential) -> dict[str, Field]:
    """Return the field of every stage, under the names of `Sequential.feature_maps`.

    A window of k cells over cells that are `step` pixels apart sees (k - 1) * step pixels more than one of
    them; after a stride of s its own cells are s * step pixels apart.

    Parameters
    ----------
    net : Sequential
        Built.

    Returns
    -------
    dict of str to Field
        For the paper's network C1 sees 5x5 pixels, S2 6x6, C3 14x14, S4 16x16, C5 and what follows 32x32.
    """
    size, step, start = [1, 1], [1, 1], [0, 0]
    fields = {"input": Field((1, 1), (1, 1), (0, 0))}
    for layer in net.sublayers():
        for axis in (0, 1):
            cells, stride, before = _window(layer, axis)
            size[axis] += (cells - 1) * step[axis]
            start[axis] -= before * step[axis]
            step[axis] *= stride
        stage = layer.name.split(".")[0]
        if not isinstance(layer, Flatten):
            fields[stage] = Field((size[0], size[1]), (step[0], step[1]), (start[0], start[1]))
    return fields


def _window(layer: object, axis: int) -> tuple[int, int, int]:
    """Return how many cells a layer's unit sees along an axis, its stride, and the zeros put before them."""
    if isinstance(layer, Conv2D):
        return layer.kernel_size[axis], layer.stride[axis], layer.geometry(layer.in_shape[1:])[0][axis]
    if isinstance(layer, Windowed):
        return layer.size, layer.stride, 0
    if isinstance(layer, ZeroPad2D):
        return 1, 1, layer.frame[2 * axis]
    if isinstance(layer, Flatten):
        return layer.in_shape[1 + axis], 1, 0
    return 1, 1, 0
