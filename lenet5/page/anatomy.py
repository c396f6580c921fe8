"""What the page knows of a network before anything is drawn: its stages, their fields and kernels."""

import base64
from typing import Any

import numpy as np

from ..analysis.receptive_fields import receptive_fields
from ..layers import RBF, Conv2D, Layer, Subsampling
from ..layers.subsample import Windowed
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
        ``name``, ``parameters``, ``penalties`` (whether outputs are), ``codes`` (of RBF units, 7x12 texts of
        # and .), ``trained`` and ``stages``: name, ``field`` [size, step, start], and what the unit is made of.
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
    last = net.layers[-1]
    codes = last.codes.tolist() if isinstance(last, RBF) else []
    return {
        "name": (net.spec or {}).get("name", "network"),
        "parameters": int(net.theta.size),
        "penalties": net.outputs_penalties,
        "codes": ["".join("#" if cell > 0 else "." for cell in code) for code in codes],
        "stages": stages,
    }


def packed(values: np.ndarray, low: float, high: float) -> str:
    """Pack values into bytes, `low` as 0 and `high` as 255, in base64."""
    levels = np.clip(np.rint((values - low) / (high - low) * 255), 0, 255)
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode()


def _unit(layer: Layer) -> dict[str, Any]:
    """Describe what one unit of a stage computes."""
    if isinstance(layer, Conv2D) and layer.weight.size <= _MOST_WEIGHTS:
        bound = float(np.abs(layer.weight.value).max()) or 1.0
        return {
            "kind": "convolution",
            "kernel": list(layer.kernel_size),
            "stride": list(layer.stride),
            "before": list(layer.geometry(layer.in_shape[1:])[0]),
            "starts": layer.starts.tolist(),
            "channels": layer.channels.tolist(),
            "bias": layer.bias.value.tolist(),
            "weights": packed(layer.weight.value, -bound, bound),
            "bound": bound,
        }
    if isinstance(layer, Windowed):
        unit = {"kind": "window", "size": layer.size, "stride": layer.stride}
        if isinstance(layer, Subsampling):
            unit |= {"coefficient": layer.coefficient.value.tolist(), "bias": layer.bias.value.tolist()}
        return unit
    return {"kind": "vector"}
