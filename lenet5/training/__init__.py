"""The training loop, its callbacks, and the distribution of batches over threads and machines."""

from .record import History
from .trainer import Callback, Phase, Trainer

__all__ = ["Callback", "History", "Phase", "Trainer"]
