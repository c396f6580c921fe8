"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998) from scratch on NumPy.

    >>> import lenet5
    >>> net = lenet5.pretrained()
    >>> net.predict(images)                      # doctest: +SKIP

Everything is imported at its first use: ``import lenet5`` itself loads neither Numba nor Matplotlib.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bitmaps, datasets, errors, gradcheck, kernels, layers, losses, models, optim, plots
    from .callbacks import Callback
    from .datasets import Dataset, prepare_digit
    from .errors import ConfigError, LenetError, ShapeError
    from .layers import (
        RBF,
        AvgPool2D,
        Conv2D,
        Dense,
        Flatten,
        Layer,
        MaxPool2D,
        ReLU,
        ScaledTanh,
        Sigmoid,
        Subsampling,
        Tanh,
    )
    from .losses import MAP, MLE, SoftmaxCrossEntropy
    from .models import lenet5
    from .network import Sequential
    from .optim import SDLM, SGD
    from .parameter import Parameter
    from .storage import load, pretrained, save
    from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "MAP",
    "MLE",
    "RBF",
    "SDLM",
    "SGD",
    "AvgPool2D",
    "Callback",
    "ConfigError",
    "Conv2D",
    "Dataset",
    "Dense",
    "Flatten",
    "Layer",
    "LenetError",
    "MaxPool2D",
    "Parameter",
    "ReLU",
    "ScaledTanh",
    "Sequential",
    "ShapeError",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Subsampling",
    "Tanh",
    "Trainer",
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
    "layers": (
        "RBF", "AvgPool2D", "Conv2D", "Dense", "Flatten", "Layer", "MaxPool2D", "ReLU", "ScaledTanh", "Sigmoid",
        "Subsampling", "Tanh",
    ),
    "losses": ("MAP", "MLE", "SoftmaxCrossEntropy"),
    "models": ("lenet5",),
    "network": ("Sequential",),
    "optim": ("SDLM", "SGD"),
    "parameter": ("Parameter",),
    "storage": ("load", "pretrained", "save"),
    "trainer": ("Trainer",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name in __all__ or name in ("callbacks", "checkpoint", "config", "init", "reports", "storage"):
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'lenet5' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
