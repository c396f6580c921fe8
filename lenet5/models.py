"""Named architectures: the 1998 network."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from . import init as initializers
from .datasets.transforms import prepare
from .errors import ConfigError
from .layers import RBF, TABLE_I, AvgPool2D, Conv2D, Dense, Layer, MaxPool2D, ScaledTanh, Subsampling
from .network import Sequential

__all__ = ["MODELS", "from_spec", "lenet5"]

Pooling = Literal["trainable", "average", "max"]
Output = Literal["rbf", "softmax"]


def lenet5(
    *,
    subsampling: Pooling = "trainable",
    output: Output = "rbf",
    codes: str = "0123456789",
    init: str | None = None,
    coefficient: float = 1.0,
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the network of the paper's Fig. 2: 60,000 trainable parameters, 340,908 connections.

    Parameters
    ----------
    subsampling : {"trainable", "average", "max"}
        S2 and S4: the paper's, with a coefficient and a bias per map, or fixed pooling.
    output : {"rbf", "softmax"}
        Ten RBF units (eq. 7), or ten scores for softmax cross-entropy, with which F6 is trained freely.
    codes : str
        The characters to tell apart, one per class; their bitmaps are the RBF centres.
    init : str, optional
        Key of `lenet5.init.INITIALIZERS` for the weights. Default "fan-in", or "fan-in-2.4" where
        the pooling takes the mean, which shrinks signals fourfold. The paper's own words are "paper".
    coefficient : float
        Start of the trainable coefficients of S2 and S4; the paper does not say.
    dtype : float32 or float64
    seed : int or numpy.random.Generator
        Draws the weights.

    Returns
    -------
    Sequential
        Takes x (N, 1, 32, 32); layers under the paper's names, as ``net["C3"]``. A larger image
        gives maps of outputs, since C5 is a convolution.

    Raises
    ------
    ConfigError
        If an option has no such value.
    """
    _one_of("subsampling", subsampling, get_args(Pooling))
    _one_of("output", output, get_args(Output))
    init = init or ("fan-in-2.4" if subsampling == "average" else "fan-in")
    _one_of("init", init, tuple(initializers.INITIALIZERS))
    draw = initializers.INITIALIZERS[init]
    pools: dict[str, Callable[[str], Layer]] = {
        "trainable": lambda name: Subsampling(2, coefficient=coefficient, name=name),
        "average": lambda name: AvgPool2D(2, name=name),
        "max": lambda name: MaxPool2D(2, name=name),
    }
    pool = pools[subsampling]
    # The squash follows C1 and C3 as well: the paper's text names it for every layer up to F6.
    layers: list[Layer] = [
        Conv2D(6, 5, init=draw, name="C1"),
        ScaledTanh(),
        pool("S2"),
        ScaledTanh(),
        Conv2D(16, 5, table=TABLE_I, init=draw, name="C3"),
        ScaledTanh(),
        pool("S4"),
        ScaledTanh(),
        Conv2D(120, 5, init=draw, name="C5"),
        ScaledTanh(),
        Dense(84, init=draw, name="F6"),
        ScaledTanh(),
        RBF(codes, name="output") if output == "rbf" else Dense(len(codes), init=draw, name="output"),
    ]
    spec = {"name": "lenet5", "subsampling": subsampling, "output": output, "codes": codes, "init": init}
    net = Sequential(layers, prepare=prepare, spec={**spec, "coefficient": float(coefficient)})
    net.build((1, 32, 32), dtype=dtype, rng=np.random.default_rng(seed))
    return net


MODELS: dict[str, Callable[..., Sequential]] = {"lenet5": lenet5}


def from_spec(spec: dict[str, Any], **more: Any) -> Sequential:
    """Build the network that a `Sequential.spec` describes.

    Parameters
    ----------
    spec : dict
        ``name``, a key of `MODELS`, and the options of that builder.
    **more
        Further options, such as ``seed``.

    Raises
    ------
    ConfigError
        If there is no such network or option.
    """
    options = dict(spec)
    name = options.pop("name", None)
    _one_of("name of the network", name, tuple(MODELS))
    try:
        return MODELS[name](**options, **more)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The network {name!r} cannot be built from {options}: {error}.") from error


def _one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{what} is one of {', '.join(known)}; found {value!r}.")
