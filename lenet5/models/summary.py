"""Summary of a network: shapes, parameters and connections, layer by layer."""

from typing import Any

from ..network import Sequential

__all__ = ["summary", "table"]

_COUNTS = ("parameters", "connections", "multiply_adds")


def summary(net: Sequential) -> list[dict[str, Any]]:
    """Count the parameters, connections and multiply-adds of a network, layer by layer.

    Parameters
    ----------
    net : Sequential
        A built network.

    Returns
    -------
    list of dict
        For each layer, its ``name``, ``kind``, ``shape`` (of the output for one image), ``parameters``, ``kept``
        (number of unpruned parameters), ``connections`` (counted as in the paper: one per input and per bias of every
        unit) and ``multiply_adds`` of one forward pass. Connections and multiply-adds include pruned parameters.
    """
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "shape": layer.out_shape,
            "parameters": sum(p.size for p in layer.parameters()),
            "kept": sum(int(p.kept.sum()) for p in layer.parameters()),
            "connections": layer.connections(),
            "multiply_adds": layer.multiply_adds(),
        }
        for layer in net.sublayers()
    ]


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """Format the counts of `summary` as a table with a heading."""
    # Omit activations, because all their counts are 0.
    shown = [row for row in rows if any(row[key] for key in _COUNTS) or row["kind"] in ("AvgPool2D", "MaxPool2D")]
    total = {key: sum(row[key] for row in rows) for key in (*_COUNTS, "kept")}
    counts = _COUNTS if total["kept"] == total["parameters"] else ("parameters", "kept", *_COUNTS[1:])
    wide = max(8, *(len(row["name"]) for row in shown)) if shown else 8
    head = "".join(f"{key.replace('_', '-'):>14}" for key in counts)
    lines = [name, f"  {'layer':<{wide}} {'kind':<12} {'output':<12}{head}"]
    for row in shown:
        shape = "x".join(map(str, row["shape"]))
        lines.append(
            f"  {row['name']:<{wide}} {row['kind']:<12} {shape:<12}" + "".join(f"{row[k]:>14,}" for k in counts)
        )
    lines.append(f"  {'total':<{wide + 26}}" + "".join(f"{total[key]:>14,}" for key in counts))
    return "\n".join(lines)
