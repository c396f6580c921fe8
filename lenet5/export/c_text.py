"""Generation of C source: functions, numbers, arrays, names, and the layout of the shared buffer."""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..models.steps import Step

__all__ = ["Room", "array", "check_finite", "functions", "identifier", "integer", "number", "remark", "text"]

_ROW = 110  # characters of a line of numbers
_NOT_FINITE = (
    "The network holds numbers that are not finite in float32: it has failed in training, or is float64 with numbers "
    "beyond 3.4e38; nothing is written."
)


def functions(used: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the types and the functions of functions.c that are used, and those that they use, in C's order."""
    parts = re.split(r"^//: (\w+)\n", (Path(__file__).parent / "functions.c").read_text(encoding="utf-8"), flags=re.M)
    known = {name: code.strip() for name, code in zip(parts[1::2], parts[2::2], strict=True)}
    needed = set(used)
    while more := {n for n in known for u in needed if re.search(rf"\b{n}\(|const {n} \*", known[u])} - needed:
        needed |= more
    kept = [(name, code) for name, code in known.items() if name in needed]
    types = [code for _, code in kept if code.startswith("typedef")]
    return types, [code for _, code in kept if not code.startswith("typedef")]


class Room:
    """Places in one buffer for the states of successive layers; inputs and outputs never overlap."""

    def __init__(self) -> None:
        self.first = self.size = self.needed = 0

    def begin(self, size: int) -> int:
        """Put the input at the start; return its place."""
        self.size = self.needed = size
        return 0

    def shrink(self, size: int) -> int:
        """Let a layer write over its own input; return the place."""
        self.size = size
        return self.first

    def beside(self, size: int) -> tuple[int, int]:
        """Return the places of a layer's input and of its output: in front of the input if it fits, else behind it."""
        source = self.first
        self.first = 0 if size <= source else source + self.size
        self.size = size
        self.needed = max(self.needed, self.first + size)
        return source, self.first


def number(value: float) -> str:
    """Write a float32 so that C reads the same one.

    Raises
    ------
    ConfigError
        If it is not finite.
    """
    with np.errstate(over="ignore"):  # a float64 may be finite and no float32
        short = np.float32(value)
    if not np.isfinite(short):
        raise ConfigError(_NOT_FINITE)
    digits = f"{short:.9g}"
    return f"{digits}f" if re.search("[.e]", digits) else f"{digits}.0f"


def check_finite(every: Iterable[Step]) -> None:
    """Raise ConfigError if an array of an operation has a number that is not finite in float32."""
    for step in every:
        for field in step.operation:
            with np.errstate(over="ignore"):
                if isinstance(field, np.ndarray) and not np.isfinite(field.astype(np.float32)).all():
                    raise ConfigError(f"{step.name}: {_NOT_FINITE}")


def integer(value: float) -> str:
    """Write an int that fits into 32 bits."""
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(int(value))


def array(kind: str, name: str, values: Iterable[float]) -> str:
    """Return the definition of a constant array of floats, or of whole numbers for any other kind."""
    words = [(number if kind == "float" else integer)(value) for value in values]
    lines: list[str] = []
    line = ""
    for word in words:
        if len(line) + len(word) > _ROW:
            lines.append(line)
            line = ""
        line += f"{word}, "
    body = "\n".join(f"    {row.rstrip()}" for row in [*lines, line])
    return f"static const {kind} {name}[{len(words)}] = {{\n{body}\n}};\n"


def identifier(name: str) -> str:
    """Turn the name of a layer into one of C."""
    return "layer_" + re.sub(r"\W", "_", name, flags=re.ASCII)


def text(value: str) -> str:
    """Write a text as a C string in UTF-8; bytes other than plain characters, and the ? of trigraphs, are octal."""
    plain = {
        ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'()*+,-./:;<=>@[]^_`{|}~"
    }
    encoded = value.encode("utf-8", errors="replace")
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in encoded) + '"'


def remark(lines: Iterable[str]) -> str:
    """Return lines as a comment, without signs that end it or mean anything else in one."""
    kept = []
    for line in lines:
        line = line.replace("\\", "/")  # first, since it can make the signs below
        line = "".join(c if c.isprintable() else " " for c in line)
        for sign in ("*/", "/*", "??"):
            line = line.replace(sign, " ".join(sign))
        kept += [
            " * " + row for row in textwrap.wrap(line, _ROW, subsequent_indent=" " * 13, drop_whitespace=False)
        ] or [" *"]
    return "\n".join(["/*", *(line.rstrip() for line in kept), " */"])
