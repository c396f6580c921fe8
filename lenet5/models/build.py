"""What the builders share: how a list of layers becomes a network that can be built again."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from .. import init as initializers
from ..datasets.transforms import SCALES, prepare
from ..errors import ConfigError
from ..init import Initializer
from ..layers import ELU, AvgPool2D, Layer, LeakyReLU, MaxPool2D, PReLU, ReLU, ScaledTanh, Sigmoid, Subsampling, Tanh
from ..network import Sequential

__all__ = ["ACTIVATIONS", "POOLS", "initializer", "network", "one_of"]

POOLS: dict[str, Callable[..., Layer]] = {"trainable": Subsampling, "average": AvgPool2D, "max": MaxPool2D}

ACTIVATIONS: dict[str, Callable[[], Layer]] = {
    "scaled-tanh": ScaledTanh,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "relu": ReLU,
    "leaky-relu": LeakyReLU,
    "prelu": PReLU,
    "elu": ELU,
}


def network(
    layers: Iterable[Layer],
    *,
    channels: int,
    size: int,
    scale: str,
    spec: dict[str, Any],
    dtype: np.typing.DTypeLike,
    seed: int | np.random.Generator,
) -> Sequential:
    """Build layers for images (channels, size, size) whose grey levels are scaled as `scale` says.

    `spec` holds the builder's name and other options: with it `from_spec` builds the same network again.
    """
    one_of("scale", scale, tuple(SCALES))
    for name, value in (("channels", channels), ("size", size)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"{name} of the images is an int of at least 1; found {value!r}.")
    spec = spec | {"channels": int(channels), "size": int(size), "scale": scale}
    net = Sequential(layers, prepare=partial(prepare, size=int(size), scale=scale), spec=spec)
    net.build((int(channels), int(size), int(size)), dtype=dtype, rng=np.random.default_rng(seed))
    return net


def initializer(name: str) -> Initializer:
    """Return the initialiser of that name; ConfigError if there is none."""
    one_of("init", name, tuple(initializers.INITIALIZERS))
    return initializers.INITIALIZERS[name]


def one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `known`."""
    if value not in known:
        raise ConfigError(f"{what} is one of {', '.join(known)}; found {value!r}.")
