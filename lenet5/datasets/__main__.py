"""``python -m lenet5.datasets``: make or verify a distorted MNIST data set of any size on disk."""

import sys
import time
from collections.abc import Sequence

import joblib

from ..command import Parser, command
from ..errors import ConfigError, DataError
from . import DISTORTIONS, load
from .infimnist import make_distorted, verify

__all__ = ["main"]

_EPILOG = """`make-distorted --out DIR` writes N copies (--times) of the training images to raw IDX files that are named
like MNIST's. The first copy is unchanged; the others are distorted. The command also writes the unchanged test files,
and manifest.json with the SHA-256 of every file. Repeat an interrupted command to resume it; the resulting files are
bit-identical to those of an uninterrupted run. `verify DIR` recomputes the hashes and reports differences. To train on
the data set, run python -m lenet5.train --dataset idx --mmap true --data-dir DIR.
Exit codes: 0 done, 2 invalid option, 3 no data, disk full or verification failed, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m lenet5.datasets",
        positional="{make-distorted,verify} [DIR]",
        description="Make or verify a distorted MNIST data set of any size on disk, like infiMNIST.",
        epilog=_EPILOG,
    )
    parser.add_argument("what", metavar="{make-distorted,verify}", help="action")
    parser.add_argument("folder", metavar="DIR", nargs="?", default=None, help="folder to verify")
    parser.add_option(
        "--times", type=int, default=135, metavar="N", help="number of copies (default: 135, i.e. 8.1 million images)"
    )
    parser.add_option("--out", type=str | None, default=None, metavar="DIR", help="output folder")
    parser.add_option("--seed", type=int, default=0, metavar="N", help="seed of the distortions (default: 0)")
    names = f"distortion: {', '.join(DISTORTIONS)}; short form: --distort NAME (default: all)"
    parser.add_option("--distort.name", type=str, default="all", metavar="NAME", help=names)
    parser.add_option(
        "--dataset", type=str, default="mnist", metavar="NAME", help="data set to distort (default: mnist)"
    )
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with the data files")
    parser.add_option(
        "--threads", type=int | None, default=None, metavar="N", help="number of threads (default: one per CPU core)"
    )
    parser.add_switch("--quiet", help="print only errors")
    options = parser.parse(argv)
    say = _Say(options["quiet"])
    if options["what"] == "verify":
        return _verify(options["folder"], say)
    if options["what"] != "make-distorted":
        raise ConfigError(f"unknown action {options['what']!r}: choose make-distorted or verify.")
    if options["folder"] is not None or options["out"] is None:
        raise ConfigError("make-distorted takes its output folder as an option: --out DIR.")
    start, threads = time.monotonic(), joblib.cpu_count() if options["threads"] is None else options["threads"]
    train, test = load(options["dataset"], options["data_dir"], progress=not options["quiet"])
    numbers = {"times": options["times"], "seed": options["seed"], "threads": threads}
    manifest = make_distorted(options["out"], train, test, distort=options["distort"]["name"], say=say, **numbers)
    n, seconds = manifest["times"] * manifest["chunk_images"], time.monotonic() - start
    say(f"{options['out']}: {n:,} images written or verified in {seconds:.0f} s", at_once=True)
    return 0


def _verify(folder: str | None, say: "_Say") -> int:
    if folder is None:
        raise ConfigError("verify needs the folder of a data set: verify DIR.")
    wrong = verify(folder)
    if wrong:
        raise DataError(
            f"{folder}: verification failed: {'; '.join(wrong)}. To repair the data set, repeat the make-distorted "
            "command that wrote it."
        )
    say(f"{folder}: verified", at_once=True)
    return 0


class _Say:
    """Print progress lines, at most one every five seconds unless `at_once` is true."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.due = quiet, time.monotonic() + 5

    def __call__(self, text: str, *, at_once: bool = False) -> None:
        if not self.quiet and (at_once or time.monotonic() > self.due):
            print(text, flush=True)
            self.due = time.monotonic() + 5


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
