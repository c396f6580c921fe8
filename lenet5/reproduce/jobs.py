"""Execute one run (a table row with a seed): train or resume, measure, and write the record."""

import dataclasses
import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import datasets
from ..analysis import metrics
from ..analysis.committee import Committee
from ..datasets.base import Dataset
from ..errors import LenetError
from ..files import atomic_write, clear_unfinished, locked
from ..models import weights
from ..run import build as runs
from ..run import config
from ..run.config import TrainConfig
from ..training import callbacks, checkpoint
from ..training.trainer import renamed
from .base import Row
from .classifiers import CLASSIFIERS
from .images import changed
from .measures import MEASURES, WATCHERS
from .neighbours import MEMORIES
from .networks import NETWORKS
from .variants import VARIANTS

__all__ = ["Job", "execute", "finished", "read_record", "recipe", "write_record"]

# Options that do not change the results of a run.
_IDLE = {"checkpoint_minutes", "data_dir", "out", "quiet", "tensorboard", "threads", "verify"}
_QUICK = {"epochs": 2, "train_size": 600, "test": 300}
_NEEDED = {
    "table", "row", "seed", "key", "recipe", "measured", "dataset", "test_images", "seconds", "result", "history",
    "date", "machine",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One run: a table row with a seed. It contains only plain values, so it can be sent to another process or machine.

    Parameters
    ----------
    table, dataset : str
        Names of the table and of the data set.
    row : Row
        Row of the table.
    seed : int
        Seed of the run.
    data_dir : str or None
        Folder of the data set's files.
    data_sha256 : str
        SHA-256 of the training set.
    out : str
        Folder of all results.
    quick : bool
        Whether this is a quick check with 600 images and two epochs.
    more : frozenset of str
        Additional measures for other tables that share this run.
    """

    table: str
    row: Row
    seed: int
    dataset: str
    data_dir: str | None
    data_sha256: str
    out: str
    quick: bool = False
    more: frozenset[str] = frozenset()

    @property
    def settings(self) -> TrainConfig:
        """Resolved configuration of the run."""
        made = config.from_dict(self.row.config, where=f"{self.table}, {self.row.label}")
        if self.quick:
            size = min(made.train_size or _QUICK["train_size"], _QUICK["train_size"])
            epochs = min(made.epochs, _QUICK["epochs"])
            made = dataclasses.replace(made, epochs=epochs, train_size=size)
        own: Any = {"dataset": self.dataset, "data_dir": self.data_dir, "seed": self.seed}
        return dataclasses.replace(made, quiet=True, threads=1, **own).resolved()

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that identify the training; they do not depend on the measures."""
        return _digest({"recipe": recipe(self.row), "data": self.data_sha256, "seed": self.seed, "quick": self.quick})

    @property
    def measures(self) -> frozenset[str]:
        """All measures of the run other than error and loss."""
        return self.more | set(self.row.measures)

    @property
    def path(self) -> Path:
        """Path of the run's record."""
        slug = re.sub(r"[^a-z0-9.]+", "-", self.row.label.lower()).strip("-")
        return Path(self.out) / self.table / f"{slug}-seed-{self.seed}.json"

    @property
    def network(self) -> Path:
        """Path of the trained network, if the row saves it."""
        return self.path.with_suffix(".npz")

    def answered_by(self, record: Mapping[str, Any] | None) -> bool:
        """Return whether a record belongs to this run and contains all measures of the run."""
        return record is not None and record["key"] == self.key and self.measures <= set(record["measured"])


def recipe(row: Row) -> str:
    """Return twelve hexadecimal digits that identify a row's recipe, independent of seed and data set.

    The digits depend only on the definition of the row. They do not reflect changes to the library's defaults,
    classifiers or variants; after such a change, delete the records and repeat the runs.
    """
    # Include only values that differ from the defaults, so that new options do not change the hashes of old recipes.
    more = {name: value for name in ("images", "network") if (value := getattr(row, name))}
    if row.classifier:
        return _digest({"classifier": row.classifier} | more)
    if row.committee:
        return _digest({"committee": recipe(row.committee[0]), "members": row.committee[1]} | more)
    made = config.to_dict(config.from_dict(row.config))
    return _digest({"config": _differences(made, config.to_dict(TrainConfig())), "variant": row.variant} | more)


def execute(job: Job) -> dict[str, Any]:
    """Run or resume a job, write its record and return it.

    If another process is executing the same job, such as a worker of a killed sweep, wait for it.
    """
    with locked(Path(job.out) / ".unfinished" / f"{job.key}.lock"):
        clear_unfinished(job.path.parent, {job.path.name, job.network.name})
        found = finished(Path(job.out)).get(job.key)  # a concurrent sweep may have finished the job
        kept = not job.row.keep or job.network.exists()
        return found if found is not None and job.answered_by(found) and kept else _run(job)


def finished(out: Path) -> dict[str, dict[str, Any]]:
    """Return the records in `out` by `Job.key`; if several have the same key, the one with the most measures."""
    found = (read_record(path) for path in sorted(out.glob("*/*-seed-*.json")))
    records = (record for record in found if record is not None)
    return {record["key"]: record for record in sorted(records, key=lambda record: len(record["measured"]))}


def _run(job: Job) -> dict[str, Any]:
    started = time.monotonic()
    train, test = datasets.load(job.dataset, job.data_dir, progress=False)
    if job.quick:
        train, test = train.subset(slice(_QUICK["train_size"])), test.subset(slice(_QUICK["test"]))
    train, test = (changed(data, job.row.images) for data in (train, test))
    kind = _classify if job.row.classifier else _together if job.row.committee else _train
    done = kind(job, train, test)
    record = {
        "table": job.table,
        "row": job.row.label,
        "seed": job.seed,
        "key": job.key,
        "recipe": recipe(job.row),
        "measured": sorted(job.measures),
        "command": f"python -m lenet5.reproduce run {job.table}{' --quick' if job.quick else ''}",
        "quick": job.quick,
        **{name: value for name in ("images", "network") if (value := getattr(job.row, name))},
        "dataset": train.name,
        "train_images": len(train),
        "test_images": len(test),
        "seconds": round(time.monotonic() - started, 1),
        **done,
        **runs.circumstances(),
    }
    write_record(job.path, record)
    shutil.rmtree(Path(job.out) / ".unfinished" / job.key, ignore_errors=True)  # only after the record is written
    return record


class _Spent(callbacks.Callback):
    """Measure the CPU time of a training run in seconds, including the time before it was resumed from a checkpoint."""

    def __init__(self) -> None:
        self._before, self._start = 0.0, time.process_time()

    def seconds(self) -> float:
        return round(self._before + time.process_time() - self._start, 1)

    def state(self) -> dict[str, Any]:
        return {"seconds": self.seconds()}

    def load_state(self, state: dict[str, Any]) -> None:
        self._before = float(state.get("seconds", 0.0))


def _train(job: Job, whole: Dataset, test: Dataset) -> dict[str, Any]:
    settings, work = job.settings, Path(job.out) / ".unfinished" / job.key
    train, validation = runs.split(settings, whole)
    rng = np.random.default_rng(settings.seed)
    net = NETWORKS[job.row.network](train, rng) if job.row.network else None
    # A run that diverges is also a result, so it is not stopped.
    trainer = runs.make_trainer(settings, train, net=net, rng=rng, validation=validation, test=test, guard=False)
    if job.row.variant:
        VARIANTS[job.row.variant](trainer)
    trainer.callbacks += [WATCHERS[name]() for name in sorted(job.measures & WATCHERS.keys())]
    if settings.patience is not None:
        trainer.callbacks.append(callbacks.EarlyStopping(settings.patience, monitor=settings.monitor))
    file, spent = work / "checkpoint.npz", _Spent()
    work.mkdir(parents=True, exist_ok=True)
    trainer.callbacks += [callbacks.Clock(), spent, callbacks.Checkpoint(file, meta={"key": job.key}, minutes=2)]
    if file.exists():
        try:
            arrays, meta = checkpoint.load(file)
            trainer.load_state(arrays, meta.get("trainer", {}))
        except LenetError:  # the checkpoint is from another version of the library: restart
            shutil.rmtree(work)
            return _train(job, whole, test)
    trainer.fit(train, epochs=settings.epochs)
    result = dict(trainer.history[-1])
    for name in sorted(job.measures & MEASURES.keys()):
        result |= MEASURES[name](trainer.net, test, validation)
    for name in sorted(job.measures & MEMORIES.keys()):
        result |= MEMORIES[name](trainer.net, train, test)
    if job.row.keep:
        weights.save(job.network, trainer.net)
    result |= {f"{name}_accuracy": 1 - result[f"{name}_error"] for name in ("train", "test")}
    if validation is not None:
        result["validation_accuracy"] = 1 - result["validation_error"]
    return {
        "processor_seconds": spent.seconds(),
        "parameters": trainer.net.theta.size,
        "result": result,
        "config": {name: value for name, value in config.to_dict(settings).items() if name not in _IDLE},
        "history": trainer.history,
    }


def _digest(what: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _differences(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of nested dictionaries that differ from the defaults."""
    found = {
        name: _differences(value, defaults[name]) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value != defaults[name]
    }
    return {name: value for name, value in found.items() if name not in _IDLE}


def _together(job: Job, train: Dataset, test: Dataset) -> dict[str, Any]:
    assert job.row.committee is not None
    row, number = job.row.committee
    members = [dataclasses.replace(job, row=row, seed=seed, more=frozenset()) for seed in range(number)]
    alone = [execute(member)["result"]["test_error"] for member in members]
    started = time.process_time()
    answers = Committee([weights.load(member.network) for member in members]).predict(test.images)
    error = float((answers != test.labels).mean())
    return {
        "processor_seconds": round(time.process_time() - started, 1),
        "members": alone,
        "result": {"test_error": error, "test_accuracy": 1 - error},
        "history": [],
    }


def _classify(job: Job, train: Dataset, test: Dataset) -> dict[str, Any]:
    started = time.process_time()
    made = CLASSIFIERS[job.row.classifier](job.seed, len(train))
    images, held_out = (data.images.reshape(len(data), -1).astype(np.float32) / 255 for data in (train, test))
    made.fit(images, train.labels)
    if "rejected" in job.measures:
        scores = made.decision_function(held_out)
        result = {"test_error": metrics.error(scores, test.labels)}
        result["rejected"] = metrics.rejection_rate(scores, test.labels)
    else:
        result = {"test_error": float((made.predict(held_out) != test.labels).mean())}
    return {
        "processor_seconds": round(time.process_time() - started, 1),
        "classifier": repr(made),
        "result": result | {"test_accuracy": 1 - result["test_error"]},
        "history": [],
    }


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record atomically, with one epoch per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    top = {name: value for name, value in record.items() if name != "history"}
    lines = ",\n  ".join(json.dumps(_plain(entry)) for entry in record["history"])
    text = json.dumps(_plain(top), indent=1).removesuffix("\n}") + f',\n "history": [\n  {lines}\n ]\n}}\n'
    with atomic_write(path, text=True) as file:
        file.write(text)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record in a file, or None if the file is unreadable or not a record."""
    try:
        with path.open() as file:
            record = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not record.keys() >= _NEEDED:
        return None
    history = [renamed(entry) for entry in record["history"]]
    return record | {"result": renamed(record["result"]), "history": history}


def _plain(value: Any) -> Any:
    """Replace infinity and NaN, which JSON cannot represent, by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
