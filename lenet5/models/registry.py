"""Registry of the named networks, and construction of networks from a saved description."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..datasets.preparation import SCALES
from ..datasets.preparation import prepare as prepare_pixels
from ..errors import ConfigError, shown
from ..layers import Layer
from ..layers.registry import described, made
from ..network import Sequential
from .build import one_of
from .later import caffe, cifar10, d2l, mattwang44, tensorflow_tutorial
from .paper import lenet1, lenet4, lenet5

__all__ = ["MODELS", "from_spec", "preparation_of", "spec_of"]

_DEEPEST = 16  # maximum depth of nested networks

MODELS: dict[str, Callable[..., Sequential]] = {
    "lenet5": lenet5,
    "lenet4": lenet4,
    "lenet1": lenet1,
    "lenet5-mattwang44": mattwang44,
    "caffe": caffe,
    "tensorflow-tutorial": tensorflow_tutorial,
    "d2l": d2l,
    "lenet5-cifar10": cifar10,
}


def spec_of(net: Sequential) -> dict[str, Any] | None:
    """Return the specification from which `from_spec` rebuilds the network, or None if that is not possible.

    A network cannot be rebuilt if it has layers of unregistered classes (see `lenet5.layers.register`), custom
    initialisers, or a preparation other than `datasets.prepare`.
    """
    if net.spec is not None:
        return net.spec
    layers, known = _layers_of(net), preparation_of(net)
    return None if layers is None or known is None else {"layers": layers, "in_shape": list(net.in_shape), **known}


def preparation_of(net: Sequential) -> dict[str, Any] | None:
    """Return ``size`` and ``scale`` of a network's preparation, or None if it is custom (not `datasets.prepare`)."""
    prepare = net.prepare
    known: dict[str, Any] = {"size": list(net.in_shape[1:]), "scale": "unit"}
    if prepare is None:
        return known
    function = prepare.func if isinstance(prepare, partial) else prepare
    own = prepare.keywords if isinstance(prepare, partial) and not prepare.args else {}
    if function is not prepare_pixels or own.keys() - known.keys():
        return None
    return {"size": 32, "scale": "paper"} | own


def _layers_of(net: Sequential) -> list[Any] | None:
    if type(net) is not Sequential:
        return None
    found: list[Any] = []
    for layer in net.layers:
        if isinstance(layer, Sequential):
            inner = _layers_of(layer)
            found.append(None if inner is None else {"name": layer.name, "layers": inner})
        else:
            found.append(described(layer))
    return None if None in found else found


def _from_layers(spec: dict[str, Any], *, dtype: Any = np.float32, seed: int | np.random.Generator = 0) -> Sequential:
    def sequence(layers: Any, depth: int = 0, **options: Any) -> Sequential:
        if not isinstance(layers, list) or depth > _DEEPEST:
            raise ConfigError(f"layers must be a list, nested at most {_DEEPEST} levels deep; found {shown(layers)}.")
        inner: list[Layer] = []
        for layer in layers:
            nested = isinstance(layer, dict) and "layers" in layer
            inner.append(
                sequence(layer["layers"], depth + 1, name=str(layer.get("name", ""))) if nested else made(layer)
            )
        return Sequential(inner, **options)

    try:
        shape, size, scale = tuple(spec["in_shape"]), spec["size"], spec["scale"]
        size = size if isinstance(size, int) else tuple(size)
        if not all(
            isinstance(side, int) and 0 < side < 1 << 16
            for side in (*shape, *([size] if isinstance(size, int) else size))
        ):
            raise ConfigError(f"in_shape and size of a network must be integers from 1 to 65,535; found {shown(spec)}.")
        one_of("scale", scale, tuple(SCALES))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"A network described by its layers needs in_shape, size and scale: {error!r}.") from error
    pictures = len(shape) == 3
    try:
        net = sequence(spec["layers"], prepare=partial(prepare_pixels, size=size, scale=scale) if pictures else None)
        net.build(shape, dtype=dtype, rng=np.random.default_rng(seed))
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"The network cannot be built from {shown(spec)}: {error}.") from error
    return net


def from_spec(spec: dict[str, Any], **more: Any) -> Sequential:
    """Build the network described by `Sequential.spec` or `spec_of`.

    Parameters
    ----------
    spec : dict
        Either ``name``, a key of `MODELS`, and options of its builder; or ``layers``, ``in_shape``, ``size`` and
        ``scale``.
    **more
        Additional options, such as ``seed``.

    Raises
    ------
    ConfigError
        If the network or an option is unknown, or the network cannot be built.
    """
    if "layers" in spec:
        return _from_layers(spec, **more)
    options = dict(spec)
    name = options.pop("name", None)
    one_of("name of the network", name, tuple(MODELS))
    try:
        return MODELS[name](**options, **more)
    except (ArithmeticError, TypeError, ValueError) as error:
        why = str(error).rstrip(".")
        raise ConfigError(f"The network {name!r} cannot be built from {shown(options)}: {why}.") from error
