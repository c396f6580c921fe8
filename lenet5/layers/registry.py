"""Layers in files: the name of a registered class and its constructor arguments.

Only classes that are registered here come back out of a file: the library's own, and those that `register` was given.
"""

import inspect
from typing import Any

import numpy as np

from ..errors import ConfigError, shown
from ..initializers import INITIALIZERS
from .base import Layer

__all__ = ["LAYERS", "described", "made", "register"]

LAYERS: dict[str, type[Layer]] = {}


def register(kind: type[Layer]) -> type[Layer]:
    """Let networks with layers of this class be loaded from their file alone. A class decorator.

    Raises
    ------
    ConfigError
        If it is no class of layers, or another one has its name.
    """
    if not (isinstance(kind, type) and issubclass(kind, Layer)):
        raise ConfigError(f"register takes a class of layers; found {shown(kind)}.")
    if LAYERS.setdefault(kind.__name__, kind) is not kind:
        raise ConfigError(f"There is a layer {kind.__name__} already; give the class another name.")
    return kind


def described(layer: Layer) -> dict[str, Any] | None:
    """Return the JSON description from which `made` rebuilds the layer, or None."""
    kind = type(layer).__name__
    if LAYERS.get(kind) is not type(layer):
        return None
    arguments, options = layer._arguments
    bound = inspect.signature(type(layer).__init__).bind(layer, *arguments, **options).arguments
    values = {name: _written(value) for name, value in bound.items() if name not in ("self", "name")}
    if any(value is _NOT for value in values.values()):
        return None
    return {"kind": kind, "name": layer.name, **values}


def made(description: Any) -> Layer:
    """Return the layer that `described` told of.

    Raises
    ------
    ConfigError
        If there is no such layer or argument.
    """
    if not isinstance(description, dict) or not isinstance(description.get("kind"), str):
        raise ConfigError(f"A layer is described by its kind and its arguments; found {shown(description)}.")
    options = {name: _read(value) for name, value in description.items() if name != "kind"}
    kind = LAYERS.get(description["kind"])
    if kind is None:
        raise ConfigError(
            f"There is no layer {shown(description['kind'])}; known are {', '.join(sorted(LAYERS))}. A class of your "
            "own is made known by lenet5.layers.register, before its network is loaded."
        )
    try:
        return kind(**options)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ConfigError(f"The layer {kind.__name__} cannot be made of {shown(options)}: {error}.") from error


_NOT = object()


def _written(value: Any) -> Any:
    """Return an argument as JSON can hold it, or _NOT."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _written(value.item())
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()} if value.dtype.kind in "biuf" else _NOT
    if isinstance(value, tuple | list):
        parts = [_written(part) for part in value]
        return _NOT if any(part is _NOT for part in parts) else parts
    return next(({"init": name} for name, init in INITIALIZERS.items() if init is value), _NOT)


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"init"} and value["init"] in INITIALIZERS:
            return INITIALIZERS[value["init"]]
        if set(value) == {"array"}:
            try:
                return np.array(value["array"], np.float64)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"An array of numbers was expected: {error}.") from error
        raise ConfigError(f"An argument of a layer is a number, a text or a list; found {shown(value)}.")
    return tuple(map(_read, value)) if isinstance(value, list) else value
