"""Receptive fields: the input pixels that each unit of a stage depends on."""

from typing import NamedTuple

from ..network import Sequential

__all__ = ["Field", "receptive_fields"]


class Field(NamedTuple):
    """Receptive fields of a stage: unit (i, j) covers `size` pixels, starting at `start` + (i, j) * `step`.

    Each attribute is a pair (vertical, horizontal). A negative `start` means that the field extends into the padding.
    """

    size: tuple[int, int]
    step: tuple[int, int]
    start: tuple[int, int]


def receptive_fields(net: Sequential) -> dict[str, Field]:
    """Return the receptive fields of every stage, keyed by the stage names of `Sequential.feature_maps`.

    A window of k units that are `step` pixels apart covers (k - 1) * step pixels more than a single unit does. With a
    stride of s, the units of the next stage are s * step pixels apart.

    Parameters
    ----------
    net : Sequential
        A built network.

    Returns
    -------
    dict of str to Field
        In the paper's network, units of C1 cover 5x5 pixels, S2 6x6, C3 14x14, S4 16x16, C5 and later stages 32x32.
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
