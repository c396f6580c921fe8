"""The command: ``python -m lenet5.demo``."""

import importlib.util
import socket
import sys
from collections.abc import Sequence

import numpy as np

from . import datasets
from .command import Parser, add_run_argument, command, report_compiling
from .datasets import Dataset
from .errors import ConfigError
from .models.weights import PRETRAINED, load

__all__ = ["main", "run"]


def _examples(name: str | None, data_dir: str | None) -> Dataset:
    """Return test images for the button: by default MNIST where it is on disk, else the embedded digits."""
    if name is not None:
        return datasets.load(name, data_dir)[1]
    return datasets.load_auto(data_dir, download=False)[1]


def _free(port: int) -> int:
    """Return a port that can be listened on: this one, or any for 0."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"--port {port}: {getattr(error, 'strerror', None) or error}; --port 0 finds a free one."
            ) from error
        return int(trial.getsockname()[1])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.demo",
        positional="[RUN_OR_FILE]",
        description="Open a page on this machine on which you draw a digit and watch the network read it.",
    )
    add_run_argument(parser, PRETRAINED)
    parser.add_option("--port", type=int, default=8098, metavar="N", help="0 for any that is free (default 8098)")
    parser.add_option("--open", type=bool, default=True, metavar="{true,false}", help="open a browser (default true)")
    parser.add_option(
        "--dataset",
        type=str | None,
        default=None,
        metavar="NAME",
        help="where random digits come from: mnist or digits; default MNIST where it is on disk, else digits",
    )
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with its files")
    options = parser.parse(argv)
    if importlib.util.find_spec("nicegui") is None:
        raise ConfigError("The page is made with NiceGUI, which is not installed: pip install 'lenet5[demo]'.")
    from .page.page import serve
    from .page.reading import Reader

    port = _free(options["port"])
    report_compiling()
    reader = Reader(load(options["run"]), _examples(options["dataset"], options["data_dir"]))
    print("warming up: kernels that are new are compiled, once, in a few seconds", file=sys.stderr, flush=True)
    for wide in (False, True)[: 1 + reader.sweeps]:
        reader.read(reader.example(np.random.default_rng(0), wide=wide), wide=wide)
    print(f"the page is at http://127.0.0.1:{port}/ ; Ctrl-C stops it", flush=True)
    serve(reader, port=port, show=options["open"])
    return 0


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
