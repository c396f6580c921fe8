"""Check that network, loss, optimiser and images are compatible, and choose the default callbacks."""

from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError
from ..losses import Loss
from ..network import Sequential
from ..optim import Optimizer
from .hooks import Callback

__all__ = ["check_data", "check_pair", "check_parameters", "recipe"]


def recipe(optimizer: Optimizer) -> list[Callback]:
    """Return the default callbacks for an optimiser."""
    from ..optim.schedule import paper
    from .callbacks import Finite, GuardDivergence, SetRate  # imported here to avoid a circular import

    return [SetRate(paper(optimizer.lr)), GuardDivergence()] if optimizer.curvature_patterns else [Finite()]


def check_pair(net: Sequential, loss: Loss) -> None:
    """Raise ConfigError if the loss needs penalties but the network's outputs are scores, or vice versa."""
    penalties = loss.predict(np.array([[0.0, 1.0]]))[0] == 0
    if penalties != net.outputs_penalties:
        last, name = type(net.layers[-1]).__name__, type(loss).__name__
        outputs, wanted = ("scores", "penalties") if penalties else ("penalties", "scores")
        others = "SoftmaxCrossEntropy or SquaredError" if penalties else "MAP or MLE"
        raise ConfigError(
            f"{name} needs {wanted}, but the network ends in {last}, whose outputs are {outputs}: train it with "
            f"{others}."
        )


def check_parameters(net: Sequential, optimizer: Optimizer) -> None:
    """Raise ConfigError if the optimiser has no parameters, or has parameters of another network."""
    own = {id(p) for p in net.parameters()}
    foreign = [p.name for p in optimizer.params if id(p) not in own]
    if foreign or not len(optimizer.params):
        named = f"{', '.join(foreign[:3])} of another network" if foreign else "no parameters"
        raise ConfigError(
            f"{type(optimizer).__name__} updates {named}; expected parameters of this network. Create the "
            "optimiser with net.parameters() after building the network."
        )


def check_data(net: Sequential, train: Any) -> None:
    """Raise ShapeError unless the labels are classes of the network and the images fit its input field."""
    highest = int(train.labels.max(initial=0))
    if highest >= net.out_shape[0]:
        raise ShapeError(
            f"The network has {net.out_shape[0]} classes, but {train.name} has labels up to {highest}. Build a "
            f"network with more classes, such as lenet5.lenet5(classes={highest + 1})."
        )
    shape: tuple[int, ...] = train.images.shape if isinstance(train.images, np.ndarray) else ()
    if len(shape) < 3 or len(net.in_shape) != 3:  # custom input layout, which cannot be checked
        return
    channels = shape[3] if len(shape) == 4 else 1
    if channels != net.in_shape[0] or shape[1] > net.in_shape[1] or shape[2] > net.in_shape[2]:
        raise ShapeError(
            f"The network takes images of up to {net.in_shape[1]}x{net.in_shape[2]} pixels and {net.in_shape[0]} "
            f"channel(s); those of {train.name} have {shape[1]}x{shape[2]} pixels and {channels} channel(s). Build a "
            "network for these images: lenet5.lenet5(size=..., channels=...), or net.build for custom layers."
        )
