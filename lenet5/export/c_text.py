"""Generate C source: functions, numbers, arrays, names, and the layout of the buffer that all layers share."""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..models.steps import Step

__all__ = ["Room", "array", "check_finite", "functions", "identifier", "integer", "number", "remark", "text"]

_ROW = 110  # maximum number of characters in a line of numbers
_NOT_FINITE = (
    "The network has values that are not finite in float32: its training diverged, or it is a float64 network "
    "with values beyond 3.4e38. No file was written."
)


def functions(used: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the code of the given types and functions of functions.c and of their dependencies, in file order."""
    parts = re.split(r"^//: (\w+)\n", (Path(__file__).parent / "functions.c").read_text(encoding="utf-8"), flags=re.M)
    known = {name: code.strip() for name, code in zip(parts[1::2], parts[2::2], strict=True)}
    needed = set(used)
    while more := {n for n in known for u in needed if re.search(rf"\b{n}\(|const {n} \*", known[u])} - needed:
        needed |= more
    kept = [(name, code) for name, code in known.items() if name in needed]
    types = [code for _, code in kept if code.startswith("typedef")]
    return types, [code for _, code in kept if not code.startswith("typedef")]


class Room:
    """Allocate the activations of successive layers in one buffer; a layer's input and output do not overlap."""

    def __init__(self) -> None:
        self.first = self.size = self.needed = 0

    def begin(self, size: int) -> int:
        """Place the network's input at the start of the buffer; return its position."""
        self.size = self.needed = size
        return 0

    def shrink(self, size: int) -> int:
        """Let a layer overwrite its input with its output; return their common position."""
        self.size = size
        return self.first

    def beside(self, size: int) -> tuple[int, int]:
        """Return the positions of a layer's input and of its output, placed before the input if it fits, else after."""
        source = self.first
        self.first = 0 if size <= source else source + self.size
        self.size = size
        self.needed = max(self.needed, self.first + size)
        return source, self.first


def number(value: float) -> str:
    """Format a float32 so that C reads exactly the same value.

    Raises
    ------
    ConfigError
        If the value is not finite.
    """
    with np.errstate(over="ignore"):  # a finite float64 can overflow float32
        short = np.float32(value)
    if not np.isfinite(short):
        raise ConfigError(_NOT_FINITE)
    digits = f"{short:.9g}"
    return f"{digits}f" if re.search("[.e]", digits) else f"{digits}.0f"


def check_finite(every: Iterable[Step]) -> None:
    """Raise ConfigError if an array of a layer's operation has a value that is not finite in float32."""
    for step in every:
        for field in step.operation:
            with np.errstate(over="ignore"):
                if isinstance(field, np.ndarray) and not np.isfinite(field.astype(np.float32)).all():
                    raise ConfigError(f"{step.name}: {_NOT_FINITE}")


def integer(value: float) -> str:
    """Format a 32-bit integer as a C expression."""
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(int(value))


def array(kind: str, name: str, values: Iterable[float]) -> str:
    """Return the definition of a constant array of a C type, "float" or an integer type."""
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
    """Convert the name of a layer to a C identifier."""
    return "layer_" + re.sub(r"\W", "_", name, flags=re.ASCII)


def text(value: str) -> str:
    """Format text as a C string in UTF-8; special bytes and question marks (trigraphs) become octal escapes."""
    plain = {
        ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'()*+,-./:;<=>@[]^_`{|}~"
    }
    encoded = value.encode("utf-8", errors="replace")
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in encoded) + '"'


def remark(lines: Iterable[str]) -> str:
    """Return lines as a C comment, without character sequences that would end it or have a special meaning."""
    kept = []
    for line in lines:
        line = line.replace("\\", "/")  # first, because the new slashes can form sequences that are split below
        line = "".join(c if c.isprintable() else " " for c in line)
        for sign in ("*/", "/*", "??"):
            line = line.replace(sign, " ".join(sign))
        kept += [
            " * " + row for row in textwrap.wrap(line, _ROW, subsequent_indent=" " * 13, drop_whitespace=False)
        ] or [" *"]
    return "\n".join(["/*", *(line.rstrip() for line in kept), " */"])
