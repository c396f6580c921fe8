"""Registry of the layer classes that can be loaded from files.

A file stores the name and the constructor arguments of each layer. Only registered classes can be loaded: those of the
library, and those passed to `register`.
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
    """Register a layer class, so that networks with such layers can be loaded from files. Usable as a decorator.

    Raises
    ------
    ConfigError
        If `kind` is not a layer class, or another registered class has the same name.
    """
    if not (isinstance(kind, type) and issubclass(kind, Layer)):
        raise ConfigError(f"register takes a layer class, a subclass of lenet5.layers.Layer; found {shown(kind)}.")
    if LAYERS.setdefault(kind.__name__, kind) is not kind:
        raise ConfigError(f"A layer class named {kind.__name__} is already registered; rename this one.")
    return kind


def described(layer: Layer) -> dict[str, Any] | None:
    """Return the JSON description from which `made` rebuilds the layer, or None if that is impossible."""
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
    """Create a layer from the description returned by `described`.

    Raises
    ------
    ConfigError
        If the layer class is unknown or an argument is invalid.
    """
    if not isinstance(description, dict) or not isinstance(description.get("kind"), str):
        raise ConfigError(f"A layer must be described by a dictionary with the key 'kind'; found {shown(description)}.")
    options = {name: _read(value) for name, value in description.items() if name != "kind"}
    kind = LAYERS.get(description["kind"])
    if kind is None:
        raise ConfigError(
            f"Unknown layer {shown(description['kind'])}; known layers: {', '.join(sorted(LAYERS))}. Register your own "
            "class with lenet5.layers.register before loading its network."
        )
    try:
        return kind(**options)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ConfigError(f"The layer {kind.__name__} cannot be created with {shown(options)}: {error}.") from error


_NOT = object()


def _written(value: Any) -> Any:
    """Convert an argument to JSON types; return _NOT if that is impossible."""
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
                raise ConfigError(f"An array among a layer's arguments must contain only numbers: {error}.") from error
        raise ConfigError(f"An argument of a layer must be a number, a string or a list; found {shown(value)}.")
    return tuple(map(_read, value)) if isinstance(value, list) else value
