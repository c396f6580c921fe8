"""Layers of networks, each a class with hand-written `forward`, `backward` and `bbprop`."""

from .activation import ScaledTanh, Sigmoid, Tanh
from .base import Layer
from .batch_norm import BatchNorm
from .conv import Conv2D
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .pad import ZeroPad2D
from .pool import AvgPool2D, MaxPool2D
from .rbf import RBF
from .rectifier import ELU, LeakyReLU, PReLU, ReLU
from .registry import LAYERS, register
from .repeat import Repeat
from .subsample import Subsampling
from .table import TABLE_I

__all__ = [
    "ELU",
    "LAYERS",
    "RBF",
    "TABLE_I",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "PReLU",
    "ReLU",
    "Repeat",
    "ScaledTanh",
    "Sigmoid",
    "Subsampling",
    "Tanh",
    "ZeroPad2D",
    "register",
]

for _kind in [globals()[_name] for _name in __all__]:
    if isinstance(_kind, type) and _kind is not Layer:
        register(_kind)
