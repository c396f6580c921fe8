"""The networks of the 1998 paper: LeNet-5, LeNet-4 and LeNet-1 (section III-C)."""

from typing import Any, Literal

import numpy as np

from ..errors import ConfigError
from ..layers import RBF, TABLE_I, Conv2D, Dense, Flatten, Layer, Repeat, ScaledTanh, Subsampling
from ..network import Sequential
from .build import POOLS, codes_of, initializer, network, one_of, size_of_s4

__all__ = ["Output", "Pooling", "lenet1", "lenet4", "lenet5"]

Pooling = Literal["trainable", "average", "max"]
Output = Literal["rbf", "softmax", "dense"]

# Connections of C3 in LeNet-1, from LeCun et al. 1990; the 1998 paper omits them. Rows are maps of S2,
# columns are maps of C3.
TABLE_LENET1 = """
    X X X . X X . . . . . .
    . X X X X X . . . . . .
    . . . . . . X X X . X X
    . . . . . . . X X X X X
"""
# Connections of C3 in LeNet-4. The paper gives no table; its figure of 260,000 connections results if each map of
# C3 is connected to three of the eight maps of S2.
TABLE_LENET4 = """
    X . . . . . X X X . . . X . X .
    X X . . . . . X . X . . . X . X
    X X X . . . . . X . X . X . X .
    . X X X . . . . . X . X . X . X
    . . X X X . . . X . X . X . . .
    . . . X X X . . . X . X . X . .
    . . . . X X X . . . X . . . X .
    . . . . . X X X . . . X . . . X
"""


def lenet5(
    *,
    subsampling: Pooling = "trainable",
    output: Output = "rbf",
    codes: str = "",
    init: str | None = None,
    coefficient: float = 1.0,
    channels: int = 1,
    size: int = 32,
    classes: int | None = None,
    scale: str = "paper",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the network of the paper's Fig. 2: 60,000 trainable parameters, 340,908 connections.

    Parameters
    ----------
    subsampling : {"trainable", "average", "max"}
        Type of S2 and S4: "trainable", as in the paper, with a coefficient and a bias per map; or fixed pooling.
    output : {"rbf", "softmax", "dense"}
        Ten RBF units (eq. 7); ten scores for softmax cross-entropy; or ten units with a squashing function
        for `SquaredError` (the place code of section II.B).
    codes : str
        One character per class; the bitmaps of these characters are the RBF centres. Default: the
        first `classes` characters of `CHARACTERS` (0-9, A-Z, a-z, punctuation).
    init : str, optional
        Key of `lenet5.initializers.INITIALIZERS` for the weights; "paper" is the paper's rule. Default: "fan-in",
        or "fan-in-2.4" with average pooling, which divides signals by four.
    coefficient : float
        Initial value of the coefficients of S2 and S4; the paper does not give it.
    channels, size : int
        Size of the input (channels, size, size), in which smaller images are centred.
    classes : int, optional
        Number of classes. Default: the number of codes, or 10.
    scale : str
        Key of `lenet5.datasets.preparation.SCALES`, the range of the scaled grey levels.
    dtype : float32 or float64
    seed : int or numpy.random.Generator
        Seed or generator for the initial weights.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size), whose layers have the paper's names, as in ``net["C3"]``.
        Since C5 is a convolution, larger images produce maps of outputs.

    Raises
    ------
    ConfigError
        If an option is invalid, or there are more classes than codes.
    ShapeError
        If the images are too small for the layers.
    """
    one_of("subsampling", subsampling, tuple(POOLS))
    one_of("output", output, ("rbf", "softmax", "dense"))
    if output == "rbf":
        codes = codes_of(classes, codes)
    classes = len(codes) or 10 if classes is None else classes
    init = init or ("fan-in-2.4" if subsampling == "average" else "fan-in")
    draw = initializer(init)
    if subsampling != "trainable" and coefficient != 1.0:
        raise ConfigError(
            f"coefficient applies only to trainable sub-sampling; found {coefficient!r} with {subsampling} pooling."
        )
    options = {"coefficient": coefficient} if subsampling == "trainable" else {}
    # The squashing function also follows C1 and C3: the paper's text requires it for every layer up to F6.
    layers: list[Layer] = [
        Conv2D(6, 5, init=draw, name="C1"),
        ScaledTanh(),
        POOLS[subsampling](2, **options, name="S2"),
        ScaledTanh(),
        Conv2D(16, 5, table=TABLE_I, init=draw, name="C3"),
        ScaledTanh(),
        POOLS[subsampling](2, **options, name="S4"),
        ScaledTanh(),
        Conv2D(120, size_of_s4(size), init=draw, name="C5"),
        ScaledTanh(),
        Dense(84, init=draw, name="F6"),
        ScaledTanh(),
        RBF(codes, name="output") if output == "rbf" else Dense(classes, init=draw, name="output"),
    ]
    if output == "dense":
        layers.append(ScaledTanh())
    spec: dict[str, Any] = {
        "name": "lenet5",
        "subsampling": subsampling,
        "output": output,
        "codes": codes if output == "rbf" else "",
        "init": init,
    }
    spec |= {"coefficient": float(coefficient), "classes": classes}
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def lenet4(
    *,
    init: str = "fan-in",
    coefficient: float = 1.0,
    channels: int = 1,
    size: int = 32,
    classes: int = 10,
    scale: str = "paper",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build LeNet-4: 4 maps, 8 sub-sampling maps (two per map), 16 maps, 16 sub-sampling maps, 120 units, 10 units.

    The paper gives only these sizes and "about 260,000 connections and 17,000 parameters". If each map of C3 is
    connected to three of the eight maps of S2, there are 262,306 connections. 17,000 parameters are impossible: 120
    units connected to 16 maps of 5x5 already have 48,120, and the network has 50,698.

    Parameters
    ----------
    init, coefficient, channels, size, classes, scale, dtype, seed
        As for `lenet5`; the outputs are ten units with a squashing function, for `SquaredError`.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size).

    Raises
    ------
    ConfigError, ShapeError
        As for `lenet5`.
    """
    draw = initializer(init)
    layers: list[Layer] = [
        Conv2D(4, 5, init=draw, name="C1"),
        ScaledTanh(),
        Repeat(2),
        Subsampling(2, coefficient=coefficient, name="S2"),
        ScaledTanh(),
        Conv2D(16, 5, table=TABLE_LENET4, init=draw, name="C3"),
        ScaledTanh(),
        Subsampling(2, coefficient=coefficient, name="S4"),
        ScaledTanh(),
        Conv2D(120, size_of_s4(size), init=draw, name="C5"),
        ScaledTanh(),
        Dense(classes, init=draw, name="output"),
        ScaledTanh(),
    ]
    spec = {"name": "lenet4", "init": init, "coefficient": float(coefficient), "classes": int(classes)}
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def lenet1(
    *,
    init: str = "fan-in",
    coefficient: float = 1.0,
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    scale: str = "paper",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build LeNet-1: 2,578 parameters and 98,442 connections (the paper: "2,600" and "100,000").

    The paper reduces digits to 16x16 pixels in images of 28x28, as ``datasets.transform(images, scale=0.8)`` does.
    In the table of ``python -m lenet5.reproduce run paper-fig9``, LeNet-1 is trained on such images.

    Parameters
    ----------
    init, coefficient, channels, size, classes, scale, dtype, seed
        As for `lenet5`; the outputs are ten units with a squashing function, for `SquaredError`.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size).

    Raises
    ------
    ConfigError, ShapeError
        As for `lenet5`.
    """
    draw = initializer(init)
    layers: list[Layer] = [
        Conv2D(4, 5, init=draw, name="C1"),
        ScaledTanh(),
        Subsampling(2, coefficient=coefficient, name="S2"),
        ScaledTanh(),
        Conv2D(12, 5, table=TABLE_LENET1, init=draw, name="C3"),
        ScaledTanh(),
        Subsampling(2, coefficient=coefficient, name="S4"),
        ScaledTanh(),
        Flatten(),
        Dense(classes, init=draw, name="output"),
        ScaledTanh(),
    ]
    spec = {"name": "lenet1", "init": init, "coefficient": float(coefficient), "classes": int(classes)}
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)
