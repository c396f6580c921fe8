"""Build a web page: a single HTML file with a network, the code to run it, and example images."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.receptive_fields import receptive_fields
from ..analysis.sdnn import rule_of
from ..datasets.base import Dataset
from ..layers.operation import Flattening
from ..models.steps import Step, preparation, steps
from ..models.weights import LINE, load
from ..network import Sequential

__all__ = ["page_of"]

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("engine.js", "picture.js", "view.js", "unit.js")
# Operations that add up weighted inputs. The page shows the addition for stages with exactly one such operation.
_MAIN = ("Convolution", "Pooling", "FullConnection", "Distances")
_NOTES = {"dataset": "Trained on {}.".format, "test_error": lambda error: f"Test error {float(error):.2%}."}
_EXAMPLES, _RIGHT, _MISREAD = 10_000, 60, 40  # maximum numbers of images evaluated, shown as correct, and as misread


def page_of(net: Sequential, *, examples: Dataset | None = None, notes: Mapping[str, str] | None = None) -> str:
    """Return an HTML page on which users draw digits or open images, and watch the network read them.

    The forward pass runs in the browser. The page needs neither a server nor Python, and makes no requests.

    Parameters
    ----------
    net : Sequential
        Network for images that are prepared by `datasets.prepare`. If it reads digits and has the same operations as
        this package's network for lines of digits, that network reads lines; otherwise, `net` reads them.
    examples : Dataset, optional
        Example images: up to 60 that the network reads correctly, and up to 40 that it misreads.
    notes : mapping of str to str, optional
        ``dataset`` and ``test_error``, which the page shows.

    Raises
    ------
    ConfigError
        If a layer or the preparation cannot be exported.
    """
    known, learned = preparation(net), net.learned
    made = learned.drawn or learned.fit == "same" and known.shape == (28, 28) and not learned.ground
    drawn, light = net.in_shape[0] == 1 and made, not made and (learned.ground or 0) > 127.5
    word = "digit" if drawn and net.classes.tolist() == list("0123456789") else "picture"
    data = _told(net, known.levels) | {
        "parameters": int(net.theta.size),
        "channels": net.in_shape[0],
        "field": net.in_shape[1:],
        "shape": known.shape,
        "digits": drawn,
        "word": word,
        "light": light,
        "notes": " ".join(_NOTES[name](value) for name, value in (notes or {}).items() if name in _NOTES),
        "examples": _examples(net, examples),
    }
    if word == "digit":
        reader = _told(load(LINE), np.empty(0))
        alike = [step["kind"] for step in reader["steps"]] == [step["kind"] for step in data["steps"]]
        data |= {"reader": reader} if alike else {}
    text = json.dumps(data).replace("<", "\\u003c")
    parts = {"title": f"LeNet{'-5' if word == 'digit' else ''} reads your {word}", "style": _read("style.css")}
    parts |= {"script": "\n".join(map(_read, _SCRIPTS)), "network": text}
    return re.sub(r"\[\[(\w+)\]\]", lambda found: parts[found[1]], _read("page.html"))


class _Block(list[np.ndarray]):
    """All arrays of a network, concatenated."""

    def put(self, array: np.ndarray) -> dict[str, list[int]]:
        """Append an array; return its start and end in the concatenation, as JSON data."""
        first = sum(each.size for each in self)
        self.append(np.ravel(array).astype("<f4"))
        return {"block": [first, first + array.size]}

    def told(self) -> dict[str, Any]:
        """Return all arrays as base64 text: float32 values, or only their upper 16 bits if all fit into bfloat16."""
        halves = np.concatenate(self).view("<u2").reshape(-1, 2)  # columns: lower and upper 16 bits
        whole = not halves[:, 0].any()
        return {"block": _base64(halves[:, 1] if whole else halves), "halves": whole}


def _told(net: Sequential, levels: np.ndarray) -> dict[str, Any]:
    """Return a network as JSON data: its steps, its stages, and settings for reading lines of digits."""
    block, every, fields = _Block(), steps(net), receptive_fields(net)
    stages: dict[str, dict[str, Any]] = {}
    first = 0
    for number, step in enumerate(every):
        if not step.stage:
            continue
        fresh = {"name": step.stage, "below": ["input", *stages][-1], "first": first}
        stage = stages.setdefault(step.stage, fresh | {"main": -1, "steps": [], "field": fields[step.stage]})
        stage["steps"].append(number)
        stage["shape"], first = [*step.out_shape, 1, 1][:3], number + 1
        if type(step.operation).__name__ in _MAIN:
            stage["main"] = number if stage["main"] == -1 else -2  # -2: several such operations; none is shown
    codes, before = net.sublayers()[-1].codes, [*stages][-2:-1]
    field = [*fields.values()][-1]
    line = {**rule_of(net)._asdict(), "column": [field.start[1] + (field.size[1] - 1) / 2, field.step[1]]}
    bitmaps = before[0] if codes is not None and codes.shape[1] == 84 and before else None
    told = [_told_step(step, block) for step in every]
    # Sweeping needs a network that can reject every class and accepts inputs of any size.
    fixed = any(isinstance(step.operation, Flattening) and len(step.in_shape) == 3 for step in every)
    sweeps = net.in_shape[0] == 1 and net.outputs_penalties and not fixed
    return {
        "name": (net.spec or {}).get("name", "network"),
        "classes": net.classes.tolist(),
        "penalties": net.outputs_penalties,
        "levels": block.put(levels),
        "steps": told,
        "stages": [*stages.values()],
        "bitmaps": bitmaps,
        "line": line,
        "sweeps": sweeps,
        **block.told(),
    }


def _told_step(step: Step, block: _Block) -> dict[str, Any]:
    """Return an operation as JSON data, and append its arrays to `block`."""
    operation, kind = step.operation, type(step.operation).__name__
    told: dict[str, Any] = {"kind": kind}
    for name, value in operation._asdict().items():
        name = {"kind": "pooling", "name": "squash"}.get(name, name)
        told[name] = block.put(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
    if kind == "Convolution":
        weight, table = operation.weight, told["table"]  # type: ignore[union-attr]
        connected = np.ones(weight.shape[1::-1], bool) if table is None else table
        told |= {"kernel": weight.shape[2:], "table": table is not None}
        told["sources"] = [np.flatnonzero(connected[:, o]).tolist() for o in range(len(weight))]
    return told


def _examples(net: Sequential, data: Dataset | None) -> dict[str, Any]:
    """Return example images, labels and predictions, or none if the images do not fit the network."""
    none = {"images": "", "shape": [1, 1], "labels": [], "answers": [], "name": "", "wrong": 0, "of": 0}
    if data is None:
        return none
    data, shape = net.relabelled(data), preparation(net).shape
    if data.num_classes > net.out_shape[0] or data.images.shape[1:] not in (shape, (*shape, 1)):
        return none
    images, labels = data.images[:_EXAMPLES], data.labels[:_EXAMPLES]
    answers = net.predict(images)
    wrong = np.flatnonzero(answers != labels)
    chosen = np.concatenate([np.flatnonzero(answers == labels)[:_RIGHT], wrong[:_MISREAD]])
    told = {"images": _base64(images[chosen]), "shape": shape, "labels": labels[chosen].tolist()}
    told |= {"answers": answers[chosen].tolist(), "name": data.name, "wrong": len(wrong), "of": len(images)}
    return told


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8").rstrip("\n")
