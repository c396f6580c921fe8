"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998) from scratch on NumPy.

    >>> import lenet5
    >>> net = lenet5.pretrained()
    >>> net.predict(images)                      # doctest: +SKIP

Names are imported on first use, so ``import lenet5`` itself loads neither Numba nor Matplotlib.
"""

import importlib
from typing import Any

import lazy_loader

__version__ = "1.0.0"

# The public names are listed once, in __init__.pyi.
_find, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)
# Old top-level names of modules that have since moved into packages.
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
    if name in _MOVED:
        return importlib.import_module(f".{_MOVED[name]}", __name__)
    try:
        return _find(name)
    except AttributeError:
        raise AttributeError(f"module 'lenet5' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted(__all__)
