"""Optimisers and learning-rate schedules; they know parameters, never layers or data."""

from . import schedule
from .adaptive import Adagrad, Adam, RMSprop
from .base import Optimizer
from .schedule import SCHEDULES
from .sdlm import SDLM
from .sgd import SGD

# The names of the command line, of configuration files and of the estimator.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sdlm": SDLM,
    "sgd": SGD,
    "adam": Adam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}

__all__ = ["OPTIMIZERS", "SCHEDULES", "SDLM", "SGD", "Adagrad", "Adam", "Optimizer", "RMSprop", "schedule"]
