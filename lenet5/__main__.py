"""Dispatch ``lenet5 COMMAND ...`` and ``python -m lenet5 COMMAND ...`` to the commands."""

import importlib
import sys
from collections.abc import Sequence

from . import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "train": "train a network (by default, as in the paper)",
    "evaluate": "report the test error, confusion matrix and mistakes of a network",
    "predict": "classify the digits in images",
    "show": "plot a network, its feature maps, errors and learning curves",
    "export": "export a network to ONNX, safetensors, C, a web page, PyTorch or Keras",
    "demo": "write a single-file web page that recognises the digits you draw",
    "datasets": "write a distorted MNIST data set of any size to disk, or verify one",
    "models": "list the network architectures, layer by layer",
    "reproduce": "rerun the experiments of the paper and of other implementations",
}


def _module(name: str) -> str:
    """Return the name of the module that implements a command: a module of lenet5, or `__main__` of a package."""
    package = importlib.import_module(f"lenet5.{name}")
    return f"{package.__name__}.__main__" if hasattr(package, "__path__") else package.__name__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named by the first argument; return its exit code."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if name in COMMANDS:
        return importlib.import_module(_module(name)).run(rest)
    if name == "--version":
        print(__version__)
        return 0
    lines = "\n".join(f"  {command:<10} {text}" for command, text in COMMANDS.items())
    usage = f"usage: lenet5 COMMAND [options]; run lenet5 COMMAND --help for its options\n\n{lines}"
    if name in ("-h", "--help"):
        print(usage)
        return 0
    print(f"lenet5: error: unknown command {name!r}.\n{usage}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
