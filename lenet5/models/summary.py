"""What a network is made of, counted layer by layer."""

from typing import Any

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
            "multiply_adds": layer.multiply_adds(),
        }
        for layer in net.sublayers()
    ]
