"""The code works without the functions of Linux that macOS or Windows lack."""

import importlib
import mmap
import os
import signal
import sys
from types import SimpleNamespace

import filelock  # noqa: F401 - chooses its kind of lock by the platform, once, when it is imported
import numpy as np
import pytest

from lenet5 import files
from lenet5.training import mpi, shards


@pytest.fixture
def windows(monkeypatch):
    """Remove the functions, signals and modules that Windows lacks, and refuse to open folders."""
    for module, name in (
        (os, "sched_getaffinity"), (os, "sched_yield"), (os, "fchmod"), (os, "fork"),
        (signal, "SIGALRM"), (signal, "alarm"), (signal, "SIGHUP"), (signal, "SIGKILL"),
        (mmap, "MADV_DONTNEED"),
    ):  # fmt: skip
        monkeypatch.delattr(module, name, raising=False)
    for name in ("fcntl", "resource", "pwd", "grp"):
        monkeypatch.setitem(sys.modules, name, None)
    real = os.open

    def refuse_folders(path, *arguments, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_folders)


def test_files(windows, tmp_path):
    for content in (b"one", b"two"):
        with files.atomic_write(tmp_path / "file", keep=tmp_path / "before") as file:
            file.write(content)
    assert (tmp_path / "file").read_bytes() == b"two" and (tmp_path / "before").read_bytes() == b"one"
    np.save(tmp_path / "array.npy", np.arange(9))
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")
    files.forget(mapped)
    assert mapped.sum() == 36


def test_processors(windows):
    assert shards.cores() == (os.cpu_count() or 1)


def test_ranks(windows, monkeypatch):
    """Waiting works without `sched_yield`, and aborting without `alarm`."""
    module = importlib.reload(mpi)
    try:
        ranks = module.Ranks.__new__(module.Ranks)
        ranks.timeout = 60.0
        answers = iter([False, False, True])
        ranks._wait(SimpleNamespace(Test=lambda: next(answers)))
        assert next(answers, None) is None
        codes = []
        ranks._all = SimpleNamespace(Abort=codes.append)
        ranks.abort(5)
        assert codes == [5]
    finally:
        monkeypatch.undo()
        importlib.reload(mpi)


def test_training(windows, tmp_path, monkeypatch):
    """A run can be trained and resumed."""
    from lenet5.train import run

    monkeypatch.chdir(tmp_path)
    options = ["--dataset", "digits", "--train-size", "100", "--quiet"]
    assert run([*options, "--epochs", "1", "--out", "run"]) == 0
    assert run(["--resume", "run", "--epochs", "2", "--quiet"]) == 0
    assert (tmp_path / "run" / "weights.npz").exists()


def test_workers_are_spawned_with_plain_values(tmp_path):
    """Windows and macOS spawn processes, so jobs of a sweep must be picklable."""
    import pickle

    from lenet5.reproduce import TABLES, jobs

    for table in TABLES.values():
        for row in table.rows:
            job = jobs.Job(table.name, row, 0, "digits", None, "0", str(tmp_path))
            assert pickle.loads(pickle.dumps(job)) == job
