"""``history.json``: the records of all epochs and everything needed to repeat the run, protected by a hash."""

import csv
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..files import atomic_write
from ..training.trainer import Callback, Phase, Trainer, renamed

__all__ = ["COLUMNS", "NAME", "CompareHistory", "WriteHistory", "digest", "read", "write"]

NAME = "history.json"
# Keys of an epoch's record, in the order of history.json and history.csv. Errors are fractions; seconds is wall time;
# weights_sha256 is the first 16 hex digits of the SHA-256 of all parameters and running statistics after the epoch.
COLUMNS = (
    "epoch", "lr", "loss", "train_error", "validation_loss", "validation_error", "test_loss", "test_error",
    "rate_min", "rate_median", "rate_max", "seconds", "weights_sha256",
)  # fmt: skip
_MAX_BYTES = 1 << 26


def write(folder: Path, run: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> None:
    """Write ``history.json``, with a SHA-256 of its content, and ``history.csv``.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    run : mapping
        Everything needed to repeat the run, in types that JSON supports.
    epochs : sequence of mapping
        Records of the epochs; only the keys in `COLUMNS` are written.
    """
    rows = [{column: record.get(column) for column in COLUMNS} for record in epochs]
    head = json.dumps({"run": dict(run), "sha256": digest(run, rows)}, indent=1).removesuffix("\n}")
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    with atomic_write(folder / NAME, text=True) as file:
        file.write(f'{head},\n "epochs": [\n  {lines}\n ]\n}}\n')
    with atomic_write(folder / "history.csv", text=True) as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read a file written by `write`.

    Parameters
    ----------
    path : path-like
        The file or the folder of the run.

    Returns
    -------
    run : dict
        Everything needed to repeat the run.
    epochs : list of dict
        Records of the epochs.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or edited.
    """
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CheckpointError(f"{path}: too large for the history of a run; expected at most {_MAX_BYTES:,} bytes.")
        content = json.loads(path.read_bytes())
        run, rows = content["run"], content["epochs"] if "epochs" in content else content["passes"]
        whole = isinstance(run, dict) and isinstance(rows, list) and content["sha256"] == digest(run, rows)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; it is written after the first epoch of a run.") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, or not the history of a run: {error!r}.") from error
    if not whole:
        raise CheckpointError(f"{path}: damaged or edited: its content does not match its SHA-256.")
    return run, [renamed(row) for row in rows]


def digest(run: Any, rows: Any) -> str:
    """Return the SHA-256 of a run's description and the records of its epochs, both in JSON form."""
    return hashlib.sha256(json.dumps([run, rows], sort_keys=True).encode()).hexdigest()


class WriteHistory(Callback):
    """Write ``history.json`` and ``history.csv`` after each epoch, and again when a run is resumed.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    run : dict
        Configuration and data of the run.
    here : dict
        Date, machine and versions, as recorded when the run is started or resumed.
    """

    phase = Phase.RECORD

    def __init__(self, folder: Path, run: dict[str, Any], here: dict[str, Any]) -> None:
        self.folder, self.run, self.here = folder, run, here
        self._starts: list[dict[str, Any]] = []

    def on_train_begin(self, trainer: Trainer) -> None:
        """Rewrite the files to match the checkpoint; if the process was killed, they can differ from it."""
        self._starts.append({"after_epochs": trainer.epoch, "after_patterns": trainer.position, **self.here})
        if trainer.history or (self.folder / NAME).exists():
            self._write(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write both history files."""
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        write(self.folder, self.run | {"starts": self._starts}, trainer.history)

    def state(self) -> dict[str, Any]:
        """Return one record per start or resumption of the run."""
        return {"starts": self._starts}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the records of earlier starts."""
        self._starts = [dict(start) for start in state.get("starts", [])]


class CompareHistory(Callback):
    """Compare every epoch with that of another run; stop at the first difference, or after the other run's last epoch.

    Parameters
    ----------
    epochs : list of dict
        Records of the other run, as returned by `read`.

    Attributes
    ----------
    difference : str
        Description of the first epoch that differs; empty if there is none.
    """

    phase = Phase.RECORD

    def __init__(self, epochs: list[dict[str, Any]]) -> None:
        self.epochs, self.difference = epochs, ""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Compare the record of the epoch with that of the other run."""
        expected, found = self.epochs[trainer.epoch - 1], trainer.history[-1]
        for name in expected.keys() - {"seconds"}:
            if expected[name] != found.get(name):
                self.difference += f"  {name}: {expected[name]!r} in the other run, {found.get(name)!r} here\n"
        if self.difference:
            self.difference = f"epoch {trainer.epoch} differs:\n{self.difference}"
        trainer.stop |= bool(self.difference) or trainer.epoch == len(self.epochs)
