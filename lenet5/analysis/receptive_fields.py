"""Receptive fields: the pixels of the input that each unit of a stage depends on."""

from typing import NamedTuple

from ..network import Sequential

__all__ = ["Field", "receptive_fields"]


class Field(NamedTuple):
    """Receptive field of the unit in row i and column j: `size` pixels from `start` + (i, j) * `step` on.

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
    for name, layer in net.named_sublayers():
        for axis, (cells, stride, before) in enumerate(zip(*layer.window(), strict=True)):
            size[axis] += (cells - 1) * step[axis]
            start[axis] -= before * step[axis]
            step[axis] *= stride
        stage = name.split(".")[0]
        if layer.stages():
            fields[stage] = Field((size[0], size[1]), (step[0], step[1]), (start[0], start[1]))
    return fields
