"""What a network is made of, counted layer by layer."""

from typing import Any

from ..layers import RBF, Conv2D, Dense, Layer
from ..layers.subsample import Windowed
from ..network import Sequential

__all__ = ["summary"]


def summary(net: Sequential) -> list[dict[str, Any]]:
    """Count a network.

    Parameters
    ----------
    net : Sequential
        Built.

    Returns
    -------
    list of dict
        For each layer its ``name``, ``kind``, ``shape`` (of its output for one image), ``parameters``,
        ``connections`` (as the paper counts them: one per input and per bias of every unit) and
        ``multiply_adds`` of one forward pass.
    """
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "shape": layer.out_shape,
            "parameters": sum(p.size for p in layer.parameters()),
            "connections": layer.connections(),
            "multiply_adds": _multiply_adds(layer),
        }
        for layer in net.sublayers()
    ]


def _multiply_adds(layer: Layer) -> int:
    """Products that are added up: those of weights and inputs, coefficients and sums; squares of RBF units."""
    if isinstance(layer, Conv2D):
        return layer.weight.size * layer.out_shape[1] * layer.out_shape[2]
    if isinstance(layer, Dense):
        return layer.weight.size
    if isinstance(layer, RBF):
        return layer.codes.size
    if isinstance(layer, Windowed) and layer.connections():
        channels, height, width = layer.out_shape
        return channels * height * width
    return 0
