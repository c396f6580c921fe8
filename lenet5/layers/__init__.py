"""One class per layer, each with hand-written `forward`, `backward` and `bbprop`."""

from .activation import ReLU, ScaledTanh, Sigmoid, Tanh
from .base import Layer
from .conv import TABLE_I, Conv2D
from .dense import Dense
from .flatten import Flatten
from .pool import MaxPool2D
from .rbf import RBF
from .subsample import AvgPool2D, Subsampling

__all__ = [
    "RBF",
    "TABLE_I",
    "AvgPool2D",
    "Conv2D",
    "Dense",
    "Flatten",
    "Layer",
    "MaxPool2D",
    "ReLU",
    "ScaledTanh",
    "Sigmoid",
    "Subsampling",
    "Tanh",
]
