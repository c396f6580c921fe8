"""The command ``python -m lenet5.predict``: classify images from image, .csv, .npy or IDX files."""

import csv
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .analysis.committee import Committee
from .analysis.sdnn import sweep
from .command import Parser, command, report_compiling
from .datasets import normalise_digit, normalise_line, read_idx
from .datasets.handwriting import SIDE, SeveralDigitsError, picture
from .datasets.pictures import read_picture
from .datasets.table import read_csv
from .errors import ConfigError, DataError
from .files import atomic_write
from .models.weights import LINE, PRETRAINED, load
from .network import Sequential

__all__ = ["main", "read_digit", "read_line"]

_SHOWN = 20  # maximum number of outputs printed per image
_TABLES = (".csv", ".csv.gz", ".npy")


def read_digit(net: Sequential | Committee, image: Any, *, line: Sequential | None = None) -> dict[str, Any]:
    """Classify an image of one digit; return a dictionary for JSON.

    For a network that was trained on a folder of images, the image is prepared like the training images. For other
    networks, and for arrays, the digit is normalised in the same way as the MNIST digits.

    Parameters
    ----------
    net : Sequential or Committee
        For a committee, the image is prepared separately for each member, like its training images.
    image : path-like or array
        Any image that `lenet5.prepare_digit` accepts.
    line : Sequential, optional
        Network to use instead of `net` if the image shows several digits side by side.

    Returns
    -------
    dict
        ``digit`` (class index), ``class`` (class name), ``penalties`` or ``scores`` (of all classes), and
        ``top``: the three likeliest classes with their probabilities. For several digits side by side, the result
        of `read_line`.

    Raises
    ------
    ImageError
        If the image cannot be read or is empty, or if it shows several digits and the network cannot be swept
        across them.
    """
    try:
        outputs, shares = _asked(net, image)
    except SeveralDigitsError as error:
        reader = net if line is None else line
        if isinstance(reader, Committee):
            raise
        try:
            return read_line(reader, image)
        except ConfigError:
            raise error from None
    order = np.argsort(outputs if net.outputs_penalties else -outputs, kind="stable")[:3]
    return {
        "digit": int(order[0]),
        "class": str(net.classes[order[0]]),
        "penalties" if net.outputs_penalties else "scores": [round(float(v), 4) for v in outputs],
        "top": [
            {"digit": int(i), "class": str(net.classes[i]), "probability": round(float(shares[i]), 6)} for i in order
        ],
    }


def _asked(net: Sequential | Committee, image: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs and probabilities (classes,) for one image; a committee's outputs are its mean probabilities."""
    if isinstance(net, Committee):
        shares = net.mean([_asked(member, image)[1][None] for member in net.members])[0]
        return shares, shares
    x = net.prepared(_pixels(net, image))
    return net.outputs(x)[0], net.predict_proba(x)[0]


def read_line(net: Sequential, image: Any) -> dict[str, Any]:
    """Read an image of digits side by side; return a dictionary for JSON.

    Parameters
    ----------
    net : Sequential
        A network that `lenet5.analysis.sdnn.sweep` accepts, such as ``lenet5.pretrained("lenet5-line")``, which is
        trained on lines of digits.
    image : path-like or array
        Any image that `lenet5.datasets.normalise_line` accepts.

    Returns
    -------
    dict
        ``line`` (the text) and ``digits``, each with its class index, class name, column and penalty.

    Raises
    ------
    ConfigError
        If the network cannot be swept.
    ImageError
        If the image cannot be read or is empty.
    """
    swept = sweep(net, normalise_line(image))
    names = net.classes
    digits = [
        {"digit": d.digit, "class": str(names[d.digit]), "column": d.column, "penalty": round(d.penalty, 4)}
        for d in swept.digits
    ]
    return {"line": "".join(str(names[d.digit]) for d in swept.digits), "digits": digits}


def _pixels(net: Sequential, image: Any) -> np.ndarray:
    """Return one image, prepared like the network's training images, with a batch axis."""
    known, file = net.learned, isinstance(image, str | Path)
    light = known.ground is not None and known.ground > 127.5
    shape = known.shape or (net.in_shape[1:] if net.in_shape[0] == 1 else (*net.in_shape[1:], net.in_shape[0]))
    if not file or net.in_shape[0] == 1 and known.drawn:
        return normalise_digit(image)[None]
    # Networks trained on unprocessed light-on-dark images of 28x28 pixels expect MNIST's normalisation; networks for
    # other sizes do not.
    made = known.fit == "same" and shape == (SIDE, SIDE) and not light
    fit = "digit" if made and picture(image, str(image)).shape[:2] != shape else known.fit
    return read_picture(image, fit, shape)[None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.predict",
        positional="[RUN_OR_FILE ...] IMAGE ...",
        description="Classify images of any size as digits, or as the classes of your own network. Several networks "
        "form a committee, which averages their probabilities.",
        epilog="To classify Kaggle's test.csv or another table without labels, run python -m lenet5.predict RUN "
        "test.csv --csv submission.csv",
    )
    help = (
        "image files, or one .csv, .npy or IDX file of images; networks named before them (run folders, .npz or "
        ".safetensors files) replace the pretrained one"
    )
    parser.add_argument("images", metavar="[RUN_OR_FILE] IMAGE", nargs="+", help=help)
    parser.add_switch("--json", help="print the results as JSON, in one list for all images")
    parser.add_switch("--line", help="read every image as a line of digits (default: only images with several digits)")
    help = (
        "write the predicted classes to FILE, with the columns ImageId (name of an image file, or number of an image "
        "in a .csv, .npy or IDX file, from 1) and Label"
    )
    parser.add_option("--csv", type=str | None, default=None, metavar="FILE", help=help)
    options = parser.parse(argv)
    given = options["images"]
    own = list(itertools.takewhile(lambda name: Path(name).is_dir() or name.endswith((".npz", ".safetensors")), given))
    images = given[len(own) :]
    if not images:
        raise ConfigError(f"no image given: name at least one image file after {own[-1]}.")
    tables = [image for image in images if _is_table(image)]
    if tables and (len(images) > 1 or options["csv"] is None):
        raise ConfigError(
            f"{tables[0]} contains a table of images: pass no other images, and add --csv FILE for the predictions."
        )
    if options["line"] and (tables or len(own) > 1):
        raise ConfigError(f"--line takes only image files and one network: leave out {(tables or own[1:])[0]}.")
    report_compiling()
    nets = [load(path) for path in own or [LINE if options["line"] else PRETRAINED]]
    net = nets[0] if len(nets) == 1 else Committee(nets)
    if tables:
        answers = net.classes[net.predict(_table(tables[0]))]
        _write(options["csv"], [(k + 1, name) for k, name in enumerate(answers)])
        return 0
    if options["line"]:
        found = [read_line(nets[0], image) for image in images]
    else:
        line = None if own else load(LINE)
        found = [read_digit(net, image, line=line) for image in images]
    results = [{"image": image, **each} for image, each in zip(images, found, strict=True)]
    if options["csv"] is not None:
        _write(options["csv"], [(Path(r["image"]).name, r.get("class", r.get("line"))) for r in results])
    else:
        print(
            json.dumps(results, indent=1)
            if options["json"]
            else "\n\n".join(_text(result, net.classes) for result in results)
        )
    return 0


def _is_table(name: str) -> bool:
    return name.lower().endswith(_TABLES) or "-idx3-" in name or ".idx3-" in name


def _table(name: str) -> np.ndarray:
    """Return the images in a .csv, .npy or IDX file."""
    if name.lower().endswith((".csv", ".csv.gz")):
        return read_csv(name)[0]
    if not name.lower().endswith(".npy"):
        return read_idx(name)
    try:
        return np.load(name, allow_pickle=False)
    except Exception as error:  # NumPy raises exceptions of many types for corrupt data
        raise DataError(f"{name}: not a .npy file with one array of numbers: {error}") from error


def _write(path: str, rows: list[tuple[Any, Any]]) -> None:
    with atomic_write(path, text=True) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ImageId", "Label"))
        writer.writerows(rows)
    print(f"wrote {len(rows):,} predictions to {path}")


def _text(result: dict[str, Any], names: np.ndarray) -> str:
    if "line" in result:
        found = "  ".join(f"{d['class']} at column {d['column']:.0f} ({d['penalty']:.2f})" for d in result["digits"])
        return f"{result['image']}: {result['line']}, a line of digits\n  digits (penalty): {found}"
    kind = "penalties" if "penalties" in result else "scores"
    top = ", ".join(f"{t['class']} ({t['probability']:.1%})" for t in result["top"])
    values = "  ".join(f"{name}: {value:.2f}" for name, value in zip(names[:_SHOWN], result[kind], strict=False))
    return f"{result['image']}: {result['class']}\n  top three: {top}\n  {kind}: {values}"


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
