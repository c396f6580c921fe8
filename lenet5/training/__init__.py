"""The training loop, what attends it, and how batches are shared out among threads and machines."""

from .callbacks import Callback
from .trainer import Trainer

__all__ = ["Callback", "Trainer"]
