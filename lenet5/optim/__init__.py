"""Optimisers and learning-rate schedules; they know parameters, never layers or data."""

from . import schedule
from .adaptive import Adagrad, Adam, RMSprop
from .base import Optimizer
from .sdlm import SDLM
from .sgd import SGD

__all__ = ["SDLM", "SGD", "Adagrad", "Adam", "Optimizer", "RMSprop", "schedule"]
