"""Average the weights over several epochs."""

import operator
from typing import Any

import numpy as np

from ..errors import ConfigError
from .hooks import Callback, Phase
from .trainer import Trainer

__all__ = ["AverageWeights"]


class AverageWeights(Callback):
    """Replace the final weights by the mean of the weights after each of the last epochs (Izmailov et al. 2018).

    While the learning rate is above 0, the weights move around a minimum, and their mean is closer to it than the
    weights of a single epoch. The mean replaces the weights after the last epoch, before evaluation. A run that stops
    earlier keeps its current weights.

    Parameters
    ----------
    share : float
        Fraction of the epochs to average, counted from the end, above 0 and at most 1. At least one epoch is used.

    Raises
    ------
    ConfigError
        If `share` is out of range, or, at the start of training, if the network has running statistics (`BatchNorm`),
        which cannot be averaged with the weights.
    """

    phase = Phase.PREPARE

    def __init__(self, share: float = 0.25) -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"AverageWeights: share must be above 0 and at most 1; found {share!r}.")
        self.share, self.count = share, 0
        self._sum = np.zeros(0)

    def on_train_begin(self, trainer: Trainer) -> None:
        """Raise ConfigError if the network has running statistics."""
        if trainer.net.running():
            raise ConfigError(
                "Weights cannot be averaged if the network has running statistics (BatchNorm). Remove these layers, or "
                "train without averaging."
            )

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Add the weights to the sum; after the last epoch, replace them by the mean."""
        if trainer.epoch <= trainer.epochs - max(round(trainer.epochs * self.share), 1):
            return
        total = self.arrays(trainer)["sum"]
        total += trainer.net.theta
        self.count += 1
        if trainer.epoch == trainer.epochs:
            trainer.net.theta[...] = total / self.count
            trainer.net.parameters().hold()  # keep pruned weights at 0
            total[...], self.count = 0.0, 0

    def arrays(self, trainer: Trainer) -> dict[str, np.ndarray]:
        """Return the running sum of the weights, float64 (parameters,)."""
        if self._sum.size != trainer.net.theta.size:
            self._sum = np.zeros(trainer.net.theta.size)
        return {"sum": self._sum}

    def state(self) -> dict[str, Any]:
        """Return the number of epochs in the sum."""
        return {"count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the number of epochs; raise ValueError if it is invalid."""
        self.count = operator.index(state.get("count", 0))
        if not 0 <= self.count < 2**31:
            raise ValueError(f"the number of averaged epochs must be from 0 to 2**31 - 1; found {self.count}")
