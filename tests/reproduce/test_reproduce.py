"""Tables: completeness, sweeps, resuming after a kill, clusters, and reports compared with results by hand."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest

from lenet5 import datasets, reproduce
from lenet5.analysis import metrics
from lenet5.analysis.committee import Committee
from lenet5.errors import ConfigError
from lenet5.files import locked
from lenet5.layers import AvgPool2D
from lenet5.models import load
from lenet5.reproduce import TABLES, jobs, measures, pages, sweep
from lenet5.reproduce.__main__ import main
from lenet5.reproduce.base import Column, Row, Table
from lenet5.reproduce.classifiers import CLASSIFIERS
from lenet5.reproduce.neighbours import MEMORIES
from lenet5.reproduce.variants import VARIANTS
from lenet5.run import config
from lenet5.run.build import make_trainer

NAMES = [
    "tensorflow-tutorial", "modern-techniques", "fashion-learning-rate", "caffe-keras", "mattwang44", "output-layer",
    "sub-sampling", "paper-fig5", "paper-fig6", "paper-fig9", "paper-rejection", "paper-fig13-noise", "paper-literal",
    "fashion-mnist", "modern-best", "paper-section-vii", "optimal-brain-damage",
]  # fmt: skip
ON_DIGITS = "from lenet5 import datasets; from lenet5.reproduce import sweep; "
ON_DIGITS += "sweep._data = lambda *arguments: datasets.load('digits')[0]; "


@pytest.fixture
def on_digits(monkeypatch):
    """Run all tables on the embedded digits, even if MNIST is on disk."""
    monkeypatch.setattr(sweep, "_data", lambda *arguments: datasets.load("digits")[0])


def records(out):
    """Return the results of a sweep, without times and other values that differ between runs."""
    found = {}
    for path in sorted(out.glob("*/*-seed-*.json")):
        record = json.loads(path.read_text())
        for entry in (record["result"], *record["history"]):
            entry.pop("seconds", None)
        found[str(path.relative_to(out))] = [record[k] for k in ("key", "row", "seed", "result", "history")]
    return found


def test_every_table_is_there_and_can_be_configured():
    assert sorted(TABLES) == sorted(NAMES)
    for table in TABLES.values():
        labels = [row.label for row in table.rows]
        assert len(set(labels)) == len(labels)
        paths = {jobs.Job(table.name, row, 0, "mnist", None, "", "out").path for row in table.rows}
        assert len(paths) == len(labels)
        for row in table.rows:
            config.from_dict(row.config).resolved()
            assert set(row.measures) <= measures.MEASURES.keys() | measures.WATCHERS.keys() | MEMORIES.keys()
            assert set(row.theirs) <= {column.heading for column in table.columns}
            assert row.classifier in {"", *CLASSIFIERS} and row.variant in {"", *VARIANTS}
    assert len(TABLES["tensorflow-tutorial"].rows) == 2 * 7
    assert len(TABLES["modern-techniques"].rows) == 7 + 2 * 3 * 2
    assert len(TABLES["paper-literal"].rows) == 2**3


def test_runs_are_shared_and_not_repeated(tmp_path, on_digits):
    told = []
    options = {"quick": True, "out": tmp_path, "say": told.append}
    reproduce.run("paper-fig6", "sub-sampling", **options)
    assert told[0] == "6 runs to do, 1 already finished or shared between tables"
    first = records(tmp_path / "quick")  # separate from the full runs
    assert first["paper-fig6/60-000-seed-0.json"][3:] == first["sub-sampling/trainable-seed-0.json"][3:]
    told.clear()
    reproduce.run("paper-fig6", "sub-sampling", **options)
    assert told == ["0 runs to do, 7 already finished or shared between tables"]
    assert records(tmp_path / "quick") == first
    assert not list(tmp_path.glob("*/.unfinished/*"))
    (tmp_path / "quick" / "sub-sampling" / "average-seed-0.json").write_text("{ half a rec")  # must be run again
    reproduce.run("sub-sampling", **options)
    assert records(tmp_path / "quick") == first
    text = reproduce.report(tmp_path / "quick")
    assert text == (tmp_path / "quick" / "report.md").read_text()
    assert text.count("\n## ") == 1 + 2 and "| 60,000 distorted | " in text
    assert "0.82 %" not in text  # the paper's result for MNIST must not appear next to results for digits
    for name in ("paper-fig6", "sub-sampling"):
        assert (tmp_path / "quick" / name / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_what_several_tables_measure_of_one_run_is_kept(tmp_path, on_digits):
    told = []
    options = {"quick": True, "out": tmp_path, "say": told.append}
    for _ in range(2):
        reproduce.run("paper-rejection", **options)
        reproduce.run("paper-fig13-noise", **options)
    runs_to_do = [int(text.split()[0]) for text in told if "to do" in text]
    assert runs_to_do[2:] == [0, 0]
    paths = list((tmp_path / "quick").glob("*/lenet-5-distorted-seed-0.json"))
    assert len(paths) == 2
    for path in paths:
        needed = {"paper-rejection": "rejected", "paper-fig13-noise": "noise_0.1"}[path.parent.name]
        assert jobs.read_record(path)["result"][needed] is not None
        assert jobs.read_record(path)["command"].endswith(f"{path.parent.name} --quick")


def test_another_process_is_waited_for(tmp_path):
    lock = tmp_path / "one.lock"
    code = "import sys, time; from lenet5.files import locked\nwith locked(sys.argv[1]): print(flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    other.stdout.readline()
    # The other process continues after this process has found the lock taken.
    threading.Timer(1.0, lambda: other.communicate("go\n")).start()
    with locked(lock) as waited:
        assert waited and lock.exists()
    with locked(lock) as waited:
        assert not waited
    assert not lock.exists()


def test_workers_that_share_no_folder_are_told(tmp_path, on_digits, monkeypatch):
    monkeypatch.setattr(sweep, "execute", lambda job: {"result": {}, "table": "", "row": "", "seed": 0, "seconds": 0})
    with pytest.raises(ConfigError, match="share the folder"):
        reproduce.run("paper-fig5", quick=True, out=tmp_path)


def test_a_run_that_is_killed_goes_on_to_the_same_figures(tmp_path, on_digits, monkeypatch):
    class Killed(BaseException):
        pass

    class Kill(measures.Saturation):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 1:
                raise Killed

    row = TABLES["paper-literal"].rows[4]
    make = lambda out: jobs.Job("paper-literal", row, 0, "digits", None, "sha", str(tmp_path / out), True)  # noqa: E731
    jobs.execute(make("straight"))
    with monkeypatch.context() as patched:
        patched.setitem(measures.WATCHERS, "saturation", Kill)
        with pytest.raises(Killed):
            jobs.execute(make("killed"))
    unfinished = tmp_path / "killed" / ".unfinished" / make("killed").key / "checkpoint.npz"
    assert unfinished.exists() and not records(tmp_path / "killed")
    record = make("killed").path
    record.parent.mkdir(exist_ok=True)
    record.with_name(f".{record.name}.x0x0.tmp").touch()  # as if the process had been killed while writing
    jobs.execute(make("killed"))
    assert not list(record.parent.glob(".*.tmp"))
    assert records(tmp_path / "killed") == records(tmp_path / "straight") != {}
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"of another version")
    jobs.execute(make("killed"))
    assert records(tmp_path / "killed") == records(tmp_path / "straight")


def test_a_sweep_that_is_killed_twice_goes_on_to_the_same_figures(tmp_path):
    def command(out):
        code = f"{ON_DIGITS} sweep.run('paper-literal', quick=True, out={str(tmp_path / out)!r})"
        return [sys.executable, "-c", code]

    subprocess.run(command("straight"), check=True)
    expected = records(tmp_path / "straight" / "quick")
    assert len(expected) == 8
    for least in (2, 5):
        process = subprocess.Popen(command("killed"))
        while len(list((tmp_path / "killed").glob("quick/*/*-seed-*.json"))) < least:
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(records(tmp_path / "killed" / "quick")) < 8
    subprocess.run(command("killed"), check=True)
    assert records(tmp_path / "killed" / "quick") == expected


@pytest.mark.filterwarnings("ignore")  # warnings of the cluster's libraries
def test_a_sweep_on_a_cluster_of_two_workers(tmp_path, on_digits):
    distributed = pytest.importorskip("distributed")
    reproduce.run("sub-sampling", quick=True, out=tmp_path / "here")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        reproduce.run("sub-sampling", quick=True, out=tmp_path / "there")
    assert records(tmp_path / "there" / "quick") == records(tmp_path / "here" / "quick") != {}


@pytest.mark.filterwarnings("ignore")  # warnings of the cluster's libraries
def test_a_worker_of_a_cluster_that_is_killed_costs_no_finished_run(tmp_path, on_digits):
    distributed = pytest.importorskip("distributed")
    reproduce.run("paper-literal", quick=True, out=tmp_path / "here")
    there, finished = tmp_path / "there" / "quick", {}

    def kill(pid):
        while len(found := list(there.glob("*/*-seed-*.json"))) < 2:
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        finished.update({path: path.stat().st_mtime_ns for path in found})

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        killer = threading.Thread(target=kill, args=[cluster.workers[0].pid])
        killer.start()
        reproduce.run("paper-literal", quick=True, out=tmp_path / "there")
        killer.join()
    assert records(there) == records(tmp_path / "here" / "quick") and len(records(there)) == 8
    assert 2 <= len(finished) < 8
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # finished runs are not repeated


def test_classifiers_learn(tmp_path):
    train, test = datasets.load("digits")
    images = train.images.reshape(len(train), -1)[:700] / np.float32(255)
    held_out = test.images.reshape(len(test), -1) / np.float32(255)
    for name in ("linear", "pairwise-linear", "k-nearest", "pca-quadratic", "rbf-network", "svm-poly-4"):
        made = CLASSIFIERS[name](0, 700).fit(images, train.labels[:700])
        assert (made.predict(held_out) != test.labels).mean() < 0.25, name


def test_a_committee_is_of_the_networks_that_its_members_keep(tmp_path, on_digits):
    test = datasets.load("digits")[1].subset(slice(300))
    options, folder = {"quick": True, "out": tmp_path}, tmp_path / "quick" / "modern-best"
    reproduce.run("modern-best", **options)
    (path,) = folder.glob("a-committee-*.json")
    files = sorted(folder.glob("*.npz"))
    together = Committee(map(load, files)).predict(test.images)
    record = jobs.read_record(path)
    assert record["result"]["test_error"] == np.mean(together != test.labels)
    assert record["members"] == [np.mean(load(file).predict(test.images) != test.labels) for file in files]
    assert len(set(record["members"])) > 1 and not record["history"]
    stamp = files[0].stat().st_mtime_ns
    files[1].unlink()  # as in a fresh clone, which has no weights of runs
    reproduce.run("modern-best", **options)
    assert not files[1].exists()
    path.unlink()
    reproduce.run("modern-best", **options)
    assert files[1].exists() and files[0].stat().st_mtime_ns == stamp
    assert jobs.read_record(path)["result"] == record["result"]
    assert "| a committee of five of them | " in (folder / "table.md").read_text()


def test_the_three_mistakes_are_made():
    settings = config.from_dict(TABLES["mattwang44"].rows[0].config).resolved()
    train = datasets.load("digits")[0]

    def curvature(variant):
        trainer = make_trainer(settings, train.subset(slice(300)), guard=False)
        if variant:
            VARIANTS[variant](trainer)
        trainer.fit(train.subset(slice(300)), epochs=1)
        return trainer.net.parameters().slices(), trainer.optimizer.curvature

    slices, right = curvature("")
    _, summed = curvature("rate-per-layer")
    _, quarter = curvature("pool-quarter")
    for name, part in slices.items():
        assert np.ptp(summed[part]) == 0
        weights = slices[name.replace(".bias", ".weight")]
        np.testing.assert_allclose(summed[part][0], right[weights].sum(dtype=np.float64), rtol=1e-4)
    # Between C3 and the output there is one pooling layer, for C1 two: each has 1/4 instead of 1/16.
    for name, factor in (("F6.weight", 1), ("C5.weight", 1), ("C3.weight", 4), ("C1.weight", 16)):
        np.testing.assert_allclose(quarter[slices[name]], factor * right[slices[name]], rtol=1e-3, atol=1e-9)
    assert type(make_trainer(settings, train).net["S2"]) is AvgPool2D  # the wrong layer is not kept


def test_measures_of_a_trained_network():
    import lenet5

    net, (_, test) = lenet5.pretrained(), datasets.load("digits")
    found = measures.robustness(net, test, None)
    assert {"noise_0.1", "rotation_-30", "scale_0.7", "down_4", "rotation_30_either"} <= found.keys()
    assert found["noise_0.3"] > found["noise_0.05"] and found["rotation_40"] > found["rotation_10"]
    rejected = measures.rejected(net, test, None)["rejected"]
    assert rejected == metrics.rejection_rate(-net.outputs(test.images), test.labels)
    assert measures.top_3(net, test, test)["validation_top_3"] >= (net.predict(test.images) == test.labels).mean()


def test_pages_by_hand(tmp_path):
    table = Table(
        "mine",
        "My table",
        "Some words.",
        (Row("a", theirs={"test error": "2.0 %"}, note="Why."), Row("b"), Row("not yet")),
        (Column("test error", "test_error"), Column("loss", "loss", ".1f"), Column("second", "test_error@2")),
        dataset="digits",
    )
    old = {"table": "mine", "row": "b", "seed": 1, "key": "", "recipe": "of an earlier row b", "measured": []}
    old |= {"dataset": "digits", "seconds": 1.0, "result": {"test_error": 0.0}, "history": []}
    old |= {"test_images": 360, "date": "2026-01-01T", "machine": "M"}
    jobs.write_record(tmp_path / "mine" / "b-seed-1.json", old)
    for row, seed, error, loss in [("a", 0, 0.01, 1.0), ("a", 1, 0.02, None), ("b", 0, 0.5, 2.0)]:
        record = {"table": "mine", "row": row, "seed": seed, "key": f"{row}{seed}", "measured": [], "seconds": 90.0}
        record["recipe"] = jobs.recipe(Row(row))
        history = [{"epoch": k, "test_error": error} for k in range(1, 2 + seed)]
        record |= {"result": {"test_error": error, "loss": loss}, "history": history}
        record |= {"dataset": "digits", "test_images": 360, "command": "do", "date": "2026-01-02T", "machine": "M"}
        jobs.write_record(tmp_path / "mine" / f"{row}-seed-{seed}.json", record)
    other = jobs.read_record(tmp_path / "mine" / "a-seed-0.json") | {
        "dataset": "mnist",
        "date": "2025-12-31T",
        "seed": 2,
    }
    jobs.write_record(tmp_path / "mine" / "a-seed-2.json", other)  # an older record, on MNIST
    (tmp_path / "mine" / "a-seed-3.json").write_text("{}")
    pages.write(table, tmp_path)
    lines = (tmp_path / "mine" / "table.md").read_text().splitlines()
    assert lines[4] == "|  | test error: theirs | ours | loss | second | runs | minutes each | what differs |"
    assert lines[6] == "| a | 2.0 % | 1.50 % ± 6.35 (0.71) | 1.0, 1 without | 2.00 %, 1 without | 2 | 1.5 | Why. |"
    assert lines[7] == "| b |  | 50.00 % | 2.0 | - | 1 | 1.5 |  |"
    assert lines[8] == "| not yet |  |  |  |  | not run |  |  |"
    assert "0.1 hours of wall time" in lines[-1] and "digits (360 test images)" in lines[-1]


def test_the_command(tmp_path, on_digits, capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    assert main(["run", "paper-fig5", "--quick", "--jobs", "1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "[1/1] paper-fig5: LeNet-5, seed 0: test error" in out and "table.md" in out
    assert main(["report", "--out", str(tmp_path / "quick")]) == 0
    for argv, what in [
        (["run"], "names of tables"),
        (["run", "paper-fig55"], "unknown table paper-fig55"),
        (["run", "paper-fig5", "--seeds", "0"], "seeds must be at least 1"),
        (["run", "paper-fig5", "--jobs", "0"], "at least 1"),
        (["walk"], "list, run or report"),
        (["list", "paper-fig5"], "takes no names"),
        (["report", "--out", str(tmp_path / "none")], "has no results"),
    ]:
        with pytest.raises(ConfigError, match=what):
            main(argv)
