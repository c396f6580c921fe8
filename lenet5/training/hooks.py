"""Base class of callbacks, which defines the hooks of the training loop."""

import enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .trainer import Trainer

__all__ = ["Callback", "Phase"]


class Phase(enum.IntEnum):
    """Order in which callbacks are called, independent of the order in which they are passed."""

    PREPARE = 0  # set values that the next updates use, such as the learning rate
    MEASURE = 1  # measure results of the finished epoch
    DECIDE = 2  # decide from these results whether to continue
    RECORD = 3  # write the results to files
    SAVE = 4  # save a checkpoint, which includes the state of all callbacks
    REPORT = 5  # report to the user


class Callback:
    """Base class of callbacks. Its hooks do nothing unless a subclass overrides them.

    Attributes
    ----------
    phase : Phase
        Callbacks are called phase by phase, and within a phase in the order in which they are passed.
    """

    phase = Phase.MEASURE

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Called once, before the first epoch."""

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        """Called before an epoch, and again if a run is resumed within it (``trainer.position > 0``)."""

    def on_batch_end(self, trainer: "Trainer") -> None:
        """Called after every update; if single-pattern updates are compiled, after every `trainer.ROUND` of them."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """Called after an epoch; its record is ``trainer.history[-1]``."""

    def on_train_end(self, trainer: "Trainer") -> None:
        """Called once, after the last epoch or when training stops early."""

    def arrays(self, trainer: "Trainer") -> dict[str, "np.ndarray"]:
        """Return the arrays that a resumed run needs; resuming writes the saved values into them."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the other values that a resumed run needs, in types that JSON supports."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore values returned by `state`."""
