"""Convert configurations from and to nested dictionaries, and read them from TOML or JSON files."""

import dataclasses
import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ...errors import ConfigError, shown
from .run import TrainConfig

__all__ = ["describe", "from_dict", "from_text", "keys", "nearest", "read", "to_dict"]

_MAX_BYTES = 1 << 20
# Maximum number of dots in a TOML file, because tomllib takes quadratic time in the number of parts of a dotted key.
_MOST_DOTS = 1000
# Number of characters of a misspelt key to compare with the known keys.
_LONG = 100


def keys() -> Iterator[tuple[str, dataclasses.Field]]:
    """Yield the dotted name and the dataclass field of every option; options in sections come last."""
    yield from ((f.name, f) for f in dataclasses.fields(TrainConfig) if f not in _sections())
    for section in _sections():
        yield from ((f"{section.name}.{f.name}", f) for f in dataclasses.fields(section.type))


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return a configuration as nested dictionaries, suitable for JSON and `from_dict`."""
    return dataclasses.asdict(config)


def from_dict(values: Mapping[str, Any], *, where: str = "configuration") -> TrainConfig:
    """Build a configuration from nested dictionaries; missing options keep their defaults.

    A section can be given by its name alone: ``optimizer = "sgd"``.

    Raises
    ------
    ConfigError
        If a key is unknown (the message suggests the most similar one), or a value has the wrong type.
    """
    known = dict(keys())
    arguments: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {f.name: {} for f in _sections()}
    for key, value in _flattened(values, known, where).items():
        section, _, name = key.rpartition(".")
        target = sections[section] if section else arguments
        target[name] = _typed(key, value, known[key].type, where)
    return TrainConfig(**arguments, **{f.name: f.type(**sections[f.name]) for f in _sections()})


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a configuration file (JSON if its name ends in `.json`, otherwise TOML) into nested dictionaries.

    Raises
    ------
    ConfigError
        If the file is missing, larger than 1 MiB, or malformed.
    """
    path = Path(path)
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path}: expected at most {_MAX_BYTES:,} bytes; found more.")
        if kind == "TOML" and data.count(b".") > _MOST_DOTS:
            raise ConfigError(f"{path}: expected at most {_MOST_DOTS:,} dots in the file; found more.")
        values = json.loads(data) if kind == "JSON" else tomllib.loads(data.decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # JSON, TOML and UTF-8 errors are all ValueErrors
        raise ConfigError(f"{path}: not {kind}: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a table of options, found {type(values).__name__}.")
    return values


def nearest(key: str, known: list[str]) -> str:
    """Return " Did you mean ...?" with the most similar key, or an empty string."""
    sections = {k.split(".")[0] for k in known if "." in k}
    tails = {k.rsplit(".", 1)[-1]: k for k in known} | {k: k for k in (*known, *sections)}
    found = difflib.get_close_matches(key, tails, n=1, cutoff=0.5)
    return f" Did you mean {tails[found[0]]!r}?" if found else ""


def _sections() -> list[Any]:
    return [f for f in dataclasses.fields(TrainConfig) if dataclasses.is_dataclass(f.type)]


def _flattened(values: Mapping[str, Any], known: Mapping[str, object], where: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    sections = {key.split(".")[0] for key in known if "." in key}

    def visit(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            key = prefix + str(name).replace("-", "_")
            if key in sections and isinstance(value, str):
                key += ".name"
            if key in sections and isinstance(value, Mapping):
                visit(f"{key}.", value)
            elif key in known:
                flat[key] = value
            elif key in sections:
                raise ConfigError(f"{where}: {key} must be a section or a name; found {shown(value)}.")
            else:
                raise ConfigError(f"{where}: unknown key {shown(key)}.{nearest(key[:_LONG], list(known))}")

    visit("", values)
    return flat


def _typed(key: str, value: Any, kind: Any, where: str) -> Any:
    """Return `value` if it has the type of the option, converting int to float; otherwise raise ConfigError."""
    choices = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    for choice in choices:
        if get_origin(choice) is Literal and isinstance(value, str) and value in get_args(choice):
            return value
        if choice is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            return float(value)
        if choice in (int, bool, str, NoneType) and type(value) is choice:
            return value
    raise ConfigError(f"{where}: {key} takes {describe(kind)}; found {shown(value)}.")


def from_text(name: str, text: str, kind: Any) -> Any:
    """Parse the text of a command-line option.

    Raises
    ------
    ConfigError
        If the text is not a value of the given type.
    """
    choices = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    for choice in choices:
        if choice is str or get_origin(choice) is Literal and text in get_args(choice):
            return text
        if choice is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if choice in (int, float):
            try:
                number = choice(text)
            except ValueError:
                continue
            if abs(number) < 1e300:  # rejects infinity and NaN
                return number
    raise ConfigError(f"--{name} takes {describe(kind)}; found {shown(text)}.")


def describe(kind: Any) -> str:
    """Describe the values that an option of a type accepts, for messages and help texts."""
    if get_origin(kind) in (UnionType, Union):
        return " or ".join(describe(c) for c in get_args(kind) if c is not NoneType)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return {int: "an integer", float: "a number", str: "a string", bool: "true or false"}[kind]
