"""The training loop, its callbacks and the command `train`, on the embedded digits."""

import csv
import errno
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lenet5
from lenet5 import MAP, SDLM, SGD, datasets, train
from lenet5.errors import CheckpointError, ConfigError, LenetWarning, ShapeError
from lenet5.optim import schedule
from lenet5.run import build as runs
from lenet5.run import config, history
from lenet5.training import callbacks, checkpoint, reports
from lenet5.training.shards import SHARD, Shards
from lenet5.training.trainer import Trainer

PLAIN = ["--dataset", "digits", "--train-size", "300", "--threads", "1", "--quiet"]
SHORT = [*PLAIN, "--optimizer.patterns", "50"]


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def command(*argv):
    return train.run([str(a) for a in argv])


def arrays_of(folder):
    return checkpoint.load(Path(folder) / "checkpoint.npz")[0]


def same_bits(one, other):
    a, b = arrays_of(one), arrays_of(other)
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


def histories(folder):
    """Return the epochs of history.json without the seconds, which differ between runs."""
    rows = history.read(folder)[1]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Folder of an uninterrupted run of three epochs."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert command(*SHORT, "--epochs", 3, "--out", folder) == 0
    return folder


def test_what_a_run_leaves(straight):
    assert {p.name for p in straight.iterdir()} == {
        "checkpoint.npz", "checkpoint.previous.npz", "config.json", "curves.png", "history.csv", "history.json",
        "run.json", "weights.npz",
    }  # fmt: skip
    rows = history.read(straight)[1]
    assert [list(row) for row in rows] == [list(history.COLUMNS)] * 3
    assert [row["epoch"] for row in rows] == [1, 2, 3] and [row["lr"] for row in rows] == [5e-4, 5e-4, 2e-4]
    for row in rows:
        assert row["validation_error"] is None
        assert 0 <= row["test_error"] < 1 and 0 <= row["train_error"] < 1 and row["loss"] > 0 and row["seconds"] > 0
        assert row["rate_min"] < row["rate_median"] < row["rate_max"] <= row["lr"] / 0.02
    with (straight / "history.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(r["test_error"]) for r in table] == [r["test_error"] for r in rows]
    record = json.loads((straight / "run.json").read_text())
    assert record["dataset"] == "digits" and record["train_images"] == 300 and record["last"] == rows[-1]
    assert json.loads((straight / "config.json").read_text())["dataset"] == "digits"
    assert (straight / "curves.png").read_bytes()[:4] == b"\x89PNG"
    net = lenet5.load(straight)
    np.testing.assert_array_equal(net.theta, lenet5.load(straight / "weights.npz").theta)
    test = datasets.load("digits")[1]
    assert (net.predict(test.images) != test.labels).mean() == rows[-1]["test_error"]


def test_the_same_seed_gives_the_same_bits(straight, tmp_path):
    options = json.loads((straight / "config.json").read_text())
    (tmp_path / "again.json").write_text(json.dumps(options))
    assert command("--config", tmp_path / "again.json", "--out", tmp_path / "run") == 0
    assert same_bits(straight, tmp_path / "run") and histories(straight) == histories(tmp_path / "run")
    assert command(*SHORT, "--epochs", 3, "--seed", 1, "--out", tmp_path / "other") == 0
    assert not same_bits(straight, tmp_path / "other")


def test_a_process_that_compiles_gives_the_same_bits(straight, tmp_path):
    """The first process compiles all code, the second reads the cache of the first."""
    for name in ("compiling", "cached"):
        words = [sys.executable, "-m", "lenet5.train", *SHORT, "--epochs", "3", "--out", str(tmp_path / name)]
        subprocess.run(words, check=True, env=os.environ | {"LENET5_CACHE": str(tmp_path / "cache")})
        assert same_bits(straight, tmp_path / name), name


class InterruptAt(callbacks.Callback):
    """Simulates Ctrl-C at an update."""

    def __init__(self, epoch, position):
        self.at = epoch, position

    def on_batch_end(self, trainer):
        if (trainer.epoch, trainer.position) == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("epoch", "position"), [(0, 100), (1, 200), (1, 300)])
def test_a_stopped_run_goes_on_to_the_same_bits(straight, tmp_path, monkeypatch, capsys, epoch, position):
    made = runs.make_trainer

    def interrupted(*args, **options):
        trainer = made(*args, **options)
        trainer.callbacks.insert(0, InterruptAt(epoch, position))
        return trainer

    folder = tmp_path / "run"
    monkeypatch.setattr(runs, "make_trainer", interrupted)
    assert command(*SHORT, "--epochs", 3, "--out", folder) == 130
    monkeypatch.undo()
    assert "Continue with" in capsys.readouterr().err
    note = checkpoint.load(folder / "checkpoint.npz")[1]["trainer"]
    assert (note["epoch"], note["position"]) == ((epoch, position) if position < 300 else (epoch + 1, 0))
    assert command("--resume", folder, "--quiet") == 0
    assert same_bits(straight, folder) and histories(straight) == histories(folder)


def start(*argv):
    words = [sys.executable, "-m", "lenet5.train", *map(str, argv)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, process):
    for _ in range(2400):  # two minutes, for busy machines
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.4])
def test_a_killed_run_goes_on_to_the_same_bits(straight, tmp_path, delay):
    folder = tmp_path / "run"
    # With a checkpoint after every update, the process is often killed while writing one.
    process = start(*SHORT, "--epochs", 3, "--checkpoint-minutes", 0, "--out", folder)
    wait_for(folder / "checkpoint.npz", process)
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert command("--resume", folder, "--quiet") == 0
    assert same_bits(straight, folder) and histories(straight) == histories(folder)
    assert not [p for p in folder.iterdir() if p.name.endswith(".tmp")]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_save_and_say_where(straight, tmp_path, signum, code):
    folder = tmp_path / "run"
    process = start(*SHORT, "--epochs", 300, "--out", folder)
    wait_for(folder / "history.json", process)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code and f"--resume {folder}" in err and "Traceback" not in err and out == ""
    note = checkpoint.load(folder / "checkpoint.npz")[1]["trainer"]
    assert note["epoch"] >= 1


def test_a_finished_run_can_be_given_more_passes(straight, tmp_path):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 1, "--out", folder) == 0
    assert command("--resume", folder, "--quiet") == 0  # the run is already finished
    assert command("--resume", folder, "--epochs", 3) == 0
    assert same_bits(straight, folder)


def test_passes_that_were_added_stay_added(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 1, "--out", folder) == 0
    made = runs.make_trainer

    def interrupted(*args, **options):
        trainer = made(*args, **options)
        trainer.callbacks.insert(0, InterruptAt(2, 100))
        return trainer

    monkeypatch.setattr(runs, "make_trainer", interrupted)
    assert command("--resume", folder, "--epochs", 4) == 130
    monkeypatch.undo()
    assert command("--resume", folder, "--epochs", 2) == 2  # the run is already in the third epoch
    assert "in epoch 3" in capsys.readouterr().err
    assert command("--resume", folder) == 0  # the command printed by the interrupted run
    assert len(histories(folder)) == 4


def test_runs_are_not_overwritten_nor_mixed(straight, tmp_path, capsys):
    before = (straight / "checkpoint.npz").read_bytes()
    assert command(*SHORT, "--out", straight) == 2
    assert "--resume" in capsys.readouterr().err
    assert command("--resume", straight, "--batch-size", 4) == 2
    assert "batch_size" in capsys.readouterr().err
    assert command("--resume", tmp_path) == 4
    assert (straight / "checkpoint.npz").read_bytes() == before


def test_other_images_are_refused_on_resume(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 1, "--out", folder) == 0
    found = datasets.load

    def others(*args, **options):
        images, test = found(*args, **options)
        return images.subset(slice(1, None)), test

    monkeypatch.setattr(datasets, "load", others)
    for mode in ("--resume", "--repeat"):
        assert command(mode, folder) == 4
        assert "images other than those" in capsys.readouterr().err


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(straight, tmp_path, capsys):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 2, "--out", folder) == 0
    damage(folder / "checkpoint.npz")
    assert command("--resume", folder, "--epochs", 3, "--quiet") == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "checkpoint.npz: damaged" in err and "checkpoint.previous.npz" in err
    assert same_bits(straight, folder) and histories(straight) == histories(folder)
    assert (folder / "checkpoint.npz.damaged").exists()
    with pytest.warns(LenetWarning, match="previous"):
        damage(folder / "checkpoint.npz")
        lenet5.load(folder)
    damage(folder / "checkpoint.previous.npz")
    assert command("--resume", folder) == 4
    err = capsys.readouterr().err
    assert err.count("damaged or not") == 2 and err.count("\n") == 1


def test_a_kill_between_two_renames_leaves_the_one_before(straight, tmp_path):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 2, "--out", folder) == 0
    (folder / "checkpoint.npz").unlink()
    assert command("--resume", folder, "--epochs", 3, "--quiet") == 0
    assert same_bits(straight, folder)


def test_an_edited_configuration_is_not_believed(straight, tmp_path, capsys):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 2, "--out", folder) == 0
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"seed": 3}))
    assert command("--resume", folder, "--epochs", 3, "--quiet") == 0
    assert "config.json differs from the configuration in the checkpoint; the latter is used" in capsys.readouterr().err
    assert same_bits(straight, folder)


def test_every_flip_of_a_history_is_noticed(straight, tmp_path):
    content, truth = (straight / "history.json").read_bytes(), history.read(straight)
    rng = np.random.default_rng(0)
    for at, bit in zip(rng.integers(len(content), size=2000), rng.integers(8, size=2000), strict=True):
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        (tmp_path / "history.json").write_bytes(flipped)
        try:
            assert history.read(tmp_path) == truth, (at, bit)  # the bit is in white space
        except CheckpointError:
            pass


def test_a_run_records_what_repeats_it(straight, tmp_path, capsys):
    about, passes = history.read(straight)
    assert about["config"]["seed"] == 0 and about["dataset"] == "digits" and len(about["data_sha256"]) == 64
    start = about["starts"][0]
    assert start.keys() >= {"date", "versions", "machine", "cpu", "commit", "threads"}
    assert {"lenet5", "numpy", "numba", "python"} == start["versions"].keys()
    assert len({row["weights_sha256"] for row in passes}) == 3
    assert command("--repeat", straight, "--out", tmp_path / "again", "--threads", 2) == 0
    assert "equal: 3 epochs" in capsys.readouterr().out
    assert same_bits(straight, tmp_path / "again")
    # A run with another second epoch.
    (tmp_path / "other").mkdir()
    history.write(tmp_path / "other", about, [passes[0], passes[1] | {"loss": 1.0}, passes[2]])
    assert command("--repeat", tmp_path / "other") == 1
    err = capsys.readouterr().err
    assert err.startswith("epoch 2 differs:\n  loss: 1.0 in the other run") and err.count("\n") == 2
    assert len(histories(tmp_path / "other-repeat")) == 2
    assert command("--repeat", straight, "--seed", 1) == 2
    assert "seed" in capsys.readouterr().err


def test_one_process_at_a_time(straight, tmp_path, capsys):
    folder = tmp_path / "run"
    process = start(*SHORT, "--epochs", 300, "--out", folder)
    wait_for(folder / "history.json", process)
    assert command(*SHORT, "--out", folder) == 2 and command("--resume", folder) == 2
    assert capsys.readouterr().err.count("another process is training in this folder") == 2
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1].startswith("stopped in epoch")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_is_named_and_costs_nothing(straight, tmp_path, monkeypatch, capsys, call):
    folder = tmp_path / "run"
    real, calls = getattr(os, call), itertools.count()

    def failing(*args):
        if next(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    monkeypatch.setattr(os, call, failing)
    assert command(*SHORT, "--epochs", 3, "--out", folder) == 1
    monkeypatch.undo()
    err = capsys.readouterr().err
    assert "No space left on device" in err and f"--resume {folder}" in err and err.count("\n") == 1
    assert command("--resume", folder, "--quiet") == 0
    assert same_bits(straight, folder)


@pytest.mark.parametrize("epochs", [1, 2])
def test_whichever_pass_a_resume_starts_from(straight, tmp_path, epochs):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", epochs, "--out", folder) == 0
    assert command("--resume", folder, "--epochs", 3, "--quiet") == 0
    assert same_bits(straight, folder) and histories(straight) == histories(folder)


def test_what_only_watches_changes_no_bit(tmp_path, capsys):
    """Progress bar, TensorBoard, evaluation, checkpoints and threads do not change the result."""
    recipe = ["--dataset", "digits", "--train-size", 300, "--epochs", 2, "--batch-size", 64, "--validation-split", 0.1]
    assert command(*recipe, "--quiet", "--out", tmp_path / "plain") == 0
    for name, options in {
        "told": [],
        "board": ["--tensorboard", tmp_path / "events"] if importlib.util.find_spec("tensorboardX") else [],
        "saved": ["--checkpoint-minutes", 0],
        "threads": ["--threads", 4],
        "patient": ["--patience", 50],
    }.items():
        assert command(*recipe, *options, "--out", tmp_path / name) == 0
        assert same_bits(tmp_path / "plain", tmp_path / name), name


@pytest.mark.parametrize(
    "change",
    [
        {"position": -5},
        {"position": 10**9},
        {"position": 1.5},
        {"epoch": 7},
        {"history": [1]},
        {"history": [{}]},
        {"random": {"bit_generator": "MT19937"}},
        {"random": 3},
        {"callbacks": []},
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(straight, tmp_path, capsys, change):
    arrays, meta = checkpoint.load(straight / "checkpoint.npz")
    meta["trainer"] |= change
    (tmp_path / "config.json").write_text((straight / "config.json").read_text())
    checkpoint.save(tmp_path / "checkpoint.npz", arrays, meta)
    assert command("--resume", tmp_path, "--epochs", 9) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_short_passes_that_diverge_are_noticed(tmp_path):
    argv = ["--dataset", "digits", "--train-size", "100", "--epochs", "3", "--quiet", "--optimizer.lr", "1000"]
    assert command(*argv, "--out", tmp_path / "run") == 5


def test_validation_is_held_out_of_the_training_set(tmp_path, digits):
    folder = tmp_path / "run"
    assert command(*SHORT, "--epochs", 1, "--validation-split", 0.25, "--out", folder) == 0
    row = history.read(folder)[1][0]
    assert row["validation_error"] is not None
    assert row["validation_error"] * round(len(digits[0]) * 0.25) == pytest.approx(
        round(row["validation_error"] * round(len(digits[0]) * 0.25))
    )


def test_early_stopping_waits_and_keeps_the_best(tmp_path, capsys):
    """With a high learning rate, training stops early, keeps the best weights, and cannot be continued by resuming."""
    options = [*PLAIN, "--model", "d2l", "--optimizer.lr", "0.02", "--model.activation", "relu", "--epochs", 40]
    options += ["--validation-split", "0.2", "--patience", 3, "--batch-size", 20]
    assert command(*(o for o in options if o != "--quiet"), "--out", tmp_path / "run") == 0
    rows = histories(tmp_path / "run")
    best = min(range(len(rows)), key=lambda k: rows[k]["validation_loss"])
    assert len(rows) == best + 1 + 3 < 40 and f"since epoch {best + 1}," in capsys.readouterr().out
    train_set, validation = datasets.load("digits")[0].split(0.2, np.random.default_rng([0, 1]))
    kept = lenet5.load(tmp_path / "run" / "best.npz")
    assert (kept.predict(validation.images) != validation.labels).mean() == rows[best]["validation_error"]
    assert command("--resume", tmp_path / "run", "--quiet") == 0  # a stopped run adds no epoch
    assert histories(tmp_path / "run") == rows
    by_error = [*options, "--monitor", "validation_error", "--out", tmp_path / "error"]
    assert command(*by_error) == 0
    errors = [row["validation_error"] for row in histories(tmp_path / "error")]
    assert len(errors) == errors.index(min(errors)) + 1 + 3


def test_early_stopping_needs_what_it_watches(digits):
    net = lenet5.models.d2l()
    hooks = [callbacks.EarlyStopping(2)]
    trainer = Trainer(net, lenet5.SoftmaxCrossEntropy(), SGD(net.parameters(), lr=0.1), hooks, batch_size=50)
    with pytest.raises(ConfigError, match="validation_loss"):
        trainer.fit(digits[0].subset(slice(50)), epochs=2)


def test_early_stopping_counts_a_tie_as_no_progress(digits):
    """An equal value is no improvement, so that a run without progress stops after `patience` epochs."""

    class Recorder(callbacks.Callback):
        def on_epoch_end(self, trainer):
            trainer.history[-1]["validation_error"] = 0.25

    kept = []
    net = lenet5.models.d2l()
    stop = callbacks.EarlyStopping(2, monitor="validation_error", keep=lambda trainer: kept.append(trainer.epoch))
    trainer = Trainer(net, lenet5.SoftmaxCrossEntropy(), SGD(net.parameters(), lr=0.01), [Recorder(), stop])
    assert len(trainer.fit(digits[0].subset(slice(20)), epochs=9)) == 3 and kept == [1]


def test_a_batch_of_two_is_one_update(digits):
    """A batch of two gives the mean gradient of two patterns, and one step."""
    data = digits[0].subset(slice(8))
    net = lenet5.lenet5(seed=3, dtype=np.float64)
    twin, loss = lenet5.lenet5(seed=3, dtype=np.float64), MAP()
    Trainer(net, loss, SGD(net.parameters(), lr=1e-3), [], batch_size=2).fit(data, epochs=1)
    optimizer, order = SGD(twin.parameters(), lr=1e-3), np.random.default_rng(0).permutation(8)
    for start in range(0, 8, 2):
        pair = order[start : start + 2]
        loss.forward(twin.forward(twin.prepared(data.images[pair])), data.labels[pair])
        twin.backward(loss.backward())
        optimizer.step()
    np.testing.assert_allclose(net.theta, twin.theta, rtol=1e-10, atol=1e-12)


def test_a_slow_start_is_no_divergence(digits):
    """Training continues at high error rates if the loss does not exceed that of the untrained network."""
    net = lenet5.lenet5()
    guard = callbacks.GuardDivergence(every=20, settle=0)
    trainer = Trainer(net, MAP(), SGD(net.parameters(), lr=1e-9), [guard])
    row = trainer.fit(digits[0].subset(slice(100)), epochs=1)[0]
    assert row["train_error"] > 0.5 and row["loss"] < 1.2 * guard.state()["untrained"]


def test_linear_algebra_stays_in_one_thread_while_training(digits):
    from threadpoolctl import threadpool_info, threadpool_limits

    class Look(callbacks.Callback):
        def on_batch_end(self, trainer):
            seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    seen: set[int] = set()
    net = lenet5.models.d2l()
    with threadpool_limits(2, user_api="blas"):
        Trainer(net, lenet5.SoftmaxCrossEntropy(), SGD(net.parameters(), lr=0.01), [Look()], batch_size=10).fit(
            digits[0].subset(slice(20)), epochs=1
        )
    assert seen == {1}


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("batch_size", [1, SHARD, 100])
def test_threads_do_not_change_the_bits(tmp_path, threads, batch_size):
    options = [o for o in SHORT if o not in ("--threads", "1")] + ["--epochs", 1, "--batch-size", batch_size]
    assert command(*options, "--threads", 1, "--out", tmp_path / "one") == 0
    assert command(*options, "--threads", threads, "--out", tmp_path / "many") == 0
    assert same_bits(tmp_path / "one", tmp_path / "many") and histories(tmp_path / "one") == histories(
        tmp_path / "many"
    )


@pytest.mark.parametrize("n", [1, SHARD, SHARD + 1, 3 * SHARD + 5])
def test_shards_add_up_to_the_whole_batch(digits, n):
    images, labels = digits[0].images[:n], digits[0].labels[:n]
    net, loss = lenet5.lenet5(dtype=np.float64), MAP()
    whole = loss.forward(net.forward(net.prepared(images)), labels)
    net.backward(loss.backward())
    net.bbprop(loss.bbprop())
    grad, hess = net.parameters().grad.copy(), net.parameters().hess.copy()
    shards = Shards(net, loss, threads=2)
    value, errors = shards.gradient(images, labels)
    assert value / n == pytest.approx(whole) and errors == (net.predict(images) != labels).sum()
    np.testing.assert_allclose(net.parameters().grad, grad, rtol=1e-9, atol=1e-12)
    shards.curvature(images, labels)
    np.testing.assert_allclose(net.parameters().hess, hess, rtol=1e-9, atol=1e-12)
    assert shards.evaluate(images, labels) == pytest.approx((value, errors))
    shards.close()


SMALL = ["--batch-size", "16"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("softmax", ["--loss", "softmax", "--optimizer", "sgd", "--optimizer.lr", "0.01"]),
        ("mle-average", ["--loss", "mle", "--model.subsampling", "average"]),
        ("max-momentum", ["--model.subsampling", "max", "--optimizer", "sgd", "--optimizer.momentum", "0.9"]),
        ("sdlm-latest", ["--optimizer.rule", "latest", "--optimizer.momentum", "0.5", "--schedule", "cosine"]),
        ("decay", ["--optimizer", "sgd", "--optimizer.l2", "1e-4", "--schedule", "step", "--schedule.warmup", "1"]),
        ("adam", ["--optimizer", "adam", "--optimizer.amsgrad", "true", "--batch-size", "32"]),
        ("rmsprop", ["--optimizer", "rmsprop", "--optimizer.momentum", "0.5", "--optimizer.lr", "1e-4"]),
        ("dense", ["--loss", "squared"]),
        ("lenet1", ["--model", "lenet1", "--distort", "noise"]),
        ("lenet4", ["--model", "lenet4", "--distort", "affine", "--distort.translation", "1"]),
        (
            "d2l",
            ["--model", "d2l", "--model.activation", "relu", "--distort", "all", *SMALL],
        ),
        ("prelu", ["--model", "d2l", "--model.activation", "prelu", "--loss.smoothing", "0.1", *SMALL]),
        ("norm", ["--model", "d2l", "--model.norm", "true", "--model.dropout", "0.1", *SMALL]),
        ("adagrad", ["--optimizer", "adagrad", "--optimizer.decay", "1e-3", "--loss", "softmax"]),
    ],
)
def test_other_recipes_train_and_resume(tmp_path, name, options):
    one, two = tmp_path / "one", tmp_path / "two"
    second_order = "--optimizer" not in options and "d2l" not in options
    options = [*(SHORT if second_order else PLAIN), *options]
    assert command("--epochs", 2, *options, "--out", one) == 0
    assert histories(one)[-1]["train_error"] < histories(one)[0]["train_error"]
    assert command("--epochs", 1, *options, "--out", two) == 0
    values = json.loads((two / "config.json").read_text())
    if values["schedule"]["name"] != "cosine":  # its learning rates depend on the number of epochs
        assert command("--resume", two, "--epochs", 2) == 0
        assert same_bits(one, two)


RATES = ["0.05", "1", "100", "1e6"]


@pytest.mark.parametrize(("optimizer", "lr"), [*itertools.product(["sdlm"], RATES), *itertools.product(["sgd"], RATES)])
def test_a_diverged_run_says_what_to_change(tmp_path, capsys, optimizer, lr):
    argv = ["--dataset", "digits", "--quiet", "--epochs", 4, "--optimizer", optimizer, "--optimizer.lr", lr]
    assert command(*argv, "--out", tmp_path / "run") == 5
    message = capsys.readouterr().err
    assert "diverged" in message and "--optimizer.lr" in message and message.count("\n") == 1


@pytest.mark.parametrize("model", ["lenet1", "lenet4", "lenet5-mattwang44", "caffe", "tensorflow-tutorial", "d2l"])
def test_no_network_is_taken_for_a_failed_one_at_its_defaults(tmp_path, model):
    """The defaults do not count as divergence, even if large initial weights double the loss for ten updates."""
    argv = ["--dataset", "digits", "--quiet", "--epochs", 1, "--model", model, "--out", tmp_path / "run"]
    assert command(*argv) == 0


@pytest.mark.parametrize("model", ["lenet5-cifar10", "lenet5", "caffe"])
def test_colour_images_make_a_network_of_three_channels(model):
    rng = np.random.default_rng(0)
    colours = datasets.Dataset(
        rng.integers(256, size=(40, 32, 32, 3), dtype=np.uint8), np.arange(40, dtype=np.uint8) % 12, "colours", ()
    )
    settings = config.from_dict({"model": model, "epochs": 1, "distort": "all", "optimizer": {"name": "sgd"}})
    trainer = runs.make_trainer(settings.resolved(), colours, test=colours)
    history = trainer.fit(colours, epochs=1)
    assert trainer.net.in_shape[0] == 3 and trainer.net.out_shape == (12,)
    assert 0 <= history[0]["test_error"] <= 1 and np.isfinite(history[0]["test_loss"])


def test_labels_must_be_classes_of_the_network(digits):
    net = lenet5.lenet5(codes="01234")
    with pytest.raises(ShapeError, match="5 classes"):
        Trainer(net, MAP(), SGD(net.parameters(), lr=0.1)).fit(digits[0], epochs=1)


def test_the_loop_is_usable_without_the_command(digits):
    net = lenet5.lenet5(seed=1)
    said = []
    trainer = Trainer(
        net,
        MAP(scale=0.5),
        SDLM(net.parameters(), lr=5e-4),
        [
            callbacks.SetRate(schedule.paper()),
            callbacks.CurvaturePass(50),
            reports.ReportRates(said.append),
            callbacks.Rates(),
            callbacks.Evaluate(test=digits[1]),
            callbacks.Clock(),
            reports.Report(said.append),
        ],
        batch_size=1,
    )
    history = trainer.fit(digits[0].subset(slice(200)), epochs=1)
    assert len(history) == 1 and len(said) == 2 and "C1.weight" in said[0] and "test" in said[1]
    assert [line for line in said if "\n" not in line] == said[1:]


def test_state_of_another_trainer_is_refused(digits):
    net = lenet5.lenet5()
    trainer = Trainer(net, MAP(), SGD(net.parameters(), lr=0.1))
    arrays, note = trainer.state()
    other = lenet5.lenet5(subsampling="max")
    with pytest.raises(CheckpointError):
        Trainer(other, MAP(), SGD(other.parameters(), lr=0.1)).load_state(arrays, note)
    with pytest.raises(CheckpointError, match="incomplete"):
        trainer.load_state(arrays, {"epoch": 1})
    with pytest.raises(CheckpointError):
        trainer.load_state({k: v for k, v in arrays.items() if "C1" not in k}, note)


@pytest.mark.skipif("LENET5_DATA" not in os.environ, reason="LENET5_DATA is not set to a folder with MNIST")
def test_first_patterns_of_mnist_are_learned(tmp_path):
    argv = ["--dataset", "mnist", "--train-size", "2000", "--epochs", "2", "--quiet", "--out", tmp_path / "run"]
    assert command(*argv) == 0
    assert histories(tmp_path / "run")[-1]["test_error"] < 0.12


# Callbacks of the loop


class Noted(callbacks.Callback):
    """Records its calls."""

    calls: list[str] = []

    def __init__(self, name, phase):
        self.name, self.phase = name, phase

    def on_epoch_end(self, trainer):
        self.calls.append(self.name)

    def state(self):
        return {"name": self.name}

    def load_state(self, state):
        self.loaded = state.get("name")


def small_trainer(*hooks, **options):
    train = datasets.load("digits")[0].subset(slice(120))
    net = lenet5.lenet5()
    return lenet5.Trainer(net, lenet5.MAP(scale=0.5), lenet5.SDLM(net.parameters(), lr=5e-4), hooks, **options), train


def test_phases_order_callbacks():
    Noted.calls.clear()
    phases = [lenet5.training.Phase[name] for name in ("REPORT", "SAVE", "MEASURE", "PREPARE", "RECORD", "DECIDE")]
    trainer, train = small_trainer(*(Noted(phase.name, phase) for phase in phases), Noted("last", phases[2]))
    trainer.fit(train, epochs=1)
    assert Noted.calls == ["PREPARE", "MEASURE", "last", "DECIDE", "RECORD", "SAVE", "REPORT"]


def test_two_of_one_class_have_states_of_their_own():
    hooks = [Noted("one", lenet5.training.Phase.MEASURE), Noted("other", lenet5.training.Phase.MEASURE)]
    trainer, train = small_trainer(*hooks)
    note = trainer.state()[1]
    assert note["callbacks"] == {"Noted": {"name": "one"}, "Noted-2": {"name": "other"}}
    trainer.load_state(*trainer.state())
    assert [hook.loaded for hook in hooks] == ["one", "other"]


def test_what_callbacks_may_read_is_there_before_fit():
    trainer, train = small_trainer()
    assert trainer.train is trainer.shards is trainer.patterns is None and trainer.epochs == trainer.epoch == 0
    trainer.fit(train, epochs=1)
    assert trainer.train is train and trainer.epochs == 1 and trainer.shards.evaluate(train.images, train.labels)


def test_an_optimizer_gets_the_curvatures_that_it_needs():
    """Curvatures are estimated once per epoch, on the optimiser's or the callback's number of patterns."""
    seen = []

    class Watching(lenet5.SDLM):
        def observe(self):
            seen.append(self.curvature_patterns)
            super().observe()

    for patterns, hooks in ((500, []), (30, []), (40, [callbacks.CurvaturePass(40)])):
        seen.clear()
        trainer, train = small_trainer(*hooks)
        trainer.optimizer = Watching(trainer.net.parameters(), lr=5e-4, patterns=30 if patterns == 30 else 500)
        history = trainer.fit(train, epochs=2)
        assert seen == [patterns] * 2 and trainer.optimizer.curvature.max() > 1
        assert history[-1]["train_error"] < history[0]["train_error"]
    plain = lenet5.SGD(trainer.net.parameters(), lr=0.1)
    assert plain.curvature_patterns == 0 and plain.rates.shape == trainer.net.theta.shape and (plain.rates == 0.1).any()


def test_hooks_by_their_old_names_are_refused():
    class Old(callbacks.Callback):
        def on_pass_end(self, trainer):
            raise AssertionError

    trainer, train = small_trainer(Old())
    with pytest.raises(ConfigError, match="on_epoch_end"):
        trainer.fit(train, epochs=1)


def test_histories_and_checkpoints_of_old_are_read(tmp_path):
    rows = [{"pass": 1, "eta": 5e-4, "loss": 1.0}]
    text = {"run": {"dataset": "digits"}, "sha256": history.digest({"dataset": "digits"}, rows), "passes": rows}
    (tmp_path / "history.json").write_text(json.dumps(text))
    assert history.read(tmp_path)[1] == [{"epoch": 1, "lr": 5e-4, "loss": 1.0}]
    trainer, _ = small_trainer()
    arrays, note = trainer.state()
    trainer.load_state(arrays, note | {"epoch": 1, "history": rows})
    assert trainer.history == [{"epoch": 1, "lr": 5e-4, "loss": 1.0}]
