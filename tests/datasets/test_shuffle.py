"""Memory-mapped data sets: order of the images, reading ahead in a thread, and training."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from lenet5 import datasets, train
from lenet5.datasets import Dataset, load_idx_pair, write_idx
from lenet5.datasets import shuffle as blocks
from lenet5.datasets.shuffle import Blocks, Patterns, patterns_of
from lenet5.errors import ConfigError, DataError
from lenet5.run import build as runs
from lenet5.run import history
from lenet5.training import callbacks, checkpoint

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


@pytest.fixture
def small(monkeypatch):
    """Use groups of 4 blocks of 8 images."""
    monkeypatch.setattr(blocks, "BLOCK", 8)
    monkeypatch.setattr(blocks, "GROUP", 4)


@pytest.fixture
def numbered(tmp_path):
    """Function that returns a mapped data set of n images, which encode their number; labels are numbers modulo 251."""

    def make(n):
        numbers = np.arange(n)
        images = np.zeros((n, 2, 3), np.uint8)
        images[:, 0, 0], images[:, 1, 2] = numbers % 256, numbers // 256
        write_idx(tmp_path / "i", images)
        write_idx(tmp_path / "l", (numbers % 251).astype(np.uint8))
        return load_idx_pair(tmp_path / "i", tmp_path / "l", mmap=True)

    return make


def numbers_of(images):
    return images[:, 0, 0] + 256 * images[:, 1, 2].astype(int)


def order_of(patterns, n, rng, *, position=0, step=7):
    """Return the image numbers of an epoch from a position on, taken in steps."""
    patterns.begin(rng, position)
    found = []
    for start in range(position, n, step):
        images, labels = patterns.take(start, start + step)
        assert (numbers_of(images) % 251 == labels).all() and len(labels) == min(step, n - start)
        found.append(numbers_of(images))
    return np.concatenate(found)


@pytest.mark.parametrize("n", [33, 64, 99, 1000])
@pytest.mark.parametrize("step", [1, 7, 32, 100, 2000])
def test_every_pass_takes_every_image_once_in_blocks(small, numbered, n, step):
    data, rng = numbered(n), np.random.default_rng(0)
    patterns = patterns_of(data)
    assert isinstance(patterns, Blocks)
    orders = [order_of(patterns, n, rng, step=step) for _ in range(2)]
    assert not np.array_equal(*orders)
    for order in orders:
        assert sorted(order) == list(range(n))
    for end in patterns._ends:  # in the last epoch, no block is divided between groups
        assert not set(order[:end] // 8) & set(order[end:] // 8)
    # The order is the same from any position within the epoch, in steps of any size.
    for position in (0, 1, 31, 32, n // 2, n - 1):
        again = order_of(patterns, n, np.random.default_rng(0), position=position, step=5)
        np.testing.assert_array_equal(again, orders[0][position:])
    patterns.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_the_order_is_uniform(small, numbered):
    """Every image is equally likely at every position: chi-square test over epochs."""
    n, passes = 64, 2000
    patterns, rng = patterns_of(numbered(n)), np.random.default_rng(1)
    counts = np.zeros((n, n))
    for _ in range(passes):
        counts[np.arange(n), order_of(patterns, n, rng, step=64)] += 1
    patterns.close()
    chi2 = ((counts - passes / n) ** 2).sum(axis=1) / (passes / n)
    # Chi-square with 63 degrees of freedom: mean 63, standard deviation 11.2; 1.4 for the mean of 64 rows.
    assert chi2.max() < 63 + 5 * 11.2 and abs(chi2.mean() - 63) < 4 * 1.4


def test_images_of_two_blocks_meet_as_often_as_the_page_says(small, numbered):
    """Images of two blocks are in the same group of 4 of 8 blocks with probability 3/7, those of one block always."""
    patterns, rng, passes = patterns_of(numbered(64)), np.random.default_rng(2), 2000
    met = np.zeros((64, 64))
    for _ in range(passes):
        first = np.isin(np.arange(64), order_of(patterns, 64, rng, step=64)[:32])
        met += np.equal.outer(first, first)
    patterns.close()
    together = np.equal.outer(np.arange(64) // 8, np.arange(64) // 8)
    assert (met[together] == passes).all() and abs(met[~together] / passes - 3 / 7).max() < 5 * 0.5 / passes**0.5


def test_a_set_of_one_group_is_as_in_memory(numbered):
    data = numbered(1000)
    patterns, in_memory = patterns_of(data), Patterns(data)
    assert type(patterns) is Patterns and data.mapped and not patterns.data.mapped
    for _ in range(2):
        one, two = (order_of(p, 1000, np.random.default_rng(3)) for p in (patterns, in_memory))
        np.testing.assert_array_equal(one, two)


def test_groups_are_distorted_and_so_are_samples(small, numbered):
    def mark(images, rng):
        out = images.copy()
        out[:, 0, 1] = rng.integers(256)
        return out

    data = numbered(100)
    patterns, plain = patterns_of(data, mark), patterns_of(data)
    for p in (patterns, plain):
        p.begin(np.random.default_rng(0))
    images = patterns.take(0, 100)[0]
    np.testing.assert_array_equal(numbers_of(images), numbers_of(plain.take(0, 100)[0]))
    assert len(set(images[:, 0, 1])) == len(patterns._ends) == 4
    rows = np.array([99, 3, 50])
    sample, labels = patterns.sample(rows)
    assert (numbers_of(sample) == rows).all() and (labels == rows).all() and len(set(sample[:, 0, 1])) == 1
    assert not plain.sample(rows)[0][:, 0, 1].any()
    for p in (patterns, plain):
        p.close()


def test_what_the_reader_finds_wrong_is_said(small, numbered, tmp_path):
    data = numbered(200)
    patterns = patterns_of(data)
    os.truncate(tmp_path / "i", 100)
    patterns.begin(np.random.default_rng(0))
    with pytest.raises(DataError, match="truncated"):
        patterns.take(0, 200)
    (tmp_path / "i").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        patterns.sample(np.array([5]))
    patterns.close()

    def broken(images, rng):
        raise ValueError("broken distortion")

    patterns = patterns_of(numbered(200), broken)
    patterns.begin(np.random.default_rng(0))
    with pytest.raises(ValueError, match="broken distortion"):
        patterns.take(0, 1)
    patterns.close()


def test_mapped_sets_know_it(numbered, tmp_path):
    data = numbered(300)
    assert data.mapped and data.subset(slice(10, 200)).mapped and not data.subset(np.arange(5)).mapped
    part = patterns_of(data.subset(slice(10, 200)))
    assert sorted(order_of(part, 190, np.random.default_rng(0))) == list(range(10, 200))
    in_memory = load_idx_pair(tmp_path / "i", tmp_path / "l")
    assert not in_memory.mapped and in_memory.digest() == data.digest() and in_memory.provenance == data.provenance
    private = np.memmap(tmp_path / "i", np.uint8, "c", 16, (300, 2, 3))
    assert not Dataset(private, data.labels, "private").mapped


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of four IDX files, with 300 and 60 digits."""
    folder = tmp_path_factory.mktemp("digits")
    data, test = datasets.load("digits")
    arrays = data.images[:300], data.labels[:300], test.images[:60], test.labels[:60]
    for name, array in zip(NAMES, arrays, strict=True):
        write_idx(folder / name, array)
    return folder


def command(folder, out, *argv):
    words = ["--dataset", "idx", "--data-dir", folder, "--quiet", "--threads", 2, "--epochs", 2, "--out", out]
    return train.run([str(word) for word in [*words, *argv]])


def bits(run):
    return {name: array.tobytes() for name, array in checkpoint.load(run / "checkpoint.npz")[0].items()}


def test_one_group_trains_to_the_bits_of_memory(folder, tmp_path):
    assert command(folder, tmp_path / "mapped", "--mmap", "true") == 0
    assert command(folder, tmp_path / "memory") == 0
    assert bits(tmp_path / "mapped") == bits(tmp_path / "memory")
    one, two = (history.read(tmp_path / run)[1] for run in ("mapped", "memory"))
    assert one[-1]["test_loss"] == two[-1]["test_loss"]


@pytest.mark.parametrize("options", [[], ["--batch-size", "33", "--distort", "all"], ["--model.output", "dense"]])
def test_a_stopped_run_on_blocks_goes_on_to_the_same_bits(small, folder, tmp_path, monkeypatch, options):
    assert command(folder, tmp_path / "straight", "--mmap", "true", *options) == 0
    assert command(folder, tmp_path / "memory", *options) == 0
    assert bits(tmp_path / "straight") != bits(tmp_path / "memory")  # the order differs
    made = runs.make_trainer

    class Stop(callbacks.Callback):
        def on_batch_end(self, trainer):
            trainer.stop |= trainer.epoch == 1 and trainer.position >= 150

    def stopping(*args, **options):
        trainer = made(*args, **options)
        trainer.callbacks.append(Stop())
        return trainer

    monkeypatch.setattr(runs, "make_trainer", stopping)
    command(folder, tmp_path / "run", "--mmap", "true", *options)
    monkeypatch.setattr(runs, "make_trainer", made)
    assert checkpoint.load(tmp_path / "run" / "checkpoint.npz")[1]["trainer"]["position"] >= 150
    assert train.run(["--resume", str(tmp_path / "run"), "--quiet", "--threads", "1"]) == 0
    assert bits(tmp_path / "run") == bits(tmp_path / "straight")


def test_what_mmap_needs(folder, tmp_path, capsys):
    for argv, message in [
        (["--dataset", "digits", "--mmap", "true"], "IDX files"),
        (["--dataset", "idx"], "--data-dir"),
        (["--dataset", "idx", "--data-dir", str(folder), "--mmap", "true", "--validation-split", "0.1"], "into memory"),
    ]:
        assert train.run([*argv, "--out", str(tmp_path / "run")]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
    write_idx(tmp_path / (NAMES[0] + ".gz"), np.zeros((2, 28, 28), np.uint8))
    assert train.run(["--dataset", "idx", "--data-dir", str(tmp_path)]) == 3
    assert NAMES[1] in capsys.readouterr().err
    for name in NAMES[1:]:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(DataError, match="unzip"):
        datasets.load("idx", tmp_path, mmap=True)
    with pytest.raises(ConfigError, match="IDX"):
        datasets.load("cifar10", tmp_path, mmap=True)


def test_a_mapped_set_is_trained_on_in_little_memory(tmp_path):
    """Digest, training and evaluation of a sparse file of 235 MB take less than half its size."""
    pytest.importorskip("resource")
    n = 300_000
    labels = np.zeros(n, np.uint8)
    labels[:10] = range(10)
    write_idx(tmp_path / "l", labels)
    with open(tmp_path / "i", "wb") as file:
        file.write(bytes((0, 0, 8, 3)) + b"".join(side.to_bytes(4, "big") for side in (n, 28, 28)))
        file.truncate(16 + n * 784)
    script = (
        "import lenet5, resource, sys\n"
        "from lenet5 import callbacks, datasets\n"
        "from lenet5.datasets import shuffle; shuffle.GROUP = 16\n"
        "data = datasets.load_idx_pair(*sys.argv[1:], mmap=True)\n"
        "def stop(trainer): trainer.stop |= trainer.position >= 40_000\n"
        "net = lenet5.models.lenet1(); hooks = [callbacks.CurvaturePass(500), callbacks.GuardDivergence()]\n"
        "hooks.append(type('Stop', (callbacks.Callback,), {'on_batch_end': lambda self, trainer: stop(trainer)})())\n"
        "opt, loss = lenet5.SDLM(net.parameters(), lr=1e-5), lenet5.losses.SquaredError()\n"
        "trainer = lenet5.Trainer(net, loss, opt, hooks, batch_size=512)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "data.digest(); trainer.fit(data, epochs=1)\n"
        "lenet5.training.shards.Shards(net, loss).evaluate(data.images[:100_000], data.labels[:100_000])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "i"), str(tmp_path / "l")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    kilobytes = 1024 if sys.platform == "darwin" else 1
    assert int(done.stdout) / kilobytes < 120_000
