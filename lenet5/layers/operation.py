"""Operations: what a layer computes in the evaluating state, in ten forms that every exporter knows.

A layer names its operation in `Layer.operation`; `lenet5.export`, `lenet5.interop` and the page translate operations,
and know no layer. Arrays are copies in the network's dtype, indexed as in `lenet5.layers.base`.
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
    """y[o] = bias[o] + sum_c weight[o, c] * x[c], a correlation, on x within a frame of zeros.

    Attributes
    ----------
    weight : ndarray (O, C, kh, kw)
        Zeros where nothing is connected.
    bias : ndarray (O,)
    stride : (int, int)
        Down and right.
    frame : (int, int, int, int)
        Zeros at the top, left, bottom and right.
    table : boolean ndarray (C, O), optional
        Which inputs each map is connected to, such as Table I; None for all.
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: Pair
    frame: tuple[int, int, int, int]
    table: np.ndarray | None = None


class Pooling(NamedTuple):
    """y[c] = scale[c] * (sum, mean or maximum of each window of x[c]) + shift[c]; scale and shift may be None.

    Windows are square, and rows and columns that fill none are left out.
    """

    kind: Literal["sum", "mean", "max"]
    size: int
    stride: int
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None


class FullConnection(NamedTuple):
    """y = weight x + bias, with weight (O, D); at each position of maps (D, H, W)."""

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
    """y = f(x) cell by cell.

    Attributes
    ----------
    name : str
        "tanh": a tanh(s x) of numbers (a, s); "sigmoid"; "relu"; "leaky-relu": x or, below 0, alpha x of numbers
        (alpha,); "elu": x or, below 0, alpha (exp(x) - 1); "prelu": as "leaky-relu", with one alpha for each map.
    numbers : tuple of float
    slopes : ndarray (C,), optional
        The alphas of "prelu".
    """

    name: Literal["tanh", "sigmoid", "relu", "leaky-relu", "elu", "prelu"]
    numbers: tuple[float, ...] = ()
    slopes: np.ndarray | None = None


class Padding(NamedTuple):
    """Zeros around maps: `frame` has the widths at the top, left, bottom and right."""

    frame: tuple[int, int, int, int]


class Copies(NamedTuple):
    """y[c] = x[c // copies]."""

    copies: int


class Flattening(NamedTuple):
    """Maps (C, H, W) as one vector, map by map and row by row."""


class Dropping(NamedTuple):
    """y = x; in training a share `rate` of the cells is dropped."""

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
