"""The command ``python -m lenet5.demo``: write an HTML page that recognises drawn digits."""

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .command import Parser, add_data_arguments, add_run_argument, command, report_compiling
from .export import export
from .export.__main__ import images_for, notes_of
from .models.weights import PRETRAINED, read

__all__ = ["main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.demo",
        positional="[RUN_OR_FILE]",
        description="Write a web page that recognises the digits you draw and shows every layer, and open it. The "
        "page is one HTML file with the network inside; it works without a server, a network connection or Python.",
    )
    add_run_argument(parser, PRETRAINED)
    parser.add_option("--out", default="lenet5.html", metavar="FILE", help="file to write (default: lenet5.html)")
    parser.add_option(
        "--open", type=bool, default=True, metavar="{true,false}", help="open the page in a browser (default: true)"
    )
    help = "data set of the example images (default: the training data set, or digits if that is MNIST and not on disk)"
    add_data_arguments(parser, help)
    options = parser.parse(argv)
    report_compiling()
    net, meta = read(options["run"])
    _, test = images_for(meta, options["dataset"], options["data_dir"])
    out = Path(options["out"])
    export(net, out, examples=test, notes=notes_of(options["run"], meta))
    print(f"wrote {out} ({os.path.getsize(out) / 1000:,.0f} kB): open it in a browser, or share it")
    if options["open"]:
        webbrowser.open(out.absolute().as_uri())
    return 0


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
