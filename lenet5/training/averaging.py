"""Averaging of the weights of several epochs."""

import operator
from typing import Any

import numpy as np

from ..errors import ConfigError
from .hooks import Callback, Phase
from .trainer import Trainer

__all__ = ["AverageWeights"]


class AverageWeights(Callback):
    """End training with the mean of the weights after each of the last epochs (Izmailov et al. 2018).

    While the learning rate stays above 0, the weights move around a minimum, and their mean is nearer to it than any of
    them. The mean takes the place of the weights after the last epoch, before that is evaluated; a run that is
    stopped earlier keeps the weights that it has.

    Parameters
    ----------
    share : float
        Share of the epochs, the last ones, at least one; above 0, at most 1.

    Raises
    ------
    ConfigError
        If `share` is out of its range; when training begins, if the network has running statistics (`BatchNorm`),
        which belong to weights and have no mean.
    """

    phase = Phase.PREPARE

    def __init__(self, share: float = 0.25) -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"AverageWeights: share is above 0 and at most 1; found {share!r}.")
        self.share, self.count = share, 0
        self._sum = np.zeros(0)

    def on_train_begin(self, trainer: Trainer) -> None:
        """Refuse networks whose weights have no mean."""
        if trainer.net.running():
            raise ConfigError(
                "The average of weights needs a network without running statistics; this one has BatchNorm."
            )

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Add the weights; after the last epoch, put the mean in their place."""
        if trainer.epoch <= trainer.epochs - max(round(trainer.epochs * self.share), 1):
            return
        total = self.arrays(trainer)["sum"]
        total += trainer.net.theta
        self.count += 1
        if trainer.epoch == trainer.epochs:
            trainer.net.theta[...] = total / self.count
            trainer.net.parameters().hold()  # numbers that pruning has deleted meanwhile stay 0
            total[...], self.count = 0.0, 0

    def arrays(self, trainer: Trainer) -> dict[str, np.ndarray]:
        """Return the sum so far, float64 (parameters,)."""
        if self._sum.size != trainer.net.theta.size:
            self._sum = np.zeros(trainer.net.theta.size)
        return {"sum": self._sum}

    def state(self) -> dict[str, Any]:
        """Return the number of epochs in the sum."""
        return {"count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore it; ValueError if it is no number of epochs."""
        self.count = operator.index(state.get("count", 0))
        if not 0 <= self.count < 2**31:
            raise ValueError(f"a sum over {self.count} epochs")
