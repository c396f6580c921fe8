"""Run the experiments of tables; skip finished runs and resume interrupted ones."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .. import datasets
from ..datasets.base import Dataset
from ..errors import ConfigError, LenetError
from . import pages
from .jobs import Job, execute, finished, read_record, write_record
from .tables import TABLES

__all__ = ["report", "run"]


def run(
    *names: str,
    seeds: int = 5,
    quick: bool = False,
    jobs: int | None = None,
    out: str | Path = "results",
    data_dir: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Run the given tables; write a JSON record per run, ``table.md`` and ``curves.png`` to ``out/NAME/``.

    The runs are independent joblib jobs. Inside ``joblib.parallel_config("dask")`` or ``("ray")`` they are distributed
    over that cluster, whose machines must share the folder `out`. A finished run is reused in every table that has a
    row with the same recipe, data, seed and measures.

    Parameters
    ----------
    *names : str
        Tables to run, as keys of `TABLES`.
    seeds : int
        Number of runs per row, with seeds 0, 1, ...
    quick : bool
        Quick check: one seed, 600 images and two epochs, written to ``out/quick``.
    jobs : int, optional
        Number of processes (default: that of joblib's configuration, or 1).
    out, data_dir : path-like
        Folder for all results, and folder with the data set's files.
    say : callable taking str
        Called with each line of progress output.

    Raises
    ------
    ConfigError
        If a table is unknown, or `seeds` is below 1.
    DataError
        If the data set can be neither found nor downloaded.
    """
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise ConfigError(f"unknown table {', '.join(unknown)}: choose from {', '.join(TABLES)}.")
    if seeds < 1:
        raise ConfigError(f"seeds must be at least 1; found {seeds}.")
    # Use absolute paths, because workers may run in another working directory.
    out, data_dir = Path(out).absolute(), None if data_dir is None else str(Path(data_dir).absolute())
    out = out / "quick" if quick else out
    known, wanted = finished(out), []
    sets: dict[str, tuple[str, str]] = {}  # requested name -> name and digest of the data set found
    for table, row in ((TABLES[name], row) for name in names for row in TABLES[name].rows):
        asked = row.dataset or table.dataset
        if asked not in sets:
            train = _data(table.name, asked, quick, data_dir, say)
            sets[asked] = train.name, train.digest()
        data, digest = sets[asked]
        wanted += [
            Job(table.name, row, seed, data, data_dir, digest, str(out), quick)
            for seed in range(1 if quick else min(seeds, row.seeds or seeds))
        ]
    todo: dict[str, Job] = {}
    for job in wanted:
        if not job.answered_by(known.get(job.key)):
            # Also compute the measures of this run that other tables need or its stored record contains.
            first = todo.setdefault(job.key, job)
            also = known[job.key]["measured"] if job.key in known else ()
            todo[job.key] = dataclasses.replace(first, more=first.more | job.measures | set(also))
    say(f"{len(todo)} runs to do, {len(wanted) - len(todo)} already finished or shared between tables")
    for number, record in enumerate(_in_parallel(list(todo.values()), jobs), 1):
        error = record["result"].get("test_error")
        told = "no test error" if error is None else f"test error {error:.2%}"
        say(
            f"[{number}/{len(todo)}] {record['table']}: {record['row']}, seed {record['seed']}: {told}, "
            f"{record['seconds']:.0f} s"
        )
    known = finished(out)
    for job in wanted:
        if not job.answered_by(known.get(job.key)):
            raise ConfigError(f"{job.path} is missing: all workers must share the folder {out}.")
        if not job.answered_by(read_record(job.path)):
            command = f"python -m lenet5.reproduce run {job.table}{' --quick' if quick else ''}"
            write_record(job.path, known[job.key] | {"table": job.table, "row": job.row.label, "command": command})
    for name in names:
        pages.write(TABLES[name], out)


def report(out: str | Path = "results") -> str:
    """Write all tables that have results to ``out/report.md`` and return its text.

    Raises
    ------
    ConfigError
        If there are no results.
    """
    found = [table for table in TABLES.values() if (Path(out) / table.name).is_dir()]
    if not found:
        raise ConfigError(f"{out} has no results. Run an experiment first: python -m lenet5.reproduce run paper-fig5.")
    return pages.join(found, Path(out))


def _in_parallel(jobs: list[Job], workers: int | None) -> Iterable[dict[str, Any]]:
    import joblib

    calls = [joblib.delayed(execute)(job) for job in jobs]
    try:
        return joblib.Parallel(workers, return_as="generator_unordered")(calls)
    except ValueError:  # the backend cannot return results one by one
        return joblib.Parallel(workers)(calls)


def _data(table: str, name: str, quick: bool, data_dir: str | None, say: Callable[[str], None]) -> Dataset:
    """Return the training set of a data set, or of a substitute if it is unavailable."""
    try:
        return datasets.load(name, data_dir, progress=False)[0]
    except LenetError as error:
        if name.startswith("mnist") and not quick:
            raise
        train, _, notice = datasets.load_auto(data_dir, progress=False)
        say(f"{table}: {error} Using {train.name} instead of {name}. {notice or ''}")
        return train
