"""The command ``python -m lenet5.evaluate``: test networks, list their mistakes, compare and combine them."""

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .analysis import metrics
from .analysis.committee import Committee
from .command import Parser, add_data_arguments, command, report_compiling
from .datasets.base import Dataset
from .errors import ConfigError
from .models.weights import PRETRAINED, read
from .network import Sequential
from .run.source import TEST_SET, load_again

__all__ = ["evaluate", "main"]

_SHOWN = 50


def evaluate(net: Sequential | Committee, data: Dataset) -> dict[str, Any]:
    """Evaluate a network on a data set; return a dictionary for JSON.

    Parameters
    ----------
    net : Sequential or Committee
    data : Dataset
        Data to evaluate on. The network must have all classes of the data.

    Returns
    -------
    dict
        ``dataset``, ``images``, ``errors``, ``error`` (a fraction), ``top_3_error``, ``cross_entropy``,
        ``classes`` (class names), ``confusion`` (rows: true class, columns: prediction) and ``mistakes`` (index of
        the image, label, prediction, and the probabilities of the prediction and of the label).

    Raises
    ------
    ConfigError
        If the data has classes that the network does not have.
    """
    classes = net.out_shape[0]
    data = net.relabelled(data)
    if data.num_classes > classes:
        raise ConfigError(f"the network has {classes} classes, but {data.name} has {data.num_classes}.")
    outputs, probabilities = net.outputs(data.images), net.predict_proba(data.images)
    # Rank by outputs rather than probabilities, because the probabilities of two unlikely classes can both round to 0.
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
        positional="[RUN_OR_FILE ...]",
        description="Evaluate a network on a test set. For several networks, report the error of each, the error of "
        "the committee that averages their probabilities, and McNemar's test for each pair.",
    )
    parser.add_argument("weights", metavar="RUN_OR_FILE", nargs="*", default=[], help=_WEIGHTS)
    add_data_arguments(parser, TEST_SET, verify=True)
    parser.add_switch("--json", help="print everything as JSON")
    options = parser.parse(argv)
    report_compiling()
    paths = [str(Path(path)) for path in options["weights"] or [PRETRAINED]]
    read_ = [read(path) for path in paths]
    nets, meta = [net for net, _ in read_], read_[0][1]
    _, test = load_again(meta, options["dataset"], options["data_dir"], verify=options["verify"], progress=True)
    results = [{"weights": path, **evaluate(net, test)} for path, net in zip(paths, nets, strict=True)]
    if len(nets) == 1:
        print(json.dumps(results[0], indent=1) if options["json"] else _text(results[0]))
        return 0
    together = {"weights": f"committee of {len(nets)}", **evaluate(Committee(nets), test)}
    comparisons = [_compared(*pair) for pair in itertools.combinations(results, 2)]
    if options["json"]:
        print(json.dumps({"runs": results, "committee": together, "comparisons": comparisons}, indent=1))
    else:
        singles = [f"{r['weights']}: error {r['error']:.2%}, {r['errors']} of {r['images']:,} images" for r in results]
        print("\n".join([*singles, "", *map(_difference, comparisons), "", _text(together)]))
    return 0


def _compared(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Count the images that only one of two networks classifies correctly; return both counts and McNemar's p."""
    wrong, elsewhere = ({m["index"] for m in result["mistakes"]} for result in (one, other))
    first, second = len(elsewhere - wrong), len(wrong - elsewhere)
    right = np.zeros(one["images"], int)
    answers = [np.isin(np.arange(right.size), list(each)).astype(int) for each in (wrong, elsewhere)]
    p = metrics.mcnemar(answers[0], answers[1], right)
    return {"runs": [one["weights"], other["weights"]], "only_first_right": first, "only_second_right": second, "p": p}


def _difference(compared: dict[str, Any]) -> str:
    one, other = compared["runs"]
    first, second, p = compared["only_first_right"], compared["only_second_right"], compared["p"]
    better = one if first > second else other
    verdict = f"significant: {better} is better" if p < _LEVEL else "no significant difference"
    return (
        f"{one} vs. {other}: {first} images classified correctly only by the first, {second} only by the second; "
        f"McNemar's p = {p:.2g}, {verdict} at {_LEVEL:.0%}"
    )


_LEVEL = 0.05  # significance level of McNemar's test
_WEIGHTS = "run folders, or .npz or .safetensors files (default: the pretrained weights of the package)"


def _text(result: dict[str, Any]) -> str:
    names, classes = result["classes"], range(len(result["confusion"]))
    wide = max(5, *map(len, names))
    lines = [
        f"{result['weights']} on the test images of {result['dataset']}:",
        f"error {result['error']:.2%}: {result['errors']} of {result['images']:,} images",
        f"top-3 error {result['top_3_error']:.2%}; cross-entropy {result['cross_entropy']:.4f}",
        "",
        "confusion matrix (rows: true class, columns: prediction)",
        " " * wide + "".join(f"{name[:5]:>6}" for name in names),
        *(f"{names[c]:>{wide}}" + "".join(f"{n or '.':>6}" for n in result["confusion"][c]) for c in classes),
        "",
        "mistakes (image index: true class -> prediction, with the probability of the prediction)",
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
