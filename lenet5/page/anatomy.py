"""What the page knows of a network before anything is drawn: its stages, their fields and kernels."""

import base64
from typing import Any

import numpy as np

from ..analysis.receptive_fields import receptive_fields
from ..layers import Layer
from ..network import Sequential

__all__ = ["anatomy", "packed"]

# Stages with more kernels than this are shown without them: 2 MB of page.
_MOST_WEIGHTS = 2_000_000


def anatomy(net: Sequential) -> dict[str, Any]:
    """Describe a network as JSON can hold it.

    Parameters
    ----------
    net : Sequential
        Built.

    Returns
    -------
    dict
        ``name``, ``parameters``, ``classes`` (their names), ``penalties`` (whether outputs are), ``codes`` (of RBF
        units, 7x12 texts of # and .), ``trained`` and ``stages``: name, ``field`` [size, step, start], and what the
        unit is made of.
    """
    fields = receptive_fields(net)
    stages: list[dict[str, Any]] = []
    for layer in (None, *net.sublayers()):
        name = "input" if layer is None else layer.name.split(".")[0]
        if name not in fields or any(stage["name"] == name for stage in stages):
            continue
        stage = {"name": name, "field": [list(pair) for pair in fields[name]]}
        if stages:
            stage["below"] = stages[-1]["name"]
        stages.append(stage | ({} if layer is None else _unit(layer)))
    codes = net.sublayers()[-1].codes
    return {
        "name": (net.spec or {}).get("name", "network"),
        "parameters": int(net.theta.size),
        "classes": net.classes.tolist(),
        "penalties": net.outputs_penalties,
        "codes": ["".join("#" if cell > 0 else "." for cell in code) for code in (() if codes is None else codes)],
        "stages": stages,
    }


def packed(values: np.ndarray, low: float, high: float) -> str:
    """Pack values into bytes, `low` as 0 and `high` as 255, in base64."""
    levels = np.clip(np.rint((values - low) / (high - low) * 255), 0, 255)
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode()


def _unit(layer: Layer) -> dict[str, Any]:
    """Describe what one unit of a stage computes, its weights packed."""
    unit = layer.unit()
    weights = unit.get("weights")
    if weights is None:
        return unit
    if weights.size > _MOST_WEIGHTS:
        return {"kind": "vector"}
    bound = float(np.abs(weights).max()) or 1.0
    return unit | {"weights": packed(weights, -bound, bound), "bound": bound}
