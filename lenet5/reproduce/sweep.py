"""Run tables: finished runs are not repeated, and interrupted ones are resumed."""

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
    """Run tables, and write ``out/NAME/``: a JSON record per run, ``table.md`` and ``curves.png``.

    The runs are independent jobs of joblib: inside ``joblib.parallel_config("dask")``, or ``"ray"``, they go
    to that cluster, whose machines have to share the folder `out`. A finished run is found again by all
    that determines its numbers, in any table.

    Parameters
    ----------
    *names : str
        Keys of `TABLES`.
    seeds : int
        Runs of each row, with seeds 0, 1, ...
    quick : bool
        One seed, a few hundred images, two passes, into ``out/quick``: to see that everything works.
    jobs : int, optional
        Processes; default: joblib's configuration, else 1.
    out, data_dir : path-like
        Folder of all results, and of the data set's files.
    say : callable taking str
        Told of each run that has ended.

    Raises
    ------
    ConfigError
        If there is no such table, or no seed.
    DataError
        If the data can neither be found nor downloaded.
    """
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise ConfigError(f"no table {', '.join(unknown)}; there are {', '.join(TABLES)}.")
    if seeds < 1:
        raise ConfigError(f"a table needs at least one seed; found {seeds}.")
    # Workers may have another working directory.
    out, data_dir = Path(out).absolute(), None if data_dir is None else str(Path(data_dir).absolute())
    out = out / "quick" if quick else out
    known, wanted = finished(out), []
    sets: dict[str, tuple[str, str]] = {}  # asked for -> name and digest of what there is
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
            # With all that other tables want or already have of the same run.
            first = todo.setdefault(job.key, job)
            also = known[job.key]["measured"] if job.key in known else ()
            todo[job.key] = dataclasses.replace(first, more=first.more | job.measures | set(also))
    say(f"{len(todo)} runs to do, {len(wanted) - len(todo)} finished or shared between tables")
    for number, record in enumerate(_in_parallel(list(todo.values()), jobs), 1):
        error = record["result"].get("test_error")
        told = "no answer" if error is None else f"test error {error:.2%}"
        say(
            f"[{number}/{len(todo)}] {record['table']}: {record['row']}, seed {record['seed']}: {told}, "
            f"{record['seconds']:.0f} s"
        )
    known = finished(out)
    for job in wanted:
        if not job.answered_by(known.get(job.key)):
            raise ConfigError(f"{job.path} has not appeared: all workers have to share the folder {out}.")
        if not job.answered_by(read_record(job.path)):
            command = f"python -m lenet5.reproduce run {job.table}{' --quick' if quick else ''}"
            write_record(job.path, known[job.key] | {"table": job.table, "row": job.row.label, "command": command})
    for name in names:
        pages.write(TABLES[name], out)


def report(out: str | Path = "results") -> str:
    """Join the tables that have been run into ``out/report.md``; return its text.

    Raises
    ------
    ConfigError
        If there is none.
    """
    found = [table for table in TABLES.values() if (Path(out) / table.name).is_dir()]
    if not found:
        raise ConfigError(f"{out} holds no results: run a table first, as python -m lenet5.reproduce run paper-fig5.")
    return pages.join(found, Path(out))


def _in_parallel(jobs: list[Job], workers: int | None) -> Iterable[dict[str, Any]]:
    import joblib

    calls = [joblib.delayed(execute)(job) for job in jobs]
    try:
        return joblib.Parallel(workers, return_as="generator_unordered")(calls)
    except ValueError:  # a backend that gives everything back at the end
        return joblib.Parallel(workers)(calls)


def _data(table: str, name: str, quick: bool, data_dir: str | None, say: Callable[[str], None]) -> Dataset:
    """Return the training set of that name, or one that can be had in its place."""
    try:
        return datasets.load(name, data_dir, progress=False)[0]
    except LenetError as error:
        if name.startswith("mnist") and not quick:
            raise
        train, _, notice = datasets.load_auto(data_dir, progress=False)
        say(f"{table}: {error} It runs on {train.name} in place of {name}. {notice or ''}")
        return train
