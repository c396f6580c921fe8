"""Weaken the distortions of the training images towards the end of training."""

from ..datasets import Distort
from ..errors import ConfigError
from .hooks import Callback, Phase
from .trainer import Trainer

__all__ = ["ShrinkDistortion"]

_LAST = 0.25  # fraction of the epochs, at the end of training, in which the distortions shrink


class ShrinkDistortion(Callback):
    """Reduce the trainer's distortions over the last quarter of the epochs.

    Strong distortions reduce overfitting, but make the training images more distorted than the test images. Training
    therefore ends with weaker distortions.

    Parameters
    ----------
    final : float
        Strength of all distortions at the end of training, relative to the start, from 0 to 1.

    Raises
    ------
    ConfigError
        If `final` is not between 0 and 1, or, at the start of training, if the trainer's distortion is not a `Distort`.
    """

    phase = Phase.PREPARE

    def __init__(self, final: float) -> None:
        if not 0 <= final <= 1:
            raise ConfigError(f"ShrinkDistortion: final must be between 0 and 1; found {final!r}.")
        self.final = final

    def on_train_begin(self, trainer: Trainer) -> None:
        """Set the strength of the distortions for the first epoch of this call to `fit`."""
        if not isinstance(trainer.distort, Distort):
            raise ConfigError(
                "ShrinkDistortion needs a trainer with distort=lenet5.datasets.Distort(...); found "
                f"{trainer.distort!r}."
            )
        self._set(trainer, trainer.distort)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Set the strength of the distortions for the next epoch."""
        assert isinstance(trainer.distort, Distort)
        self._set(trainer, trainer.distort)

    def _set(self, trainer: Trainer, whole: Distort) -> None:
        done = trainer.epoch / trainer.epochs
        into_last = min(max((done - (1 - _LAST)) / _LAST, 0.0), 1.0)
        trainer.patterns.distort = whole.scaled(1 - (1 - self.final) * into_last)
