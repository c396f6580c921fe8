"""A training session: build or resume a run in its folder, train, write the results, and report."""

import dataclasses
import datetime
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..datasets.base import Dataset
from ..errors import ConfigError, LenetError, LenetWarning
from ..files import atomic_write
from ..models.weights import save
from ..training import callbacks, checkpoint, reports, tensorboard
from ..training.mpi import Ranks, RanksLostError
from ..training.trainer import Trainer
from . import build, config, history, source
from .config import TrainConfig
from .folder import History, Saved, same_data
from .signals import Signals

__all__ = ["Session"]


class Session:
    """A run of the `train` command.

    Parameters
    ----------
    settings : TrainConfig
        Resolved configuration.
    train, test : Dataset
        Training and test sets.
    ranks : Ranks, optional
        Processes that share the run. Only rank 0 writes files.

    Attributes
    ----------
    folder : Path
        Folder of the run. Nothing is written to it before `fit`.
    trainer : Trainer
        Trainer of the run.
    writes : bool
        Whether this process writes files.
    """

    def __init__(self, settings: TrainConfig, train: Dataset, test: Dataset, ranks: Ranks | None = None) -> None:
        self.train, validation = build.split(settings, train)
        self.trainer = build.make_trainer(settings, self.train, validation=validation, test=test, ranks=ranks)
        self.ranks, self.writes = ranks, ranks is None or ranks.rank == 0
        self.folder = Path(settings.out or f"runs/{train.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}")
        self._sizes = f"{len(train):,} training images, {len(test):,} test images"
        self._board = _tensorboard(settings, test)
        self._stopping = self._early_stopping(settings)
        self._other: History | None = None
        self._comparison: list[history.CompareHistory] = []
        self._say: Callable[[str], None] = (lambda text: None) if settings.quiet else reports.say
        data_dir = None if settings.data_dir is None else os.path.abspath(settings.data_dir)
        events = None if settings.tensorboard is None else os.path.abspath(settings.tensorboard)
        self.settings = dataclasses.replace(settings, out=None, data_dir=data_dir, tensorboard=events)
        self._meta = build.meta(self.settings, self.trainer.net, self.train)
        self._here = build.circumstances() | {"threads": self.trainer.threads, "ranks": ranks.size if ranks else 1}

    def repeat(self, other: History) -> None:
        """Compare every epoch with the same epoch of another run on the same images.

        Raises
        ------
        CheckpointError
            If the other run was trained on different images.
        """
        same_data(other[0], self._meta, "the run to repeat")
        self._other, self._comparison = other, [history.CompareHistory(other[1])]

    def begin(self, saved: Saved | None = None) -> None:
        """Report the start of training, and restore a checkpoint if one is given.

        Raises
        ------
        CheckpointError
            If the checkpoint does not fit the network or the images.
        ConfigError
            If the checkpoint is beyond the configured number of epochs.
        """
        self._say(f"training on {self.train.name}: {self._sizes}; run folder {self.folder}")
        if "test" in self.train.provenance:
            self._say(f"test set: {self.train.provenance['test']}")
        self.trainer.callbacks += self._hooks()
        if saved is None:
            return
        trainer = self.trainer
        same_data(saved[1], self._meta, self.folder)
        trainer.load_state(saved[0], saved[1].get("trainer", {}))
        begun = trainer.epoch + (trainer.position > 0)
        if self.settings.epochs < begun:
            raise ConfigError(f"{self.folder} is already in epoch {begun}; --epochs must be at least {begun}.")
        self._say(f"resuming after {trainer.epoch} epochs and {trainer.position:,} patterns")

    def fit(self, signals: Signals) -> int:
        """Train to the end or until a signal, write the results, and return the exit code.

        Raises
        ------
        LenetError
            If a file in the folder cannot be written.
        DivergenceError
            If training diverges.
        """
        signals.trainer = self.trainer
        try:
            if self.writes:  # also when resuming, because the number of epochs may have changed
                _write_json(self.folder / "config.json", config.to_dict(self.settings))
            self.trainer.fit(self.train, epochs=self.settings.epochs)
            stopped = self._stopped(signals)
            if not stopped and self.writes:
                save(self.folder / "weights.npz", self.trainer.net, meta=source.noted(self.settings, self.train.name))
                _write_json(self.folder / "run.json", build.record(self.trainer, self.train))
            if self.trainer.history and self.writes:
                self._draw_curves()
        except RanksLostError as error:
            for callback in self.trainer.callbacks:
                if isinstance(callback, callbacks.Checkpoint):
                    callback.save(self.trainer)
            raise RanksLostError(f"{error} {self.go_on}") from error
        except OSError as error:
            raise LenetError(
                f"{error.filename or self.folder}: cannot be written: {error.strerror or error}. {self.go_on}"
            ) from error
        return stopped or self._ended()

    @property
    def go_on(self) -> str:
        """Instructions for resuming after a failure."""
        return f"The files saved so far are intact. Fix the problem, then continue with: {self._resume}"

    @property
    def _resume(self) -> str:
        return f"python -m lenet5.train --resume {self.folder}"

    def _hooks(self) -> list[callbacks.Callback]:
        """Return the callbacks that do not change the results, in order."""
        files: list[callbacks.Callback] = []
        if self.writes:
            about = {name: self._meta[name] for name in ("config", "dataset", "data_sha256")}
            path, minutes = self.folder / checkpoint.NAME, self.settings.checkpoint_minutes
            files.append(history.WriteHistory(self.folder, about, self._here))
            files.append(callbacks.Checkpoint(path, meta=self._meta, minutes=minutes))
        progress = reports.Progress(disable=True if self.settings.quiet else None)
        said = [reports.ReportRates(self._say), reports.Report(self._say), progress]
        return [*self._stopping, callbacks.Clock(), *files, *self._comparison, *said, *self._board]

    def _early_stopping(self, settings: TrainConfig) -> list[callbacks.EarlyStopping]:
        if settings.patience is None:
            return []

        def keep(trainer: Trainer) -> None:
            save(self.folder / "best.npz", trainer.net, meta=source.noted(self.settings, self.train.name))

        keeping = keep if self.writes else None
        return [callbacks.EarlyStopping(settings.patience, monitor=settings.monitor, keep=keeping)]

    def _stopped(self, signals: Signals) -> int:
        """If a signal stopped training, here or on another rank, report it and return the exit code; otherwise 0."""
        trainer = self.trainer
        elsewhere = self.ranks is not None and trainer.stop and not self._stopping and not self._comparison
        if not (signals.caught or elsewhere) or trainer.epoch >= self.settings.epochs:
            return 0
        if self.writes:
            done = f"epoch {trainer.epoch + 1}, pattern {trainer.position:,}"
            reports.say(f"stopped in {done}; checkpoint saved. Continue with: {self._resume}", error=True)
        return 128 + (signals.caught or [signal.SIGTERM])[0]

    def _ended(self) -> int:
        """Report the result of a finished run, and return the exit code."""
        if self._comparison:
            return self._compared() if self.writes else 0
        epochs, last = self.trainer.epoch, self.trainer.history[-1]
        if self._stopping and epochs < self.settings.epochs:
            self._say(
                f"stopped: {self.settings.monitor} has not improved since epoch {self._stopping[0].best_epoch}, whose "
                f"weights are in {self.folder / 'best.npz'}; weights.npz and the result below are from the last epoch"
            )
        error = f"test error {last['test_error']:.2%} on {self.train.name} after {epochs} epoch{'s' * (epochs != 1)}"
        self._say(f"{error}; see {self.folder / 'curves.png'}")
        return 0

    def _compared(self) -> int:
        """Report whether a repeated run is identical; return 0 if so, otherwise 1."""
        assert self._other is not None
        comparison = self._comparison[0]
        if not comparison.difference:
            reports.say(f"equal: {len(comparison.epochs)} epochs with bit-identical records and weights")
            return 0
        print(comparison.difference.rstrip(), file=sys.stderr)
        there = (self._other[0].get("starts") or [{}])[-1]
        for key in ("cpu", "versions", "commit"):
            if there.get(key) != self._here[key]:
                print(f"  {key}: {there.get(key)} in the other run, {self._here[key]} here", file=sys.stderr)
        return 1

    def _draw_curves(self) -> None:
        """Draw the learning curves. Only warn if this fails, because all results have been written."""
        net, path = (self.trainer.net.spec or {}).get("name", ""), self.folder / "curves.png"
        try:
            from .. import plots

            name = self.folder.name.encode(errors="replace").decode()  # a file name can contain undecodable bytes
            curves = plots.learning_curves({name: self.trainer.history}, data=self.train.name, net=net)
            plots.save(curves, path)
        except Exception as error:  # drawing (Matplotlib, fonts, disk) can fail with any exception
            warnings.warn(
                f"{path} was not drawn: {str(error).partition(chr(10))[0] or repr(error)}", LenetWarning, stacklevel=2
            )


def _tensorboard(settings: TrainConfig, test: Dataset) -> list[callbacks.Callback]:
    if settings.tensorboard is None:
        return []
    return [tensorboard.TensorBoard(settings.tensorboard, config=config.to_dict(settings), image=test.images[0])]


def _write_json(path: Path, value: Any) -> None:
    with atomic_write(path, text=True) as file:
        json.dump(value, file, indent=1)
        file.write("\n")
