"""Optimisers and learning-rate schedules; they know parameters, never layers or data."""

from . import schedule
from .base import Optimizer
from .sdlm import SDLM
from .sgd import SGD

__all__ = ["SDLM", "SGD", "Optimizer", "schedule"]
