"""The training loop, what attends it, and how batches are shared out among threads and machines."""

from .record import History
from .trainer import Callback, Phase, Trainer

__all__ = ["Callback", "History", "Phase", "Trainer"]
