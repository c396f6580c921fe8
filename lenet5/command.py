"""Shared parts of the commands: options from dataclasses, one-line errors and exit codes."""

import argparse
import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jsonargparse

from .errors import ConfigError, LenetError, LenetWarning
from .run import config

__all__ = [
    "Parser", "add_config_options", "add_data_arguments", "add_run_argument", "command", "overrides",
    "report_compiling",
]  # fmt: skip

# Sections whose field `name` has a short option: --optimizer sgd is short for --optimizer.name sgd.
_SHORT = ("distort", "loss", "model", "optimizer", "schedule")


class Parser(jsonargparse.ArgumentParser):
    """Argument parser that raises `ConfigError` and accepts --data_dir for --data-dir.

    Options are parsed as strings and converted to their types in `kinds`.
    """

    def __init__(self, *, positional: str = "", **options: Any) -> None:
        self.kinds: dict[str, Any] = {"help": bool}
        self.fallbacks: dict[str, Any] = {}
        # Use the plain formatter, because types and defaults are already part of the help texts.
        usage = f"%(prog)s [options] {positional}"
        super().__init__(formatter_class=argparse.HelpFormatter, usage=usage, allow_abbrev=False, **options)

    def add_option(self, *names: str, type: Any = str, default: Any = None, group: Any = None, **options: Any) -> None:
        """Add an option whose type is int, float, bool, str or a Literal, or a union of one of these with None."""
        key = names[-1].removeprefix("--")
        self.kinds[key], self.fallbacks[key] = type, default
        (group or self).add_argument(*names, type=str | None, default=None, **options)

    def add_switch(self, name: str, *, group: Any = None, **options: Any) -> None:
        """Add an option without a value."""
        self.kinds[name.removeprefix("--")] = bool
        (group or self).add_argument(name, **({"action": "store_true"} | options))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the message on one line."""
        raise ConfigError(f"{' '.join(message.split()).rstrip('.')}. See --help.")

    def parse(self, argv: Sequence[str] | None) -> dict[str, Any]:
        """Return the options that were given or have a default, as nested dictionaries."""
        words = [_canonical(word) for word in (sys.argv[1:] if argv is None else argv)]
        for word in words:
            name = word.removeprefix("--").partition("=")[0]
            if word.startswith("--") and len(word) > 2 and name not in self.kinds:
                near = config.nearest(name, [*self.kinds, *_SHORT]).replace("'", "")
                near = near.replace("Did you mean ", "Did you mean --")
                raise ConfigError(f"unrecognized arguments: --{name}.{near} See --help.")
        options = self.parse_args(words).as_dict()
        for name, fallback in self.fallbacks.items():
            *sections, last = name.replace("-", "_").split(".")
            values = functools.reduce(lambda inner, key: inner.get(key) or {}, sections, options)
            text = values.get(last)
            values[last] = fallback if text is None else config.from_text(name, text, self.kinds[name])
        return options


def _canonical(word: str) -> str:
    name, equals, value = word.partition("=")
    if not name.startswith("--") or len(name) == 2:
        return word
    name = name.replace("_", "-")
    return (f"{name}.name" if name[2:] in _SHORT else name) + equals + value


# Placeholders for option values in the help, by type.
_WORDS = {"an integer": "N", "a number": "X", "a string": "TEXT", "true or false": "{true,false}"}
_TITLES = {"run": "options of the run", "data": "options for a data set given by its path"}


def add_config_options(parser: Parser) -> None:
    """Add every option of `TrainConfig`; options that are not given stay None."""
    groups: dict[str, Any] = {}
    for key, f in config.keys():
        section = key.split(".")[0] if "." in key else "run"
        if section not in groups:
            title = _TITLES.get(section, f"{section} (--{section} NAME is short for --{section}.name NAME)")
            groups[section] = parser.add_argument_group(title)
        name = "--" + key.replace("_", "-")
        default = "" if f.default is None else f" (default: {str(f.default).lower()})"
        text = (f.metadata["help"] + default).replace("%", "%%")
        if key == "quiet":
            constant: Any = {"action": "store_const", "const": True, "default": None}
            parser.add_switch(name, group=groups[section], help=text, **constant)
        else:
            kind = config.describe(f.type)
            metavar = f.metadata["metavar"] or _WORDS.get(
                kind, "{" + kind.removeprefix("one of ").replace(", ", ",") + "}"
            )
            parser.add_option(name, type=f.type, group=groups[section], metavar=metavar, help=text)


def add_run_argument(parser: Parser, default: os.PathLike[str]) -> None:
    """Add the positional argument ``run``, a run folder or weights file, which defaults to the file `default`."""
    parser.add_argument(
        "run",
        metavar="RUN_OR_FILE",
        nargs="?",
        default=str(default),
        help="run folder, or .npz or .safetensors file (default: the pretrained weights of the package)",
    )


def add_data_arguments(parser: Parser, help: str, *, verify: bool = False) -> None:
    """Add ``--dataset``, with the given help text, ``--data-dir`` and, if `verify`, ``--verify``."""
    parser.add_option("--dataset", type=str | None, default=None, metavar="NAME_OR_PATH", help=help)
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with the data files")
    if verify:
        help = "check files against the published SHA-256 (false: accept your own files)"
        parser.add_option("--verify", type=bool, default=True, metavar="{true,false}", help=help)


def overrides(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `TrainConfig` that were given, which are those that are not None."""
    known = {key.split(".")[0] for key, _ in config.keys()}
    given = {}
    for name, value in options.items():
        if name in known and isinstance(value, dict):
            value = {k: v for k, v in value.items() if v is not None} or None
        if name in known and value is not None:
            given[name] = value
    return given


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a warning to stderr; if it is the library's own, print only its message, on one line."""
    own = issubclass(category, LenetWarning)
    text = f"lenet5: warning: {message}" if own else warnings.formatwarning(message, category, *where[:2]).rstrip()
    _say(f"{text}\n")


def _say(text: str) -> None:
    """Write to stderr; ignore errors, for example if the stream is closed."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def report_compiling() -> None:
    """Report compilation on stderr: a counter in a terminal, otherwise one line when the first function is compiled."""
    from .engine import Compilation, compiling  # imported here, so that --help does not load the compiler

    class Line(Compilation):
        needed = ready = shown = 0

        def begin(self, functions: int) -> None:
            self.needed += functions

        def done(self, name: str, *, cached: bool) -> None:
            self.ready += 1
            terminal = sys.stderr.isatty()
            if not cached and (terminal or not self.shown):
                self.shown += 1
                what = f"{self.ready} of {self.needed}, {name.replace('_', ' ')}" if terminal else "a few seconds"
                end = "" if terminal else "\n"
                start = "\r\033[K" if terminal else ""
                _say(f"{start}compiling (once per machine): {what}{end}")
            if terminal and self.shown and self.ready >= self.needed:
                _say("\r\033[K")

    compiling(Line())


def _open_standard_streams() -> None:
    """Redirect closed standard streams to the null device, so that files opened later do not take their descriptors."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # returns the lowest free descriptor, normally `number`
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Wrap a command's main(argv), so that errors produce a message on stderr and an exit code, but no traceback."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        _open_standard_streams()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", LenetWarning)
                warnings.showwarning = _show_warning  # type: ignore[assignment]
                return main(argv)
        except LenetError as error:
            print(f"lenet5: error: {error}", file=sys.stderr)
            return error.exit_code
        except BrokenPipeError:  # the process that reads our output has exited, as in `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            print(f"lenet5: error: {error.filename or 'operating system'}: {error.strerror or error}.", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("lenet5: interrupted.", file=sys.stderr)
            return 130
        except MemoryError:
            print("lenet5: error: out of memory; use a smaller batch size.", file=sys.stderr)
            return 1

    return run
