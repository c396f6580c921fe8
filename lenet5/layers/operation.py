"""Descriptions of the layers' operations in evaluation mode: ten types, all of which every exporter supports.

A layer returns its operation from `Layer.operation`. `lenet5.export`, `lenet5.interop` and `lenet5.page` translate
operations and do not depend on layer classes. Arrays are copies in the network's dtype, indexed as in
`lenet5.layers.base`.
"""

from typing import Literal, NamedTuple

import numpy as np

__all__ = [
    "Convolution",
    "Copies",
    "Distances",
    "Dropping",
    "Flattening",
    "FullConnection",
    "Normalisation",
    "Operation",
    "Padding",
    "Pooling",
    "Squash",
]

Pair = tuple[int, int]


class Convolution(NamedTuple):
    """y[o] = bias[o] + sum_c weight[o, c] * x[c], a cross-correlation, on zero-padded x.

    Attributes
    ----------
    weight : ndarray (O, C, kh, kw)
        Kernels; weights of missing connections are 0.
    bias : ndarray (O,)
    stride : (int, int)
        Vertical and horizontal stride.
    frame : (int, int, int, int)
        Widths of the zero padding at the top, left, bottom and right.
    table : boolean ndarray (C, O), optional
        Whether input map c is connected to output map o, as in Table I; None if all pairs are connected.
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: Pair
    frame: tuple[int, int, int, int]
    table: np.ndarray | None = None


class Pooling(NamedTuple):
    """y[c] = scale[c] * (sum, mean or maximum of each window of x[c]) + shift[c]; scale and shift may be None.

    Windows are square; rows and columns that do not fill a window are ignored.
    """

    kind: Literal["sum", "mean", "max"]
    size: int
    stride: int
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None


class FullConnection(NamedTuple):
    """y = weight x + bias, with weight (O, D), applied at each position of maps (D, H, W)."""

    weight: np.ndarray
    bias: np.ndarray


class Distances(NamedTuple):
    """y_i = sum_j (x_j - codes_ij)^2 (eq. 7), with codes (classes, D)."""

    codes: np.ndarray


class Normalisation(NamedTuple):
    """y[c] = weight[c] (x[c] - mean[c]) / sqrt(variance[c] + epsilon) + bias[c]; `momentum` as in `BatchNorm`."""

    mean: np.ndarray
    variance: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    epsilon: float
    momentum: float


class Squash(NamedTuple):
    """y = f(x), elementwise.

    Attributes
    ----------
    name : str
        "tanh" is y = a tanh(s x). "leaky-relu" is y = x for x > 0, else alpha x. "elu" is y = x for x > 0, else
        alpha (exp(x) - 1). "prelu" is "leaky-relu" with one alpha per map.
    numbers : tuple of float
        Constants of the function: (a, s) for "tanh", (alpha,) for "leaky-relu" and "elu".
    slopes : ndarray (C,), optional
        Values of alpha for "prelu".
    """

    name: Literal["tanh", "sigmoid", "relu", "leaky-relu", "elu", "prelu"]
    numbers: tuple[float, ...] = ()
    slopes: np.ndarray | None = None


class Padding(NamedTuple):
    """Zero padding of maps; `frame` contains its widths at the top, left, bottom and right."""

    frame: tuple[int, int, int, int]


class Copies(NamedTuple):
    """y[c] = x[c // copies]."""

    copies: int


class Flattening(NamedTuple):
    """Flattening of maps (C, H, W) into one vector, map by map and row by row."""


class Dropping(NamedTuple):
    """y = x; in training, a fraction `rate` of the elements is dropped."""

    rate: float


Operation = (
    Convolution
    | Pooling
    | FullConnection
    | Distances
    | Normalisation
    | Squash
    | Padding
    | Copies
    | Flattening
    | Dropping
)
