"""Load the images of a run from the source that its configuration or its files specify."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import datasets
from ..datasets.base import Dataset
from ..errors import CheckpointError, ConfigError, shown
from .config import TrainConfig, from_dict

__all__ = ["TEST_SET", "given_path", "load_again", "load_configured", "noted"]

# Help text for --dataset of the commands that pass it to `load_again`.
TEST_SET = f"auto, {', '.join(datasets.NAMES)}, or a path (default: the training data set)"


def given_path(settings: TrainConfig) -> bool:
    """Return whether the data set is given by a path instead of a name."""
    return settings.dataset not in ("auto", *datasets.NAMES)


def load_configured(settings: TrainConfig) -> tuple[Dataset, Dataset, str | None]:
    """Return the training and test sets of a configuration, and a notice for the user, or None."""
    options: dict[str, Any] = {"verify": settings.verify, "progress": not settings.quiet}
    if settings.dataset == "auto":
        return datasets.load_auto(settings.data_dir, **options)
    reading = _reading(settings.data) if given_path(settings) else {}
    train, test = datasets.load(settings.dataset, settings.data_dir, mmap=settings.mmap, **options, **reading)
    return train, test, None


def noted(settings: TrainConfig, name: str) -> dict[str, Any]:
    """Return the metadata about the source of a run's images; `name` is the name of the data set."""
    if not given_path(settings):
        return {"dataset": name}
    path = {"path": os.path.abspath(Path(settings.dataset).expanduser()), "data": dataclasses.asdict(settings.data)}
    return {"dataset": name, "source": path}


def load_again(
    meta: Mapping[str, Any], dataset: str | None, data_dir: str | None, *, verify: bool, progress: bool
) -> tuple[Dataset, Dataset]:
    """Load a data set by name or path, by default the one recorded in the network's metadata.

    Raises
    ------
    CheckpointError
        If the metadata cannot be read.
    LenetError
        If the data set cannot be loaded.
    """
    source = meta.get("source")
    reading: dict[str, Any] = {}
    if dataset is None and source is not None:
        try:
            dataset = str(source["path"])
            reading = _reading(from_dict({"data": source["data"]}, where="metadata").data)
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(
                f"The network's record of its data set cannot be read: {shown(error)}. Give a data set with --dataset."
            ) from error
    name = dataset or str(meta.get("dataset", "auto"))
    if name != "auto":
        return datasets.load(name, data_dir, verify=verify, progress=progress, **reading)
    train, test, notice = datasets.load_auto(data_dir, verify=verify, progress=progress)
    if notice:
        print(notice, file=sys.stderr)
    return train, test


def _reading(section: Any) -> dict[str, Any]:
    """Return the options of `datasets.load` that are set in the `data` section of a configuration."""
    return {name: value for name, value in dataclasses.asdict(section).items() if value is not None}
