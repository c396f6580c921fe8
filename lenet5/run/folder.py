"""Start, resume or repeat a run in its folder, under a lock."""

import dataclasses
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, ConfigError, LenetWarning
from ..files import clear_unfinished, locked
from ..training import checkpoint
from . import config
from .config import TrainConfig

__all__ = ["History", "Saved", "alone", "begun", "continued", "repeated", "same_data"]

_CONFIG = "config.json"
# All files that a run writes.
_FILES = {
    "best.npz", checkpoint.NAME, _CONFIG, "curves.png", "history.csv", "history.json", "run.json", "weights.npz",
}  # fmt: skip

# The content of a checkpoint (arrays, metadata) and of a history (run, records of its epochs).
Saved = tuple[dict[str, Any], dict[str, Any]]
History = tuple[dict[str, Any], list[dict[str, Any]]]


@contextmanager
def alone(folder: Path, *, resume: bool = False) -> Iterator[None]:
    """Lock a run's folder for this process.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    resume : bool
        True if the folder must contain a run; False if it must not.

    Raises
    ------
    ConfigError
        If another process is training in the folder, or a new run would overwrite an existing one.
    CheckpointError
        If there is no run to resume.
    """
    if resume and not folder.is_dir():
        raise CheckpointError(f"{folder}: no run to resume: the folder does not exist.")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", wait=False))
        except BlockingIOError:
            raise ConfigError(
                f"{folder}: another process is training in this folder. Wait until it ends, or choose another --out."
            ) from None
        if not resume and any((folder / name).exists() for name in (_CONFIG, checkpoint.NAME)):
            raise ConfigError(
                f"{folder} already contains a run. Continue it with --resume {folder}, or choose another --out."
            )
        clear_unfinished(folder, _FILES)
        yield


def begun(file: str | None, given: dict[str, Any]) -> TrainConfig:
    """Return the configuration of a new run: a file's options, overridden by the given ones.

    Raises
    ------
    ConfigError
        If an option is wrong. The message names the source of the option.
    """
    values = config.read(file) if file else {}
    # Check the file on its own first, so that an error message names the source: the file or the command line.
    config.from_dict(values, where=file or "")
    return config.from_dict(_merged(values, given), where="command line").resolved()


def _merged(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return `values`, overridden by the sections and options of `given`."""
    merged = dict(values)
    for name, value in given.items():
        below = merged.get(name)
        if isinstance(value, dict):
            below = {"name": below} if isinstance(below, str) else below or {}
            value = below | value
        merged.pop(name.replace("_", "-"), None)
        merged[name] = value
    return merged


def continued(folder: Path, given: dict[str, Any]) -> tuple[TrainConfig, Saved | None]:
    """Return the configuration of the run in `folder`, and its newest undamaged checkpoint, or None before the first.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    given : dict
        Options to change.

    Raises
    ------
    CheckpointError
        If there is no run, or none of its checkpoints can be read.
    """
    file, path = folder / checkpoint.NAME, folder / _CONFIG
    saved = None
    if file.exists() or checkpoint.previous(file).exists():
        arrays, meta, notice = checkpoint.load_newest(file)
        saved, values = (arrays, meta), meta.get("config", {})
        if notice:
            warnings.warn(notice, LenetWarning, stacklevel=2)
            if file.exists():
                # Otherwise the next save would replace the previous checkpoint with the damaged one.
                os.replace(file, file.with_name(file.name + ".damaged"))
        if not _holds(path, values):
            text = f"{path} differs from the configuration in the checkpoint; the latter is used."
            warnings.warn(text, LenetWarning, stacklevel=2)
    elif path.exists():
        values = config.read(path)
    else:
        raise CheckpointError(f"{folder}: no run to resume: the folder has no {_CONFIG}. Start again without --resume.")
    values = values | given | {"out": str(folder)}
    return config.from_dict(values, where=str(file if saved else path)).resolved(), saved


def _holds(path: Path, values: dict[str, Any]) -> bool:
    try:
        return config.read(path) == values
    except ConfigError:
        return False


def repeated(name: str, run: dict[str, Any], given: dict[str, Any]) -> TrainConfig:
    """Return the configuration for repeating a run, with another output folder."""
    settings = config.from_dict(run.get("config", {}), where=f"{name}: the configuration in its history")
    own: dict[str, Any] = {"out": f"{name.rstrip('/')}-repeat", "quiet": False, "tensorboard": None} | given
    return dataclasses.replace(settings, **own).resolved()


def same_data(then: dict[str, Any], now: dict[str, Any], where: str | Path) -> None:
    """Check that two runs were trained on the same images.

    Raises
    ------
    CheckpointError
        If they were trained on different images.
    """
    if then.get("data_sha256") != now["data_sha256"]:
        raise CheckpointError(
            f"{where}: trained on images other than those of {now['dataset']}. Use the original data set."
        )
