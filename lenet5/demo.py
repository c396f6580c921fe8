"""The command ``python -m lenet5.demo``: write a page that reads drawn digits, as one HTML file."""

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .command import Parser, add_run_argument, command, report_compiling
from .export import export
from .export.__main__ import images_for, notes_of
from .models.weights import PRETRAINED, read

__all__ = ["main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.demo",
        positional="[RUN_OR_FILE]",
        description="Write one HTML file on which you draw a digit and watch the network read it, and open it. The "
        "network runs inside the page: opening it again, or sending it on, needs no server, no connection, no Python.",
    )
    add_run_argument(parser, PRETRAINED)
    parser.add_option("--out", default="lenet5.html", metavar="FILE", help="file to write (default lenet5.html)")
    parser.add_option("--open", type=bool, default=True, metavar="{true,false}", help="open a browser (default true)")
    help = "where its examples come from (default the set it was trained on; MNIST only if it is on disk, else digits)"
    parser.add_option("--dataset", type=str | None, default=None, metavar="NAME_OR_PATH", help=help)
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with its files")
    options = parser.parse(argv)
    report_compiling()
    net, meta = read(options["run"])
    _, test = images_for(meta, options["dataset"], options["data_dir"])
    out = Path(options["out"])
    export(net, out, examples=test, notes=notes_of(options["run"], meta))
    print(f"the page is {out} ({os.path.getsize(out) / 1000:,.0f} kB): open it in a browser, or send it to others")
    if options["open"]:
        webbrowser.open(out.absolute().as_uri())
    return 0


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
