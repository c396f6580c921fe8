"""``python -m lenet5.predict``: which digit is in a picture."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .command import Parser, command, report_compiling
from .datasets import normalise_digit
from .errors import ConfigError
from .models.weights import PRETRAINED, load
from .network import Sequential

__all__ = ["main", "read_digit"]


def read_digit(net: Sequential, image: Any) -> dict[str, Any]:
    """Return what a network makes of a user's own picture of one digit, as JSON can hold it.

    Parameters
    ----------
    net : Sequential
    image : path-like or array
        What `lenet5.prepare_digit` takes.

    Returns
    -------
    dict
        ``digit`` (the number of the class), ``class`` (its name), ``penalties`` or ``scores`` (of all classes), and
        ``top``: the three likeliest classes with their probabilities.

    Raises
    ------
    ImageError
        If the picture cannot be read, or nothing is drawn in it.
    """
    x = net.prepared(normalise_digit(image)[None])
    outputs, shares = net.outputs(x)[0], net.predict_proba(x)[0]
    order = np.argsort(outputs if net.outputs_penalties else -outputs, kind="stable")[:3]
    return {
        "digit": int(order[0]),
        "class": str(net.classes[order[0]]),
        "penalties" if net.outputs_penalties else "scores": [round(float(v), 4) for v in outputs],
        "top": [
            {"digit": int(i), "class": str(net.classes[i]), "probability": round(float(shares[i]), 6)} for i in order
        ],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.predict",
        positional="[RUN_OR_FILE] IMAGE ...",
        description="Read digits from pictures of any size, dark on light or light on dark.",
    )
    help = "pictures; a folder of a run or a .npz file in front of them names other weights than the package's"
    parser.add_argument("images", metavar="[RUN_OR_FILE] IMAGE", nargs="+", help=help)
    parser.add_switch("--json", help="print everything as JSON, one list for all pictures")
    options = parser.parse(argv)
    first, *rest = options["images"]
    own = Path(first).is_dir() or first.endswith(".npz")
    if own and not rest:
        raise ConfigError(f"no picture given: after {first} name at least one image file.")
    report_compiling()
    net = load(first if own else PRETRAINED)
    results = [{"image": image, **read_digit(net, image)} for image in (rest if own else options["images"])]
    print(json.dumps(results, indent=1) if options["json"] else "\n\n".join(map(_text, results)))
    return 0


def _text(result: dict[str, Any]) -> str:
    kind = "penalties" if "penalties" in result else "scores"
    top = ", ".join(f"{t['class']} ({t['probability']:.1%})" for t in result["top"])
    values = "  ".join(f"{digit}: {value:.2f}" for digit, value in enumerate(result[kind]))
    return f"{result['image']}: {result['class']}\n  top three: {top}\n  {kind}: {values}"


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
