"""Options of optimisers and schedules, with their default values, limits and help texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import numpy as np

from ..errors import ConfigError

__all__ = ["Option", "checked", "option"]


@dataclass(frozen=True)
class Option:
    """An option of an optimiser or a schedule.

    Attributes
    ----------
    default : object
        Default value; None if the option can be omitted.
    help : str
    kind : type
        float, int, bool, or a Literal of names.
    least, below : float or None
        Range of numeric values, least <= value < below; None for no limit.
    """

    default: Any
    help: str
    kind: Any
    least: float | None = None
    below: float | None = None


def option(default: Any, help: str, *, least: float | None = None, below: float | None = None, kind: Any = None) -> Any:
    """Return an option; its kind defaults to the type of its default value."""
    return Option(default, help, type(default) if kind is None else kind, least, below)


def checked(owner: str, options: Mapping[str, Option], name: str, value: Any) -> Any:
    """Convert the value of an option to the option's type; raise ConfigError if it is out of range."""
    known = options[name]
    if get_origin(known.kind) is Literal:
        if value not in get_args(known.kind):
            raise ConfigError(f"{name} of {owner} must be one of {', '.join(get_args(known.kind))}; found {value!r}.")
        return value
    if known.kind is bool:
        return bool(value)
    least, below = known.least, np.inf if known.below is None else known.below
    if least is not None and not least <= value < below:
        limit = "" if known.below is None else f" and below {below:g}"
        raise ConfigError(f"{name} must be at least {least:g}{limit}; found {value!r}.")
    return known.kind(value)
