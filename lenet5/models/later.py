"""Networks of other projects that are known as LeNet; each builder is named after its source."""

from typing import Any, Literal, get_args

import numpy as np

from ..layers import (
    RBF,
    TABLE_I,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    ScaledTanh,
    ZeroPad2D,
)
from ..network import Sequential
from .build import ACTIVATIONS, POOLS, codes_of, initializer, network, one_of, size_of_s4

__all__ = ["VARIATIONS", "caffe", "cifar10", "d2l", "mattwang44", "tensorflow_tutorial"]

Variation = Literal["original", "third-stage", "7x7", "half-width", "sigmoid", "dense-128", "extra-dense"]
VARIATIONS: tuple[str, ...] = get_args(Variation)


def mattwang44(
    *,
    init: str = "gaussian",
    bias: float = 0.01,
    channels: int = 1,
    size: int = 32,
    classes: int = 10,
    scale: str = "paper",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the network of mattwang44/LeNet-from-Scratch (2018): LeNet-5 with average pooling, 59,956 parameters.

    There is no squashing function after pooling. In the original, F6 trains a bias but never adds it; here it is added.

    Parameters
    ----------
    init : str
        Initialiser; the original uses a Gaussian with standard deviation 0.1.
    bias : float
        Initial value of the biases.
    channels, size, classes, scale, dtype, seed
        As for `lenet5`.

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
        Conv2D(6, 5, init=draw, bias=bias, name="C1"),
        ScaledTanh(),
        AvgPool2D(2, name="S2"),
        Conv2D(16, 5, table=TABLE_I, init=draw, bias=bias, name="C3"),
        ScaledTanh(),
        AvgPool2D(2, name="S4"),
        Conv2D(120, size_of_s4(size), init=draw, bias=bias, name="C5"),
        ScaledTanh(),
        Dense(84, init=draw, bias=bias, name="F6"),
        ScaledTanh(),
        RBF(codes_of(classes), name="output"),
    ]
    spec = {"name": "lenet5-mattwang44", "init": init, "bias": float(bias), "classes": int(classes)}
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def caffe(
    *,
    init: str = "xavier",
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    scale: str = "unit",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the 20-50-500 network of Caffe's examples, with the padding of its Keras ports: 1,256,080 parameters.

    Parameters
    ----------
    init : str
        Initialiser; the default is Xavier's uniform rule, as in Keras.
    channels, size, classes, scale, dtype, seed
        As for `lenet5`.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size) and scores as outputs.

    Raises
    ------
    ConfigError, ShapeError
        As for `lenet5`.
    """
    draw = initializer(init)
    layers: list[Layer] = [
        Conv2D(20, 5, padding="same", init=draw, name="conv1"),
        ReLU(),
        MaxPool2D(2, name="pool1"),
        Conv2D(50, 5, padding="same", init=draw, name="conv2"),
        ReLU(),
        MaxPool2D(2, name="pool2"),
        Flatten(),
        Dense(500, init=draw, name="dense1"),
        ReLU(),
        Dense(classes, init=draw, name="output"),
    ]
    spec = {"name": "caffe", "init": init, "classes": int(classes)}
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def tensorflow_tutorial(
    *,
    variation: Variation = "original",
    init: str = "truncated-normal",
    bias: float = 0.1,
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    scale: str = "unit",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the 32-64-1024 network of TensorFlow's first tutorial (3,274,634 parameters), or a variation of it.

    The six variations are those of LuxxxLucy/mnist_LeNet (2017).

    Parameters
    ----------
    variation : str
        "original"; "third-stage" adds a convolution with 128 maps and pooling with stride 1; "7x7" has 7x7 kernels in
        the second convolution; "half-width" has 16 and 32 maps; "sigmoid" replaces every ReLU with a sigmoid;
        "dense-128" has 128 fully connected units instead of 1,024; "extra-dense" adds a layer of 128 units after the
        layer of 1,024.
    init : str
        Initialiser; the original uses a truncated normal with standard deviation 0.1.
    bias : float
        Initial value of the biases.
    channels, size, classes, scale, dtype, seed
        As for `lenet5`.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size) and scores as outputs.

    Raises
    ------
    ConfigError, ShapeError
        As for `lenet5`.
    """
    one_of("variation", variation, VARIATIONS)
    start: Any = {"init": initializer(init), "bias": bias}
    activation = ACTIVATIONS["sigmoid" if variation == "sigmoid" else "relu"]
    first, second = (16, 32) if variation == "half-width" else (32, 64)
    layers: list[Layer] = [
        Conv2D(first, 5, padding="same", **start, name="conv1"),
        activation(),
        MaxPool2D(2, name="pool1"),
        Conv2D(second, 7 if variation == "7x7" else 5, padding="same", **start, name="conv2"),
        activation(),
        MaxPool2D(2, name="pool2"),
    ]
    if variation == "third-stage":
        layers += [Conv2D(128, 5, padding="same", **start, name="conv3"), activation()]
        # "Same" pooling with stride 1: after ReLU, zero padding does not change a maximum.
        layers += [ZeroPad2D(bottom=1, right=1), MaxPool2D(2, stride=1, name="pool3")]
    layers += [Flatten(), Dense(128 if variation == "dense-128" else 1024, **start, name="dense1"), activation()]
    if variation == "extra-dense":
        layers += [Dense(128, **start, name="dense2"), activation()]
    layers.append(Dense(classes, **start, name="output"))
    spec: dict[str, Any] = {"name": "tensorflow-tutorial", "variation": variation, "init": init, "bias": float(bias)}
    spec |= {"classes": int(classes)}
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def d2l(
    *,
    activation: str = "sigmoid",
    subsampling: Literal["average", "max"] = "average",
    norm: bool = False,
    dropout: float = 0.0,
    init: str = "xavier",
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    scale: str = "unit",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the LeNet of the textbook Dive into Deep Learning, with 61,706 parameters.

    C3 is connected to all maps of S2, and the outputs are scores for softmax.

    Parameters
    ----------
    activation : str
        Key of `ACTIVATIONS`; the book uses "sigmoid" first and "relu" later.
    subsampling : {"average", "max"}
        Pooling in S2 and S4, without a squashing function.
    norm : bool
        Whether to use batch normalisation before every activation.
    dropout : float
        Fraction of the units of C5 and F6 that are dropped during training.
    init : str
        Initialiser; the book uses Xavier's uniform rule, and "he" is suitable for ReLU.
    channels, size, classes, scale, dtype, seed
        As for `lenet5`; images of 28x28 are padded to 32x32 in C1.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size) and scores as outputs.

    Raises
    ------
    ConfigError, ShapeError
        As for `lenet5`.
    """
    layers, spec = _modern(activation, subsampling, norm, dropout, init, classes, padding=2)
    spec["name"] = "d2l"
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def cifar10(
    *,
    activation: str = "relu",
    subsampling: Literal["average", "max"] = "max",
    norm: bool = False,
    dropout: float = 0.0,
    init: str = "he",
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    scale: str = "signed",
    dtype: np.typing.DTypeLike = np.float32,
    seed: int | np.random.Generator = 0,
) -> Sequential:
    """Build the three-channel LeNet of PyTorch's first tutorial, for CIFAR-10: 62,006 parameters.

    Parameters
    ----------
    activation, subsampling, norm, dropout, init, channels, size, classes, scale, dtype, seed
        As for `d2l`, but without padding, because the images are 32x32.

    Returns
    -------
    Sequential
        Network with input x (N, channels, size, size) and scores as outputs.

    Raises
    ------
    ConfigError, ShapeError
        As for `lenet5`.
    """
    layers, spec = _modern(activation, subsampling, norm, dropout, init, classes, padding=0)
    spec["name"] = "lenet5-cifar10"
    return network(layers, channels=channels, size=size, scale=scale, spec=spec, dtype=dtype, seed=seed)


def _modern(
    activation: str, subsampling: str, norm: bool, dropout: float, init: str, classes: int, *, padding: int
) -> tuple[list[Layer], dict[str, Any]]:
    """Return the layers of a LeNet-5 whose outputs are scores, and the options that define them."""
    one_of("activation", activation, tuple(ACTIVATIONS))
    one_of("subsampling", subsampling, ("average", "max"))
    draw, pool = initializer(init), POOLS[subsampling]

    def squash() -> list[Layer]:
        return [BatchNorm(), ACTIVATIONS[activation]()] if norm else [ACTIVATIONS[activation]()]

    def drop() -> list[Layer]:
        return [Dropout(dropout)] if dropout else []

    layers: list[Layer] = [
        Conv2D(6, 5, padding=padding, init=draw, name="C1"),
        *squash(),
        pool(2, name="S2"),
        Conv2D(16, 5, init=draw, name="C3"),
        *squash(),
        pool(2, name="S4"),
        Flatten(),
        Dense(120, init=draw, name="C5"),
        *squash(),
        *drop(),
        Dense(84, init=draw, name="F6"),
        *squash(),
        *drop(),
        Dense(classes, init=draw, name="output"),
    ]
    spec = {"activation": activation, "subsampling": subsampling, "norm": bool(norm), "dropout": float(dropout)}
    return layers, spec | {"init": init, "classes": int(classes)}
