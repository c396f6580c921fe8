"""Describe networks for exporters: their operations in order, and the preparation of images."""

from typing import NamedTuple

import numpy as np

from ..datasets.preparation import levels
from ..engine.row import halves_agree
from ..errors import ConfigError
from ..layers.operation import Operation
from ..network import Sequential
from .registry import preparation_of

__all__ = ["Preparation", "Step", "preparation", "steps"]

_SIDE = 28  # side of MNIST's images, assumed if a network has no metadata about its training set
Shape = tuple[int, ...]


class Step(NamedTuple):
    """Operation of one layer, with the names and shapes that exporters need.

    Attributes
    ----------
    name : str
        Name of the layer, such as "C1" or "C1.ScaledTanh".
    stage : str
        Name of the step's stage in `Sequential.feature_maps`; empty for steps that only rearrange their input.
    operation : Operation
        See `lenet5.layers.operation`.
    in_shape, out_shape : tuple of int
        Shapes for one pattern, (C, H, W) or (D,).
    """

    name: str
    stage: str
    operation: Operation
    in_shape: Shape
    out_shape: Shape


class Preparation(NamedTuple):
    """Preparation of a uint8 image: each pixel becomes levels[pixel], and the image is centred in the input field.

    Attributes
    ----------
    shape : tuple of int
        Shape of an image: (H, W), or (H, W, C) if it has colour.
    levels : ndarray (256,)
        Network input for each grey level, in the network's dtype. ``levels[0]`` also fills the frame around the
        image.
    frame : (int, int, int, int)
        Number of pixels added at the top, left, bottom and right.
    """

    shape: Shape
    levels: np.ndarray
    frame: tuple[int, int, int, int]


def steps(net: Sequential) -> list[Step]:
    """Return the operations of a network in evaluation mode, layer by layer.

    Raises
    ------
    ConfigError
        If a layer has no operation, or its class overrides a method of the class that defines the operation.
    """
    if not net.in_shape:
        raise ConfigError("This network is not built: before exporting it, call net.build((1, 28, 28)) or train it.")
    found = []
    for name, layer in net.named_sublayers():
        operation = layer.operation() if halves_agree(layer, "operation") else None
        if operation is None:
            raise ConfigError(
                f"{layer} cannot be exported, because its class {type(layer).__name__} has no `operation`: "
                "define operation(self) so that it returns one of the types in lenet5.layers.operation."
            )
        stage = name.split(".")[0] if layer.stages() else ""
        found.append(Step(name, stage, operation, layer.in_shape, layer.out_shape))
    return found


def preparation(net: Sequential) -> Preparation:
    """Return the preprocessing that a network applies to uint8 images.

    Raises
    ------
    ConfigError
        If the network does not take images, or has a custom preparation.
    """
    known = preparation_of(net)
    if known is None or len(net.in_shape) != 3:
        raise ConfigError(
            "Only networks that use lenet5.datasets.prepare can be exported with their preparation; "
            "this one " + ("has a custom preparation." if known is None else f"takes vectors {net.in_shape}.")
        )
    channels, *sides = net.in_shape
    own = net.learned.shape[:2] or tuple(
        _SIDE if _SIDE <= side < 2 * _SIDE and channels == 1 else side for side in sides
    )
    if any(mine > side for mine, side in zip(own, sides, strict=True)):
        raise ConfigError(f"The network's input field {tuple(sides)} is smaller than its training images {tuple(own)}.")
    top, left = ((side - mine) // 2 for side, mine in zip(sides, own, strict=True))
    frame = (top, left, sides[0] - own[0] - top, sides[1] - own[1] - left)
    shape = tuple(own) if channels == 1 else (*own, channels)
    return Preparation(shape, levels(known["scale"], net.dtype), frame)
