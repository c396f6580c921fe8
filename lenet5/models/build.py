"""Helpers shared by the network builders."""

import string
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from .. import initializers
from ..datasets.preparation import SCALES, prepare
from ..errors import ConfigError, shown
from ..initializers import Initializer
from ..layers import ELU, AvgPool2D, Layer, LeakyReLU, MaxPool2D, PReLU, ReLU, ScaledTanh, Sigmoid, Subsampling, Tanh
from ..network import Sequential

__all__ = [
    "ACTIVATIONS",
    "CHARACTERS",
    "POOLS",
    "characters_of",
    "codes_of",
    "initializer",
    "network",
    "one_of",
    "size_of_s4",
]

# Characters that have a bitmap in the paper's Fig. 3. If no codes are given, the classes are assigned
# these characters in this order.
CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase + string.punctuation

# Upper limit for the number of channels and for the side length of the images in pixels.
_MOST = 1 << 16

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
    """Build a network for images (channels, size, size) with grey levels in the range `scale`.

    `scale` is a key of `SCALES`. `spec` contains the builder's name and its remaining options, so that `from_spec` can
    rebuild the network.
    """
    one_of("scale", scale, tuple(SCALES))
    for name, value in (("channels", channels), ("size", size)):
        if not isinstance(value, int | np.integer) or not 1 <= value <= _MOST:
            raise ConfigError(f"{name} of the images must be an int from 1 to {_MOST:,}; found {shown(value)}.")
    spec = spec | {"channels": int(channels), "size": int(size), "scale": scale}
    net = Sequential(layers, prepare=partial(prepare, size=int(size), scale=scale), spec=spec)
    net.build((int(channels), int(size), int(size)), dtype=dtype, rng=np.random.default_rng(seed))
    return net


def initializer(name: str) -> Initializer:
    """Return the initialiser with the given name, or raise ConfigError."""
    one_of("init", name, tuple(initializers.INITIALIZERS))
    return initializers.INITIALIZERS[name]


def one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `known`."""
    if value not in known:
        raise ConfigError(f"{what} must be one of {', '.join(known)}; found {shown(value)}.")


def size_of_s4(size: int) -> int:
    """Return the side of S4's maps, and of C5's kernels, for images of side `size` (5 in the paper)."""
    return max(1, ((size - 4) // 2 - 4) // 2)


def codes_of(classes: int | None, codes: str = "") -> str:
    """Return one character per class; the bitmaps of these characters are the RBF centres."""
    known = len(codes) or 10 if classes is None else classes
    codes = codes or CHARACTERS[: max(known, 0)]
    if len(codes) != known or not codes:
        raise ConfigError(
            f"RBF units need a code for each of the {known} classes; found {len(codes)}. Default "
            f"codes exist for up to {len(CHARACTERS)} classes; output='softmax' needs none."
        )
    return codes


def characters_of(classes: np.ndarray) -> str:
    """Return one character per class: the class names if all are printable characters, else from `CHARACTERS`."""
    own = [str(c) if isinstance(c, str | np.integer | int) and not isinstance(c, bool) else "" for c in classes]
    if all(len(c) == 1 and c.isascii() and c.isprintable() for c in own):
        return "".join(own)
    if len(classes) > len(CHARACTERS):
        raise ConfigError(
            f"There are only {len(CHARACTERS)} bitmaps, but y has {len(classes)} classes: use output='softmax'."
        )
    return CHARACTERS[: len(classes)]
