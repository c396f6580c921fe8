"""The command ``python -m lenet5.export``: write a network as ONNX, safetensors, C, a web page, PyTorch or Keras."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..command import Parser, add_data_arguments, command, report_compiling
from ..errors import ConfigError, LenetError
from ..models.weights import PRETRAINED, read
from ..run.source import load_again
from .write import FORMATS, export, format_of

__all__ = ["images_for", "main", "notes_of"]

_CALIBRATION = 1000  # training images for --int8


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    endings = "; ".join(f"{ending}: {what}" for ending, (what, _) in FORMATS.items())
    parser = Parser(
        prog="python -m lenet5.export",
        positional="[RUN_OR_FILE] FILE",
        description=f"Export a network; the extension of FILE selects the format. {endings}.",
        epilog="To read weights, use lenet5.load (.safetensors, .npz), lenet5.interop.from_torch and from_keras.",
    )
    help = "network (run folder, .npz or .safetensors file; default: the pretrained one), and file to write"
    parser.add_argument("files", metavar="FILE", nargs="+", help=help)
    parser.add_switch("--prepare", help=".onnx: accept uint8 images and prepare them in the graph")
    help = ".onnx: comma-separated outputs: scores (or penalties), probabilities, class (default: all three)"
    parser.add_option("--outputs", type=str | None, default=None, metavar="NAMES", help=help)
    help = f".c, .h: 8-bit weights and activations, calibrated on {_CALIBRATION:,} training images"
    parser.add_switch("--int8", help=help)
    help = "data set for --int8 and .html (default: the network's training data, or digits if it is not on disk)"
    add_data_arguments(parser, help)
    options = parser.parse(argv)
    files = options["files"]
    if len(files) > 2:
        raise ConfigError(f"expected one network and one file to write; found {', '.join(files)}. See --help.")
    run, path = files if len(files) == 2 else (str(PRETRAINED), files[0])
    ending = format_of(path)
    report_compiling()
    net, meta = read(run)
    given: dict[str, Any] = {"prepare": options["prepare"], "int8": options["int8"]}
    if options["outputs"] is not None:
        given["outputs"] = options["outputs"].split(",")
    if options["int8"] or ending == ".html":
        train, test = images_for(meta, options["dataset"], options["data_dir"])
        given |= {"examples": test} if ending == ".html" else {"images": train.images[:_CALIBRATION]}
    elif options["dataset"] or options["data_dir"]:
        raise ConfigError("Omit --dataset and --data-dir: this export needs no images; only --int8 and .html use them.")
    export(net, path, notes=notes_of(run, meta), **given)
    print(f"{path}: {os.path.getsize(path):,} bytes, {FORMATS[ending][0]}")
    return 0


def images_for(meta: dict[str, Any], dataset: str | None, data_dir: str | None) -> tuple[Any, Any]:
    """Load the training and test sets of `dataset`; default: the network's own data set, or digits if unavailable."""
    from .. import datasets

    if dataset is None and meta.get("dataset", "auto") in ("auto", "mnist"):
        train, test, notice = datasets.load_auto(data_dir, download=False)
        if notice:
            print(notice, file=sys.stderr)
        return train, test
    return load_again(meta, dataset, data_dir, verify=True, progress=True)


def notes_of(run: str | os.PathLike[str], meta: dict[str, Any]) -> dict[str, str]:
    """Return the data set, recipe and test error of a network, as far as they are recorded."""
    notes = {"dataset": str(meta["dataset"])} if "dataset" in meta else {}
    path = Path(run)
    record = path / "history.json" if path.is_dir() else path.with_suffix(".json")
    try:
        kept = json.loads(record.read_text(encoding="utf-8"))
        config = kept.get("config") or kept["run"]["config"]
        last = kept.get("last") or kept["epochs"][-1]
        recipe = {key: config[key] for key in ("model", "loss", "optimizer", "schedule", "distort", "epochs", "seed")}
        notes |= {"recipe": json.dumps(recipe), "test_error": f"{float(last['test_error']):.4f}"}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, LenetError):
        pass  # no record, or an invalid one; the notes are only informative
    return notes


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
