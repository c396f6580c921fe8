"""``python -m lenet5.datasets``: make a distorted MNIST of any size on disk, and verify it."""

import sys
import time
from collections.abc import Sequence

import joblib

from ..command import Parser, command
from ..errors import ConfigError, DataError
from . import DISTORTIONS, load
from .infimnist import make_distorted, verify

__all__ = ["main"]

_EPILOG = """`make-distorted --out DIR` writes the training images --times over as raw IDX files under MNIST's
names, the first 60,000 as they are and the others distorted, beside the unchanged test files and manifest.json with
the SHA-256 of everything. Started again it completes what was interrupted, to the same bytes. `verify DIR` computes
the hashes again and reports differences. Train with: python -m lenet5.train --dataset idx --mmap true --data-dir DIR.
Exit codes: 0 done, 2 bad option, 3 no data, a full disk or data that differ, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.datasets",
        positional="{make-distorted,verify} [DIR]",
        description="Make a distorted MNIST of any size on disk, as infiMNIST.",
        epilog=_EPILOG,
    )
    parser.add_argument("what", metavar="{make-distorted,verify}", help="what to do")
    parser.add_argument("folder", metavar="DIR", nargs="?", default=None, help="folder to verify")
    parser.add_option("--times", type=int, default=135, metavar="N", help="chunks (default 135: 8.1 million images)")
    parser.add_option("--out", type=str | None, default=None, metavar="DIR", help="folder to write to")
    parser.add_option("--seed", type=int, default=0, metavar="N", help="of the distortions (default 0)")
    names = f"short: --distort NAME; {', '.join(DISTORTIONS)} (default all)"
    parser.add_option("--distort.name", type=str, default="all", metavar="NAME", help=names)
    parser.add_option("--dataset", type=str, default="mnist", metavar="NAME", help="set to distort (default mnist)")
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with its files")
    parser.add_option("--threads", type=int | None, default=None, metavar="N", help="default all cores")
    parser.add_switch("--quiet", help="print nothing but errors")
    options = parser.parse(argv)
    say = _Say(options["quiet"])
    if options["what"] == "verify":
        return _verify(options["folder"], say)
    if options["what"] != "make-distorted":
        raise ConfigError(f"unknown action {options['what']!r}: choose make-distorted or verify.")
    if options["folder"] is not None or options["out"] is None:
        raise ConfigError("make-distorted writes to a folder: name it with --out DIR.")
    start, threads = time.monotonic(), joblib.cpu_count() if options["threads"] is None else options["threads"]
    train, test = load(options["dataset"], options["data_dir"], progress=not options["quiet"])
    numbers = {"times": options["times"], "seed": options["seed"], "threads": threads}
    manifest = make_distorted(options["out"], train, test, distort=options["distort"]["name"], say=say, **numbers)
    n, seconds = manifest["times"] * manifest["chunk_images"], time.monotonic() - start
    say(f"{n:,} images are in {options['out']}, {seconds:.0f} s after the start", at_once=True)
    return 0


def _verify(folder: str | None, say: "_Say") -> int:
    if folder is None:
        raise ConfigError("verify needs the folder of a set: verify DIR.")
    wrong = verify(folder)
    if wrong:
        raise DataError(f"{folder}: verification failed: {'; '.join(wrong)}. Start its make-distorted again.")
    say(f"{folder}: verified", at_once=True)
    return 0


class _Say:
    """Print lines, not more of them than one in five seconds unless they are to come at once."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.due = quiet, time.monotonic() + 5

    def __call__(self, text: str, *, at_once: bool = False) -> None:
        if not self.quiet and (at_once or time.monotonic() > self.due):
            print(text, flush=True)
            self.due = time.monotonic() + 5


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
