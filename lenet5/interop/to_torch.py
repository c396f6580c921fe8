"""Convert a network to PyTorch: the arrays of a state dict, and an equivalent module."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..layers.operation import (
    Convolution,
    Copies,
    Distances,
    Dropping,
    Flattening,
    FullConnection,
    Normalisation,
    Padding,
    Pooling,
    Squash,
)
from ..models.steps import Step, steps
from ..network import Sequential

__all__ = ["TorchNetwork", "to_torch"]

State = dict[str, np.ndarray]


class TorchNetwork(NamedTuple):
    """Result of `to_torch`.

    Attributes
    ----------
    state : dict of str to ndarray
        State dict with the names and shapes of `module`.
    module : torch.nn.Module or None
        Equivalent module in evaluation mode; None if PyTorch is not installed.
    """

    state: State
    module: Any


def to_torch(net: Sequential) -> TorchNetwork:
    """Return a network's state dict and, if PyTorch is installed, an equivalent module.

    The module is a ``torch.nn.Sequential`` of PyTorch's layers, and of small custom modules for the scaled tanh,
    trainable sub-sampling and RBF units. Layer names are kept, but "." becomes "_": "C1", "C1_ScaledTanh". For a
    connection table such as Table I, the kernel is dense; its missing connections are 0 and remain 0 in training. The
    input is (N, C, H, W), as returned by `Sequential.prepared`; the outputs are penalties or scores, like those of the
    network.

    Parameters
    ----------
    net : Sequential

    Returns
    -------
    TorchNetwork
        ``state, module = to_torch(net)``.

    Raises
    ------
    ConfigError
        If a layer has no `operation`, or a layer's name is not allowed in PyTorch.
    """
    parts = [
        (step.name.replace(".", "_"), step, *_PARTS[type(step.operation)](step.operation, step)) for step in steps(net)
    ]
    called = [
        f"{name}_{kind.lower()}" if k < len(kinds) - 1 else name
        for name, _, _, kinds in parts
        for k, (kind, _) in enumerate(kinds)
    ]
    doubled = sorted({name for name in called if called.count(name) > 1})
    if doubled:
        raise ConfigError(f"Two layers would have the name {doubled[0]!r} in PyTorch: rename one of them.")
    state = {f"{name}.{key}": np.array(array) for name, _, arrays, _ in parts for key, array in arrays.items()}
    try:
        import torch
    except ImportError:
        return TorchNetwork(state, None)
    from . import modules

    with torch.random.fork_rng(devices=[]):  # new modules draw random weights, which are overwritten
        made: list[Any] = [modules.KINDS[kind](*arguments) for _, _, _, kinds in parts for kind, arguments in kinds]
    named = dict(zip(called, made, strict=True))
    for name, step, _, _ in parts:
        table = getattr(step.operation, "table", None)
        if table is not None:
            modules.keep_zeros(named[name].weight, torch.from_numpy(np.ascontiguousarray(table.T)))
    try:
        network = modules.sequence(named)
    except KeyError as error:  # "train", "forward"
        raise ConfigError(f"PyTorch does not allow this layer name: {error.args[0]}. Rename the layer.") from None
    network = network.to(torch.float64 if net.dtype == np.float64 else torch.float32).eval()
    with torch.no_grad():
        network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return TorchNetwork(state, network)


# PyTorch modules for one layer: the arrays of the last module by name, and (class name, arguments) for each module.
Parts = tuple[State, list[tuple[str, tuple[Any, ...]]]]


def _convolution(op: Convolution, step: Step) -> Parts:
    top, left, bottom, right = op.frame
    maps, inputs, *kernel = op.weight.shape
    even = top == bottom and left == right
    frame = [] if even else [("ZeroPad2d", ((left, right, top, bottom),))]
    arguments = (inputs, maps, tuple(kernel), op.stride, (top, left) if even else 0)
    return {"weight": op.weight, "bias": op.bias}, [*frame, ("Conv2d", arguments)]


def _pooling(op: Pooling, step: Step) -> Parts:
    if op.kind == "sum":
        maps = step.in_shape[0]
        scale = np.ones(maps, np.float32) if op.scale is None else op.scale
        shift = np.zeros(maps, np.float32) if op.shift is None else op.shift
        return {"coefficient": scale, "bias": shift}, [("Subsampling", (maps, op.size, op.stride))]
    return {}, [("AvgPool2d" if op.kind == "mean" else "MaxPool2d", (op.size, op.stride))]


def _full_connection(op: FullConnection, step: Step) -> Parts:
    flat: list[Any] = [("Flatten", ())] if len(step.in_shape) == 3 else []
    return {"weight": op.weight, "bias": op.bias}, [*flat, ("Linear", op.weight.shape[::-1])]


def _distances(op: Distances, step: Step) -> Parts:
    return {"codes": op.codes}, [("RBF", op.codes.shape)]


def _normalisation(op: Normalisation, step: Step) -> Parts:
    state = {"weight": op.weight, "bias": op.bias, "running_mean": op.mean, "running_var": op.variance}
    kind = "BatchNorm2d" if len(step.in_shape) == 3 else "BatchNorm1d"
    return state | {"num_batches_tracked": np.array(0)}, [(kind, (len(op.mean), op.epsilon, op.momentum))]


def _squash(op: Squash, step: Step) -> Parts:
    if op.slopes is not None:
        return {"weight": op.slopes}, [("PReLU", (len(op.slopes),))]
    if op.name == "tanh" and op.numbers != (1.0, 1.0):
        return {}, [("ScaledTanh", op.numbers)]
    kinds = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "ReLU", "leaky-relu": "LeakyReLU", "elu": "ELU"}
    return {}, [(kinds[op.name], op.numbers if op.name != "tanh" else ())]


def _padding(op: Padding, step: Step) -> Parts:
    top, left, bottom, right = op.frame
    return {}, [("ZeroPad2d", ((left, right, top, bottom),))]


def _copies(op: Copies, step: Step) -> Parts:
    return {}, [("Copies", (op.copies,))]


def _flattening(op: Flattening, step: Step) -> Parts:
    return {}, [("Flatten", ())]


def _dropping(op: Dropping, step: Step) -> Parts:
    return {}, [("Dropout", (op.rate,))]


_PARTS: dict[type, Callable[[Any, Step], Parts]] = {
    Convolution: _convolution,
    Pooling: _pooling,
    FullConnection: _full_connection,
    Distances: _distances,
    Normalisation: _normalisation,
    Squash: _squash,
    Padding: _padding,
    Copies: _copies,
    Flattening: _flattening,
    Dropping: _dropping,
}
