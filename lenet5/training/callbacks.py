"""Callbacks that take part in training; those that only report are in `reports`."""

import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.base import Dataset
from ..errors import ConfigError, DivergenceError
from ..optim.schedule import Schedule
from . import checkpoint
from .trainer import Callback, Phase, Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "Clock",
    "CurvaturePass",
    "EarlyStopping",
    "Evaluate",
    "Finite",
    "Fingerprint",
    "GuardDivergence",
    "Rates",
    "SetRate",
]


class Clock(Callback):
    """Record the duration of each epoch in seconds, including the time before an interruption."""

    phase = Phase.RECORD

    def __init__(self) -> None:
        self._before = 0.0
        self._start = time.monotonic()

    def on_train_begin(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the duration as ``seconds``, and restart the clock."""
        trainer.history[-1]["seconds"] = self._elapsed()
        self._before, self._start = 0.0, time.monotonic()

    def _elapsed(self) -> float:
        return round(self._before + time.monotonic() - self._start, 3)

    def state(self) -> dict[str, Any]:
        """Return the seconds spent on the current epoch so far."""
        return {"seconds": self._elapsed()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the seconds already spent."""
        self._before = float(state.get("seconds", 0.0))


class SetRate(Callback):
    """Set the optimiser's learning rate before each epoch, and record it as ``lr``."""

    phase = Phase.PREPARE

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Set the learning rate of the epoch."""
        trainer.optimizer.lr = self.schedule(trainer.epoch)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the learning rate."""
        trainer.history[-1]["lr"] = trainer.optimizer.lr


class CurvaturePass(Callback):
    """Set how many patterns are used to estimate the curvatures before each epoch (default: 500, as for `SDLM`)."""

    phase = Phase.PREPARE

    def __init__(self, patterns: int = 500) -> None:
        self.patterns = patterns

    def on_train_begin(self, trainer: Trainer) -> None:
        """Set the number of patterns if the optimiser needs curvatures."""
        if trainer.optimizer.curvature_patterns:
            trainer.optimizer.curvature_patterns = self.patterns


class Rates(Callback):
    """Record the smallest, median and largest effective learning rate of the weights in each epoch."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the three learning rates as ``rate_min``, ``rate_median`` and ``rate_max``."""
        low, median, high = rate_range(trainer.optimizer)
        trainer.history[-1] |= {"rate_min": low, "rate_median": median, "rate_max": high}


def rate_range(optimizer: Any) -> tuple[float, float, float]:
    """Return the smallest, median and largest learning rate of an optimiser that has one per weight."""
    rates = optimizer.rates
    return float(rates.min()), float(np.median(rates)), float(rates.max())


class Fingerprint(Callback):
    """Record the first 16 hex digits of the SHA-256 of the weights after each epoch, as ``weights_sha256``."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the hash of the weights."""
        digest = hashlib.sha256()
        for array in trainer.net.arrays().values():
            digest.update(array.tobytes())
        trainer.history[-1]["weights_sha256"] = digest.hexdigest()[:16]


class Evaluate(Callback):
    """Record the loss and error on held-out images after each epoch.

    Parameters
    ----------
    **sets : Dataset or None
        Data sets to evaluate. ``test=data`` records ``test_loss`` and ``test_error``, both None if data is None.
    """

    def __init__(self, **sets: Dataset | None) -> None:
        self.sets = sets

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Evaluate the sets and record the results."""
        for name, data in self.sets.items():
            loss = error = None
            if data is not None:
                data = trainer.net.relabelled(data)
                loss, error = (total / len(data) for total in trainer.shards.evaluate(data.images, data.labels))
            trainer.history[-1] |= {f"{name}_loss": loss, f"{name}_error": error}


class EarlyStopping(Callback):
    """Stop training when a validation result has not improved for a number of epochs.

    Parameters
    ----------
    patience : int
        Number of epochs to wait for an improvement.
    monitor : str
        Key of an epoch's record whose value should decrease, such as "validation_loss".
    keep : callable taking a Trainer, optional
        Function to call after each new best epoch, for example to save the weights.
    """

    phase = Phase.DECIDE

    def __init__(
        self,
        patience: int,
        *,
        monitor: str = "validation_loss",
        keep: Callable[[Trainer], None] | None = None,
    ) -> None:
        self.patience, self.monitor, self.keep = patience, monitor, keep
        self.best, self.best_epoch = math.inf, 0

    def on_train_begin(self, trainer: Trainer) -> None:
        """Stop immediately if early stopping had already ended the resumed run."""
        trainer.stop |= trainer.epoch >= self.best_epoch + self.patience

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Compare the epoch with the best one so far; stop after `patience` epochs without improvement."""
        value = trainer.history[-1].get(self.monitor)
        if value is None:
            raise ConfigError(
                f"Early stopping monitors {self.monitor}, which no callback records. Add the callback Evaluate."
            )
        if value < self.best:
            self.best, self.best_epoch = value, trainer.epoch
            if self.keep is not None:
                self.keep(trainer)
        trainer.stop |= trainer.epoch >= self.best_epoch + self.patience

    def state(self) -> dict[str, Any]:
        """Return the best value of the monitored metric, and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch} if self.best_epoch else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the best value of the monitored metric, and its epoch."""
        self.best, self.best_epoch = (
            float(state.get("best", math.inf)),
            int(state.get("best_epoch", state.get("best_pass", 0))),
        )


class GuardDivergence(Callback):
    """Stop a run that diverges.

    A run is stopped if the loss or a weight is not finite, or if the training error of an epoch is more than `rise`
    above the lowest so far. Saturated units produce no NaN, so a run is also stopped if more than half of the last
    `every` patterns (or of an epoch) are misclassified and their mean loss is more than 1.2 times that of the untrained
    network. This check starts after `settle` updates, because Adam with large initial weights can double the loss for a
    few dozen updates and then recover.
    """

    phase = Phase.PREPARE

    def __init__(self, *, rise: float = 0.2, every: int = 1000, settle: int = 100) -> None:
        self.rise, self.every, self.settle = rise, every, settle
        self._untrained = math.inf
        self._seen = self._errors = 0
        self._loss = 0.0

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Measure the loss of the untrained network once, and start a new window of patterns."""
        if trainer.epoch == trainer.position == 0:
            images, labels = trainer.train.images[:500], trainer.train.labels[:500]
            self._untrained = trainer.shards.evaluate(images, labels)[0] / len(labels)
        self._mark(trainer)

    def on_batch_end(self, trainer: Trainer) -> None:
        """Check that the loss is finite, and check each complete window of `every` patterns."""
        if not math.isfinite(trainer.loss_sum):
            self._fail(trainer, "the loss is not finite")
        seen = trainer.position - self._seen
        if seen >= self.every:
            error, loss = (trainer.errors - self._errors) / seen, (trainer.loss_sum - self._loss) / seen
            self._judge(trainer, error, loss)
            self._mark(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Check the loss and the training error of the whole epoch, and the weights."""
        last, errors = trainer.history[-1], [record["train_error"] for record in trainer.history]
        self._judge(trainer, last["train_error"], last["loss"])
        if not np.isfinite(trainer.net.theta).all():
            self._fail(trainer, "a weight is not finite")
        if errors[-1] > min(errors) + self.rise:
            self._fail(trainer, f"the training error rose from {min(errors):.1%} to {errors[-1]:.1%}")

    def _judge(self, trainer: Trainer, error: float, loss: float) -> None:
        updates = (trainer.epoch * len(trainer.train) + trainer.position) // trainer.batch_size
        if updates >= self.settle and error > 0.5 and loss > 1.2 * self._untrained:
            self._fail(trainer, f"the loss ({loss:.3g}) is above that of the untrained network, {self._untrained:.3g}")

    def _mark(self, trainer: Trainer) -> None:
        self._seen, self._errors, self._loss = trainer.position, trainer.errors, trainer.loss_sum

    def _fail(self, trainer: Trainer, why: str) -> None:
        where = f"epoch {trainer.epoch + 1 if trainer.position else trainer.epoch}, pattern {trainer.position:,}"
        raise DivergenceError(
            f"training diverged in {where}: {why}. Lower the learning rate "
            f"(--optimizer.lr, now {trainer.optimizer.lr:g}); with sdlm, use --optimizer.rule maximum, raise "
            "--optimizer.mu, and start from --model.init fan-in."
        )

    def state(self) -> dict[str, Any]:
        """Return the loss of the untrained network."""
        return {"untrained": self._untrained}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the loss of the untrained network."""
        self._untrained = float(state.get("untrained", math.inf))


class Finite(Callback):
    """Stop training if a weight is not finite. `GuardDivergence` also detects other signs of divergence."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Check that all weights are finite."""
        if not np.isfinite(trainer.net.theta).all():
            raise DivergenceError(
                f"training diverged in epoch {trainer.epoch}: a weight is not finite. "
                f"Lower the learning rate, now {trainer.optimizer.lr:g}."
            )


class Checkpoint(Callback):
    """Save checkpoints at the start, after each epoch, at regular intervals, and when training stops.

    The last two checkpoints are kept, so that a run can be resumed even if the newest is damaged
    (`checkpoint.load_newest`).

    Parameters
    ----------
    path : path-like
    meta : dict
        Metadata to store in every checkpoint.
    minutes : float
        Minutes between checkpoints within an epoch.
    """

    phase = Phase.SAVE

    def __init__(self, path: Path, *, meta: dict[str, Any], minutes: float = 5.0) -> None:
        self.path, self.meta, self.minutes = path, meta, minutes
        self._due = math.inf

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint."""
        arrays, note = trainer.state()
        checkpoint.save(self.path, arrays, self.meta | {"trainer": note}, keep=True)
        self._due = time.monotonic() + 60 * self.minutes

    def on_train_begin(self, trainer: Trainer) -> None:
        """Save a checkpoint before the first update."""
        self.save(trainer)

    def on_batch_end(self, trainer: Trainer) -> None:
        """Save a checkpoint if `minutes` have passed since the last one."""
        if time.monotonic() > self._due:
            self.save(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Save a checkpoint after the epoch."""
        self.save(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        """Save a checkpoint if training stopped within an epoch."""
        if trainer.position:
            self.save(trainer)
