"""The training loop, what attends it, and how batches are shared out among threads and machines."""

from .trainer import Callback, Phase, Trainer

__all__ = ["Callback", "Phase", "Trainer"]
