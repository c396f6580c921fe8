"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998) from scratch on NumPy.

    >>> import lenet5
    >>> net = lenet5.pretrained()
    >>> net.predict(images)                      # doctest: +SKIP

Everything is imported at its first use: ``import lenet5`` itself loads neither Numba nor Matplotlib.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bitmaps, datasets, errors, gradcheck, kernels, layers, losses, metrics, models, optim, plots
    from .callbacks import Callback
    from .datasets import Dataset, prepare_digit
    from .errors import ConfigError, LenetError, ShapeError
    from .estimator import LeNet5Classifier
    from .layers import (
        ELU,
        RBF,
        AvgPool2D,
        BatchNorm,
        Conv2D,
        Dense,
        Dropout,
        Flatten,
        Layer,
        LeakyReLU,
        MaxPool2D,
        PReLU,
        ReLU,
        Repeat,
        ScaledTanh,
        Sigmoid,
        Subsampling,
        Tanh,
        ZeroPad2D,
    )
    from .losses import MAP, MLE, SoftmaxCrossEntropy, SquaredError
    from .models import lenet5
    from .network import Sequential
    from .optim import SDLM, SGD, Adagrad, Adam, RMSprop
    from .parameter import Parameter
    from .storage import load, pretrained, save
    from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "MAP",
    "MLE",
    "RBF",
    "SDLM",
    "SGD",
    "Adagrad",
    "Adam",
    "AvgPool2D",
    "BatchNorm",
    "Callback",
    "ConfigError",
    "Conv2D",
    "Dataset",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LeNet5Classifier",
    "LeakyReLU",
    "LenetError",
    "MaxPool2D",
    "PReLU",
    "Parameter",
    "RMSprop",
    "ReLU",
    "Repeat",
    "ScaledTanh",
    "Sequential",
    "ShapeError",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "Subsampling",
    "Tanh",
    "Trainer",
    "ZeroPad2D",
    "__version__",
    "bitmaps",
    "datasets",
    "errors",
    "gradcheck",
    "kernels",
    "layers",
    "lenet5",
    "load",
    "losses",
    "metrics",
    "models",
    "optim",
    "plots",
    "prepare_digit",
    "pretrained",
    "save",
]

_HOME = {
    "callbacks": ("Callback",),
    "datasets": ("Dataset", "prepare_digit"),
    "errors": ("ConfigError", "LenetError", "ShapeError"),
    "estimator": ("LeNet5Classifier",),
    "layers": (
        "ELU", "RBF", "AvgPool2D", "BatchNorm", "Conv2D", "Dense", "Dropout", "Flatten", "Layer", "LeakyReLU",
        "MaxPool2D", "PReLU", "ReLU", "Repeat", "ScaledTanh", "Sigmoid", "Subsampling", "Tanh", "ZeroPad2D",
    ),
    "losses": ("MAP", "MLE", "SoftmaxCrossEntropy", "SquaredError"),
    "models": ("lenet5",),
    "network": ("Sequential",),
    "optim": ("SDLM", "SGD", "Adagrad", "Adam", "RMSprop"),
    "parameter": ("Parameter",),
    "storage": ("load", "pretrained", "save"),
    "trainer": ("Trainer",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name in __all__ or name in (
        "callbacks",
        "checkpoint",
        "config",
        "fields",
        "init",
        "reports",
        "robustness",
        "runs",
        "sdnn",
        "storage",
    ):
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'lenet5' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
