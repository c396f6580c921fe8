"""Build the network, loss, optimiser, schedule, distortion and trainer of a `TrainConfig`."""

import dataclasses
import datetime
import inspect
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, engine, losses, models, optim
from ..datasets import DISTORTIONS, Distort, Distortion
from ..datasets.base import Dataset
from ..errors import ConfigError
from ..models.weights import note
from ..network import Sequential
from ..training import callbacks
from ..training.averaging import AverageWeights
from ..training.distortion import ShrinkDistortion
from ..training.mpi import Ranks
from ..training.shards import cores
from ..training.trainer import Trainer
from .config import TrainConfig, to_dict
from .source import given_path, noted

__all__ = ["circumstances", "make_loss", "make_trainer", "meta", "record", "split"]


def split(settings: TrainConfig, train: Dataset) -> tuple[Dataset, Dataset | None]:
    """Return the training set and the held-out validation set, which is None if `validation_split` is 0."""
    validation = None
    if settings.validation_split:
        if train.mapped:
            raise ConfigError(
                f"validation_split would copy the images of {train.name} from disk into memory. Instead, store "
                "your validation images in separate files, and pass them as the test set."
            )
        train, validation = train.split(settings.validation_split, np.random.default_rng([settings.seed, 1]))
    if settings.train_size is not None:
        train = train.subset(slice(settings.train_size))
    return train, validation


def make_trainer(
    settings: TrainConfig,
    train: Dataset,
    *,
    net: Sequential | None = None,
    rng: np.random.Generator | None = None,
    validation: Dataset | None = None,
    test: Dataset | None = None,
    ranks: Ranks | None = None,
    guard: bool = True,
    hooks: Iterable[callbacks.Callback] = (),
) -> Trainer:
    """Return the trainer for a resolved configuration.

    Parameters
    ----------
    settings : TrainConfig
        Resolved configuration.
    train : Dataset
        Training set, which determines the network's channels, size and classes.
    net : Sequential, optional
        Network to use instead of the configuration's.
    rng : numpy.random.Generator, optional
        Random generator for weights and training (default: seeded with the configuration's seed).
    validation, test : Dataset, optional
        Sets to evaluate after each epoch.
    ranks : Ranks, optional
        Processes that share each batch.
    guard : bool
        Whether to stop if training diverges.
    hooks : iterable of Callback
        Additional callbacks, called after the trainer's own.
    """
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    if net is None:
        net = _network(settings, train, rng)
        net.remember(train)
    optimizer = _optimizer(settings, net)
    own: list[callbacks.Callback] = [callbacks.SetRate(_schedule(settings))]
    if guard:
        own.append(callbacks.GuardDivergence())
    if settings.distort.final is not None:
        own.append(ShrinkDistortion(settings.distort.final))
    if settings.average is not None:
        own.append(AverageWeights(settings.average))
    own += [callbacks.Rates(), callbacks.Fingerprint(), callbacks.Evaluate(validation=validation, test=test)]
    assert settings.batch_size is not None
    return Trainer(
        net,
        make_loss(settings),
        optimizer,
        [*own, *hooks],
        batch_size=settings.batch_size,
        threads=settings.threads or max(cores() // (ranks.neighbours if ranks else 1), 1),
        ranks=ranks,
        distort=_distortion(settings),
        rng=rng,
    )


def meta(settings: TrainConfig, net: Sequential, train: Dataset) -> dict[str, Any]:
    """Return the metadata that all checkpoints of a run share."""
    return note(net) | {
        "config": to_dict(settings),
        **noted(settings, train.name),
        "data_sha256": train.digest(),
    }


def record(trainer: Trainer, train: Dataset) -> dict[str, Any]:
    """Return the JSON record of a finished run: data, result, environment and date."""
    return {
        "dataset": train.name,
        "provenance": dict(train.provenance),
        "train_images": len(train),
        "parameters": trainer.net.theta.size,
        "last": trainer.history[-1],
        **circumstances(),
    }


def circumstances() -> dict[str, Any]:
    """Return the date, and the versions, machine, CPU and Git commit, on which the exact bits of a run can depend."""
    versions = {"lenet5": __version__, "numpy": np.__version__, "python": platform.python_version()}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions | engine.versions(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "cpu": _cpu(),
        "commit": _commit(),
    }


def _cpu() -> str:
    """Return the name of the CPU and the target for which kernels are compiled."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux
    return f"{name} ({engine.target()})"


def _commit() -> str | None:
    """Return the commit of the Git checkout that contains this package, or None if there is none."""
    here = Path(__file__).parents[1]
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if (here.parent / ".git").exists() else None


def _network(settings: TrainConfig, train: Dataset, rng: np.random.Generator) -> Sequential:
    options = {name: value for name, value in dataclasses.asdict(settings.model).items() if value is not None}
    # The data set determines the following options. The default size and ten classes are not recorded in the spec.
    options["channels"] = train.images.shape[3] if train.images.ndim == 4 else 1
    side = max(train.images.shape[1:3])
    if side > inspect.signature(models.MODELS[settings.model.name]).parameters["size"].default:
        options["size"] = side
    if train.num_classes > 10 or given_path(settings):
        options["classes"] = train.num_classes
        own = all(len(name) == 1 and name.isascii() and name.isprintable() for name in train.classes)
        if own and options.get("output") == "rbf":  # each printable ASCII character has its own code, a bitmap
            options["codes"] = "".join(train.classes)
    return models.from_spec(options, seed=rng)


def make_loss(settings: TrainConfig) -> losses.Loss:
    """Return the loss of a resolved configuration."""
    options = settings.loss
    assert options.scale is not None
    if options.name == "map":
        return losses.MAP(options.j, scale=options.scale)
    if options.name == "softmax":
        return losses.SoftmaxCrossEntropy(options.smoothing, scale=options.scale)
    return (losses.MLE if options.name == "mle" else losses.SquaredError)(scale=options.scale)


def _optimizer(settings: TrainConfig, net: Sequential) -> optim.Optimizer:
    kind = optim.OPTIMIZERS[settings.optimizer.name]
    given = {name: getattr(settings.optimizer, name) for name in kind.options}
    return kind(net.parameters(), **{name: value for name, value in given.items() if value is not None})


def _schedule(settings: TrainConfig) -> optim.schedule.Schedule:
    section = settings.schedule
    make, options = optim.SCHEDULES[section.name]
    made = make(settings.optimizer.lr, settings.epochs, **{name: getattr(section, name) for name in options})
    return optim.schedule.warmup(made, epochs=section.warmup) if section.warmup else made


def _distortion(settings: TrainConfig) -> Distortion | None:
    name = settings.distort.name or "none"
    if name == "none":
        return None
    own = {
        k: v for k, v in dataclasses.asdict(settings.distort).items() if k not in ("name", "final") and v is not None
    }
    known = DISTORTIONS[name]
    return dataclasses.replace(known, **own) if isinstance(known, Distort) else known
