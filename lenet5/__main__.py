"""Dispatch ``lenet5 COMMAND ...`` and ``python -m lenet5 COMMAND ...`` to the commands."""

import importlib
import sys
from collections.abc import Sequence

from . import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "train": "train a network; with no option, as the paper did",
    "evaluate": "error, confusion and mistakes of a network on a test set",
    "predict": "which digit is in a picture",
    "show": "pictures of a network and of what it makes of images",
    "export": "a network as ONNX, safetensors, C, a page, or weights of PyTorch or Keras",
    "demo": "a page, as one file, on which you draw a digit and watch the network read it",
    "datasets": "a distorted MNIST of any size on disk, made and verified",
    "models": "the networks, layer by layer",
    "reproduce": "the tables of the paper and of others, run again",
}


def _module(name: str) -> str:
    """Return the module of a command, which may be the `__main__` of a package."""
    package = importlib.import_module(f"lenet5.{name}")
    return f"{package.__name__}.__main__" if hasattr(package, "__path__") else package.__name__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first word names; return its exit code."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if name in COMMANDS:
        return importlib.import_module(_module(name)).run(rest)
    if name == "--version":
        print(__version__)
        return 0
    lines = "\n".join(f"  {command:<10} {text}" for command, text in COMMANDS.items())
    usage = f"usage: lenet5 COMMAND [options]; lenet5 COMMAND --help explains them\n\n{lines}"
    if name in ("-h", "--help"):
        print(usage)
        return 0
    print(f"lenet5: error: no command {name!r}.\n{usage}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
