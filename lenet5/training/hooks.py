"""Callbacks: the hooks of the training loop."""

import enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .trainer import Trainer

__all__ = ["Callback", "Phase"]


class Phase(enum.IntEnum):
    """Order in which callbacks are called, independent of the order in which they were given."""

    PREPARE = 0  # what the next updates depend on: the learning rate
    MEASURE = 1  # figures of the epoch that has ended
    DECIDE = 2  # whether to continue, by these figures
    RECORD = 3  # files of all figures
    SAVE = 4  # what a resumed run starts from, these files' state included
    REPORT = 5  # to the user


class Callback:
    """Hooks of the training loop; each does nothing unless a subclass overrides it.

    Attributes
    ----------
    phase : Phase
        Callbacks are called phase by phase, and within one in the order in which they were given.
    """

    phase = Phase.MEASURE

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Called once, before the first epoch."""

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        """Called before an epoch, and again when a run is resumed within it (``trainer.position > 0``)."""

    def on_batch_end(self, trainer: "Trainer") -> None:
        """Called after every update; with compiled single-pattern updates, after every `trainer.ROUND` of them."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """Called after an epoch; its record is ``trainer.history[-1]``."""

    def on_train_end(self, trainer: "Trainer") -> None:
        """Called once, after the last epoch or a stop."""

    def arrays(self, trainer: "Trainer") -> dict[str, "np.ndarray"]:
        """Return the arrays that a resumed run needs; a checkpoint restores them in place."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return other values for JSON that a resumed run needs."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore values that `state` returned."""
