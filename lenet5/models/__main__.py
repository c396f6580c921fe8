"""Command ``python -m lenet5.models``: print networks layer by layer."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from ..command import Parser, command
from ..errors import ConfigError
from . import MODELS, from_spec, summary
from .later import VARIATIONS
from .summary import table

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        prog="python -m lenet5.models",
        positional="[NAME ...]",
        description="Print the layers of networks, with shapes, parameters, connections (counted as in the paper, one "
        "per input and per bias of every unit) and multiply-adds of one forward pass.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"networks: {', '.join(MODELS)} (default: all)")
    parser.add_option("--channels", type=int | None, default=None, metavar="N", help="number of image channels")
    parser.add_option("--size", type=int | None, default=None, metavar="N", help="side length of the images, in pixels")
    parser.add_option("--classes", type=int | None, default=None, metavar="N", help="number of classes")
    parser.add_switch("--json", help="print everything as JSON")
    options = parser.parse(argv)
    unknown = [name for name in options["names"] if name not in MODELS]
    if unknown:
        raise ConfigError(f"unknown network {', '.join(unknown)}; choose from {', '.join(MODELS)}.")
    own = {key: options[key] for key in ("channels", "size", "classes") if options[key] is not None}
    tables: dict[str, list[dict[str, Any]]] = {}
    for name in options["names"] or MODELS:
        tables[name] = summary(from_spec({"name": name} | own))
        for variation in VARIATIONS[1:] if name == "tensorflow-tutorial" else ():
            tables[f"{name}, {variation}"] = summary(from_spec({"name": name, "variation": variation} | own))
    print(json.dumps(tables, indent=1) if options["json"] else "\n\n".join(table(*item) for item in tables.items()))
    return 0


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
