"""Optimisers and learning-rate schedules, which are independent of layers and data."""

from . import schedule
from .adaptive import Adagrad, Adam, RMSprop
from .base import Optimizer
from .schedule import SCHEDULES
from .sdlm import SDLM
from .sgd import SGD

# Optimisers by name. The command line, configuration files and the scikit-learn estimator use these names.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sdlm": SDLM,
    "sgd": SGD,
    "adam": Adam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}

__all__ = ["OPTIMIZERS", "SCHEDULES", "SDLM", "SGD", "Adagrad", "Adam", "Optimizer", "RMSprop", "schedule"]
