"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998) from scratch on NumPy.

    >>> import lenet5
    >>> net = lenet5.pretrained()
    >>> net.predict(images)                      # doctest: +SKIP

Everything is imported at its first use: ``import lenet5`` itself loads neither Numba nor Matplotlib.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        analysis,
        bitmaps,
        datasets,
        engine,
        errors,
        gradcheck,
        initializers,
        layers,
        losses,
        models,
        optim,
        plots,
        training,
    )
    from . import engine as kernels
    from .analysis import metrics
    from .datasets import Dataset, prepare_digit
    from .errors import ConfigError, LenetError, ShapeError
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
    from .models.weights import load, pretrained, save
    from .network import Sequential
    from .optim import SDLM, SGD, Adagrad, Adam, RMSprop
    from .parameter import Parameter
    from .sklearn import LeNet5Classifier
    from .training import Callback, Trainer

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
    "analysis",
    "bitmaps",
    "datasets",
    "engine",
    "errors",
    "gradcheck",
    "initializers",
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
    "training",
]

_HOME = {
    "datasets": ("Dataset", "prepare_digit"),
    "errors": ("ConfigError", "LenetError", "ShapeError"),
    "layers": (
        "ELU", "RBF", "AvgPool2D", "BatchNorm", "Conv2D", "Dense", "Dropout", "Flatten", "Layer", "LeakyReLU",
        "MaxPool2D", "PReLU", "ReLU", "Repeat", "ScaledTanh", "Sigmoid", "Subsampling", "Tanh", "ZeroPad2D",
    ),
    "losses": ("MAP", "MLE", "SoftmaxCrossEntropy", "SquaredError"),
    "models": ("lenet5",),
    "models.weights": ("load", "pretrained", "save"),
    "network": ("Sequential",),
    "optim": ("SDLM", "SGD", "Adagrad", "Adam", "RMSprop"),
    "parameter": ("Parameter",),
    "sklearn": ("LeNet5Classifier",),
    "training": ("Callback", "Trainer"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
# Modules under the names that they had at the top of the package before each got a room.
_MOVED = {
    "callbacks": "training.callbacks",
    "checkpoint": "training.checkpoint",
    "config": "run.config",
    "fields": "analysis.receptive_fields",
    "init": "initializers",
    "kernels": "engine",
    "metrics": "analysis.metrics",
    "reports": "training.reports",
    "robustness": "analysis.robustness",
    "runs": "run.build",
    "sdnn": "analysis.sdnn",
    "storage": "models.weights",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name in __all__ or name in _MOVED:
        value = importlib.import_module(f".{_MOVED.get(name, name)}", __name__)
    else:
        raise AttributeError(f"module 'lenet5' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
