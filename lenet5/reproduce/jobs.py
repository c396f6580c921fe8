"""One run of one row: trained or resumed, measured, and written down."""

import dataclasses
import hashlib
import json
import math
import re
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import callbacks, checkpoint, config, datasets, runs
from ..config import TrainConfig
from ..datasets.base import Dataset
from ..errors import LenetError
from ..files import atomic_write, locked
from .base import Row
from .classifiers import CLASSIFIERS
from .measures import MEASURES, WATCHERS
from .variants import VARIANTS

__all__ = ["Job", "execute", "read_record"]

# What does not touch the numbers of a run.
_IDLE = {"checkpoint_minutes", "data_dir", "out", "quiet", "threads", "verify"}
_QUICK = {"epochs": 2, "train_size": 600, "test": 300, "patterns": 50}


@dataclass(frozen=True)
class Job:
    """A row with a seed: plain values, so that it can be sent to another process or machine.

    Parameters
    ----------
    table : str
    row : Row
    seed : int
    dataset : str
    data_dir : str or None
    data_sha256 : str
        Of the training images; part of the key.
    out : str
        Folder of all results.
    quick : bool
        A few hundred images and two passes: to see that everything works.
    """

    table: str
    row: Row
    seed: int
    dataset: str
    data_dir: str | None
    data_sha256: str
    out: str
    quick: bool = False

    @property
    def settings(self) -> TrainConfig:
        """The run's resolved configuration."""
        made = config.from_dict(self.row.config, where=f"{self.table}, {self.row.label}")
        if self.quick:
            size = min(made.train_size or _QUICK["train_size"], _QUICK["train_size"])
            optimizer = dataclasses.replace(made.optimizer, patterns=_QUICK["patterns"])
            epochs = min(made.epochs, _QUICK["epochs"])
            made = dataclasses.replace(made, epochs=epochs, train_size=size, optimizer=optimizer)
        own: Any = {"dataset": self.dataset, "data_dir": self.data_dir, "seed": self.seed}
        return dataclasses.replace(made, quiet=True, threads=1, **own).resolved()

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of all that decides what is trained, whatever is measured then."""
        what: dict[str, Any] = {"data": self.data_sha256, "seed": self.seed, "quick": self.quick}
        what["variant"] = self.row.variant
        if self.row.classifier:
            what["classifier"] = self.row.classifier
        else:
            # Only what differs from the defaults: an option that is added later changes no key.
            made = config.to_dict(config.from_dict(self.row.config))
            what["config"] = _differences(made, config.to_dict(TrainConfig()))
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def measured(self) -> set[str]:
        """What is measured besides error and loss."""
        return {*self.row.measures, *self.row.watch}

    def beside(self, other: "Job") -> "Job":
        """Return this job, measuring also what `other`, of the same key, does."""
        measures = tuple(sorted({*self.row.measures, *other.row.measures}))
        watch = tuple(sorted({*self.row.watch, *other.row.watch}))
        return dataclasses.replace(self, row=dataclasses.replace(self.row, measures=measures, watch=watch))

    @property
    def path(self) -> Path:
        """Where its record goes."""
        slug = re.sub(r"[^a-z0-9.]+", "-", self.row.label.lower()).strip("-")
        return Path(self.out) / self.table / f"{slug}-seed-{self.seed}.json"


def execute(job: Job) -> dict[str, Any]:
    """Run a job, or go on with it where it was killed; write its record and return it.

    One that a worker of a killed sweep is still busy with is waited for.
    """
    with locked(Path(job.out) / ".unfinished" / f"{job.key}.lock"):
        found = read_record(job.path)
        if found is not None and found["key"] == job.key and job.measured <= set(found["measured"]):
            return found
        return _run(job)


def _run(job: Job) -> dict[str, Any]:
    started = time.monotonic(), time.process_time()
    train, test = datasets.load(job.dataset, job.data_dir, progress=False)
    if job.quick:
        train, test = train.subset(slice(_QUICK["train_size"])), test.subset(slice(_QUICK["test"]))
    done = _classify(job, train, test) if job.row.classifier else _train(job, train, test)
    record = {
        "table": job.table,
        "row": job.row.label,
        "seed": job.seed,
        "key": job.key,
        "measured": sorted(job.measured),
        "command": f"python -m lenet5.reproduce run {job.table}{' --quick' if job.quick else ''}",
        "dataset": train.name,
        "train_images": len(train),
        "test_images": len(test),
        "seconds": round(time.monotonic() - started[0], 1),
        # Of this process; without what a run that was killed had taken before.
        "processor_seconds": round(time.process_time() - started[1], 1),
        **done,
        **runs.circumstances(),
    }
    write_record(job.path, record)
    return record


def _train(job: Job, whole: Dataset, test: Dataset) -> dict[str, Any]:
    settings, work = job.settings, Path(job.out) / ".unfinished" / job.key
    train, validation = runs.split(settings, whole)
    # A run that fails is a result here: nothing stops it.
    trainer = runs.make_trainer(settings, train, validation=validation, test=test, guard=False)
    if job.row.variant:
        VARIANTS[job.row.variant](trainer)
    trainer.callbacks += [WATCHERS[name]() for name in job.row.watch]
    if settings.patience is not None:
        trainer.callbacks.append(callbacks.EarlyStopping(settings.patience, monitor=settings.monitor))
    file = work / "checkpoint.npz"
    work.mkdir(parents=True, exist_ok=True)
    trainer.callbacks += [callbacks.Clock(), callbacks.Checkpoint(file, meta={"key": job.key}, minutes=2)]
    if file.exists():
        try:
            arrays, meta = checkpoint.load(file)
            trainer.load_state(arrays, meta.get("trainer", {}))
        except LenetError:  # of another version of the library: begin again
            shutil.rmtree(work)
            return _train(job, whole, test)
    trainer.fit(train, epochs=settings.epochs)
    result = dict(trainer.history[-1])
    for name in job.row.measures:
        result |= MEASURES[name](trainer.net, test, validation)
    result |= {f"{name}_accuracy": 1 - result[f"{name}_error"] for name in ("train", "test")}
    if validation is not None:
        result["validation_accuracy"] = 1 - result["validation_error"]
    shutil.rmtree(work)
    # The configuration last, so that what follows reads as a table.
    settings_read = {k: v for k, v in config.to_dict(settings).items() if k not in _IDLE}
    return {
        "parameters": trainer.net.theta.size,
        "result": result,
        "config": settings_read,
        "history": trainer.history,
    }


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of nested dictionaries that are not the defaults."""
    found = {
        name: _differences(value, defaults[name]) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value != defaults[name]
    }
    return {name: value for name, value in found.items() if name not in _IDLE}


def _classify(job: Job, train: Dataset, test: Dataset) -> dict[str, Any]:
    made = CLASSIFIERS[job.row.classifier](job.seed, len(train))
    images, held_out = (data.images.reshape(len(data), -1).astype(np.float32) / 255 for data in (train, test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a multilayer perceptron has not converged after its passes
        made.fit(images, train.labels)
    error = float((made.predict(held_out) != test.labels).mean())
    return {"result": {"test_error": error, "test_accuracy": 1 - error}, "classifier": repr(made), "history": []}


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all, one pass to a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    top = {name: value for name, value in record.items() if name != "history"}
    lines = ",\n  ".join(json.dumps(_plain(entry)) for entry in record["history"])
    text = json.dumps(_plain(top), indent=1).removesuffix("\n}") + f',\n "history": [\n  {lines}\n ]\n}}\n'
    with atomic_write(path, text=True) as file:
        file.write(text)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record, or None where there is none that can be read."""
    try:
        with path.open() as file:
            record = json.load(file)
    except (OSError, ValueError):
        return None
    known = (
        isinstance(record, dict) and {"table", "row", "seed", "key", "measured", "result", "history"} <= record.keys()
    )
    return record if known else None


def _plain(value: Any) -> Any:
    """Replace what JSON cannot hold, infinity and NaN, by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
