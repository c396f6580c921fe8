"""``python -m lenet5.evaluate``: error, confusion and mistakes of a network on a test set."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import datasets
from .analysis import metrics
from .command import Parser, command, report_compiling
from .datasets.base import Dataset
from .errors import ConfigError
from .models.weights import PRETRAINED, read
from .network import Sequential
from .run.source import load_again

__all__ = ["evaluate", "main"]

_SHOWN = 50


def evaluate(net: Sequential, data: Dataset) -> dict[str, Any]:
    """Return what a network makes of a data set, as JSON can hold it.

    Parameters
    ----------
    net : Sequential
    data : Dataset
        Its labels must be classes of the network.

    Returns
    -------
    dict
        ``dataset``, ``images``, ``errors``, ``error`` (a fraction), ``top_3_error``, ``cross_entropy``,
        ``classes`` (their names), ``confusion`` (rows: true class, columns: answer) and ``mistakes`` (index, label and
        prediction, which count in `classes`, and their probabilities).

    Raises
    ------
    ConfigError
        If the data has classes that the network does not know.
    """
    classes = net.out_shape[0]
    data = net.relabelled(data)
    if data.num_classes > classes:
        raise ConfigError(f"the network tells {classes} classes apart; {data.name} has {data.num_classes}.")
    outputs, probabilities = net.outputs(data.images), net.predict_proba(data.images)
    # Of the outputs, not of the probabilities: those of two unlikely classes may both round to 0.
    scores = -outputs if net.outputs_penalties else outputs
    answers = scores.argmax(axis=1)
    wrong = np.flatnonzero(answers != data.labels)
    mistakes = [
        {
            "index": int(i),
            "label": int(data.labels[i]),
            "prediction": int(answers[i]),
            "probability": round(float(probabilities[i, answers[i]]), 6),
            "probability_of_label": round(float(probabilities[i, data.labels[i]]), 6),
        }
        for i in wrong
    ]
    return {
        "dataset": data.name,
        "images": len(data),
        "errors": len(wrong),
        "error": len(wrong) / len(data),
        "top_3_error": 1 - metrics.top_k_accuracy(scores, data.labels, min(3, classes)),
        "cross_entropy": abs(metrics.cross_entropy(probabilities, data.labels)),
        "classes": net.classes.tolist(),
        "confusion": metrics.confusion(data.labels, answers, classes).tolist(),
        "mistakes": mistakes,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.evaluate",
        positional="[RUN_OR_FILE]",
        description="Measure a network on the images of a test set.",
    )
    parser.add_argument("weights", metavar="RUN_OR_FILE", nargs="?", default=str(PRETRAINED), help=_WEIGHTS)
    parser.add_option("--dataset", type=str | None, default=None, metavar="NAME_OR_PATH", help=_DATASET)
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with its files")
    parser.add_option("--verify", type=bool, default=True, metavar="{true,false}", help="false for files of your own")
    parser.add_switch("--json", help="print everything as JSON")
    options = parser.parse(argv)
    report_compiling()
    net, meta = read(options["weights"])
    _, test = load_again(meta, options["dataset"], options["data_dir"], verify=options["verify"], progress=True)
    result = {"weights": str(Path(options["weights"])), **evaluate(net, test)}
    print(json.dumps(result, indent=1) if options["json"] else _text(result))
    return 0


_WEIGHTS = "folder of a run, or a .npz file; default the weights that come with the package"
_DATASET = f"auto, {', '.join(datasets.NAMES)}, or a path; default the one it was trained on"


def _text(result: dict[str, Any]) -> str:
    names, classes = result["classes"], range(len(result["confusion"]))
    wide = max(5, *map(len, names))
    lines = [
        f"{result['weights']} on the test images of {result['dataset']}:",
        f"error {result['error']:.2%}: {result['errors']} of {result['images']:,} images",
        f"label not among the three likeliest: {result['top_3_error']:.2%}; "
        f"cross-entropy {result['cross_entropy']:.4f}",
        "",
        "confusion (rows: true class, columns: answer)",
        " " * wide + "".join(f"{name[:5]:>6}" for name in names),
        *(f"{names[c]:>{wide}}" + "".join(f"{n or '.':>6}" for n in result["confusion"][c]) for c in classes),
        "",
        "mistakes (index: true -> answer, with its probability)",
        *(
            f"  {m['index']:>6}: {names[m['label']]} -> {names[m['prediction']]}  {m['probability']:.2f}"
            for m in result["mistakes"][:_SHOWN]
        ),
    ]
    if result["errors"] > _SHOWN:
        lines.append(f"  and {result['errors'] - _SHOWN} more: see --json")
    return "\n".join(lines)


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
