"""Distorted data sets on disk: files are bit-identical after interruptions, and never incomplete under their names."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from lenet5.datasets import Dataset, load, read_idx
from lenet5.datasets import infimnist as enlarge
from lenet5.datasets.__main__ import run
from lenet5.datasets.infimnist import FILES, IMAGES, MANIFEST, PARTIAL, make_distorted, verify
from lenet5.errors import ConfigError, DataError

TIMES = 6


@pytest.fixture(scope="module")
def digits():
    train, test = load("digits")
    return train.subset(slice(100)), test.subset(slice(20))


@pytest.fixture(scope="module")
def straight(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    make_distorted(folder, *digits, times=TIMES)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def without_date(folder):
    return {k: v for k, v in json.loads((folder / MANIFEST).read_text()).items() if k != "date"}


@pytest.fixture
def drawn(monkeypatch):
    """Numbers of the chunks that are distorted."""
    chunks, distorted = [], enlarge._distorted
    monkeypatch.setattr(enlarge, "_distorted", lambda train, plan, k: (chunks.append(k), distorted(train, plan, k))[1])
    return chunks


def test_what_is_written(straight, digits):
    assert {path.name for path in straight.iterdir()} == {*FILES, MANIFEST}
    train, test = load("idx", straight)
    assert len(train) == 600 and train.name == "idx" and train.num_classes == 10
    np.testing.assert_array_equal(train.images[:100], digits[0].images)  # original images
    np.testing.assert_array_equal(train.labels, np.tile(digits[0].labels, TIMES))
    np.testing.assert_array_equal(test.images, digits[1].images)
    np.testing.assert_array_equal(test.labels, digits[1].labels)
    chunks = train.images.reshape(TIMES, -1)
    assert len({chunk.tobytes() for chunk in chunks}) == TIMES
    manifest = json.loads((straight / MANIFEST).read_text())
    assert [hashlib.sha256(chunk).hexdigest() for chunk in chunks] == manifest["chunks"]
    assert manifest["files"] == {name: hashlib.sha256((straight / name).read_bytes()).hexdigest() for name in FILES}
    assert manifest["seed"] == 0 and manifest["distort"] == "all" and manifest["distortion"]["rotation"] == 12.0
    assert set(manifest["versions"]) == {"lenet5", "numpy", "python"} and manifest["date"]
    assert verify(straight) == []


def test_threads_do_not_change_the_bytes_but_the_seed_does(straight, digits, tmp_path):
    make_distorted(tmp_path / "2", *digits, times=TIMES, threads=2)
    assert content(tmp_path / "2") == content(straight) and without_date(tmp_path / "2") == without_date(straight)
    make_distorted(tmp_path / "seed", *digits, times=2, seed=1)
    make_distorted(tmp_path / "kind", *digits, times=2, distort="shift")
    first = [read_idx(folder / IMAGES)[:200] for folder in (straight, tmp_path / "seed", tmp_path / "kind")]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (first[one][:100] == first[other][:100]).all() and (first[one] != first[other]).any()


@pytest.mark.parametrize("chunk", range(TIMES))
def test_ended_anywhere_it_goes_on(straight, digits, tmp_path, monkeypatch, drawn, chunk):
    write, written = enlarge._write, []

    def dying(path, manifest):
        if sum(c is not None for c in manifest["chunks"]) > chunk:  # the chunk is on disk but not yet in the manifest
            raise KeyboardInterrupt
        write(path, manifest)
        written.append(path.name)

    with monkeypatch.context() as patch:
        patch.setattr(enlarge, "_write", dying)
        with pytest.raises(KeyboardInterrupt):
            make_distorted(tmp_path, *digits, times=TIMES)
    assert {path.name for path in tmp_path.iterdir()} == {f"{IMAGES}.partial", PARTIAL}
    with pytest.raises(DataError, match="incomplete"):
        verify(tmp_path)
    drawn.clear()
    make_distorted(tmp_path, *digits, times=TIMES, threads=2)
    assert drawn == list(range(chunk, TIMES))
    assert content(tmp_path) == content(straight)
    drawn.clear()
    make_distorted(tmp_path, *digits, times=TIMES)
    assert not drawn


def test_killed_and_resumed(tmp_path):
    words = [sys.executable, "-m", "lenet5.datasets", "make-distorted", "--dataset", "digits", "--quiet"]
    words += ["--times", "80", "--distort", "shift", "--out"]
    for k in range(2):
        process = subprocess.Popen([*words, str(tmp_path / "killed")])
        while process.poll() is None:
            found = tmp_path / "killed" / PARTIAL
            # The manifest must be complete at any time.
            if found.exists() and 80 - json.loads(found.read_text())["chunks"].count(None) > 9 * (k + 1):
                break
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not [name for name in FILES if (tmp_path / "killed" / name).exists()]
    (tmp_path / "killed" / f".{PARTIAL}.x0x0.tmp").touch()  # as if the process had been killed while writing
    assert run(words[3:] + [str(tmp_path / "killed")]) == 0
    assert run(words[3:] + [str(tmp_path / "straight"), "--threads", "1"]) == 0
    names = {path.name for path in (tmp_path / "straight").iterdir()}
    assert names == {*FILES, MANIFEST} and content(tmp_path / "killed") == content(tmp_path / "straight")


def test_a_damaged_set_is_found_and_mended(straight, digits, tmp_path, drawn, capsys):
    make_distorted(tmp_path, *digits, times=TIMES)
    with open(tmp_path / IMAGES, "r+b") as file:
        file.seek(16 + 250 * 784)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert run(["verify", str(tmp_path)]) == 3
    err = capsys.readouterr().err
    assert "chunk 2 differs: images 200 to 299" in err and err.count("chunk") == 1 and err.count("\n") == 1
    (tmp_path / FILES[1]).unlink()
    assert f"{FILES[1]}: missing" in verify(tmp_path)
    drawn.clear()
    make_distorted(tmp_path, *digits, times=TIMES)
    assert drawn == [2] and content(tmp_path) == content(straight)
    assert run(["verify", str(tmp_path)]) == 0 and "verified" in capsys.readouterr().out


def test_nothing_of_another_origin_is_touched(straight, digits, tmp_path, put):
    put(tmp_path / "mnist", zipped=False)
    before = content(tmp_path / "mnist")
    with pytest.raises(ConfigError, match="was not made by"):
        make_distorted(tmp_path / "mnist", *digits, times=2)
    assert content(tmp_path / "mnist") == before
    before = content(straight)
    for options, found in (({"times": 7}, "times 6, not 7"), ({"times": TIMES, "seed": 1}, "seed 0, not 1")):
        with pytest.raises(ConfigError, match=found):
            make_distorted(straight, *digits, **options)
    assert content(straight) == before


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"times": 1, "chunk_images": 1, "image": [1], "chunks": []}']
)
def test_a_manifest_that_is_none(tmp_path, text):
    with pytest.raises(DataError, match="cannot be read"):
        verify(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DataError, match="not a make-distorted manifest"):
        verify(tmp_path)


def test_a_full_disk_is_one_line(digits, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(enlarge.os, "fsync", full)
        with pytest.raises(DataError, match="No space left on device.*Repeat the command to resume") as caught:
            make_distorted(tmp_path, *digits, times=TIMES)
        assert "\n" not in str(caught.value)
    usage = enlarge.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(enlarge.shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(DataError, match="No space left"):
        make_distorted(tmp_path, *digits, times=TIMES)
    monkeypatch.undo()
    make_distorted(tmp_path, *digits, times=TIMES)
    assert verify(tmp_path) == []


def test_bad_options(capsys, tmp_path, digits):
    out = ["--out", str(tmp_path / "new"), "--dataset", "digits"]
    for argv in (
        [], ["make"], ["make-distorted"], ["verify"], ["make-distorted", "here", *out],
        ["make-distorted", "--times", "0", *out], ["make-distorted", "--times", "x", *out],
        ["make-distorted", "--seed", "-1", *out], ["make-distorted", "--threads", "0", *out],
        ["make-distorted", "--distort", "none", *out], ["make-distorted", "--tims", "1", *out],
        ["make-distorted", "--times", "9999999", *out],
    ):  # fmt: skip
        assert run(argv) == 2, argv
        err = capsys.readouterr().err
        assert err.startswith("lenet5: error: ") and err.count("\n") == 1
    assert not (tmp_path / "new").exists()
    colours = Dataset(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.uint8), "colours")
    with pytest.raises(ConfigError, match="grey"):
        make_distorted(tmp_path / "new", colours, colours, times=1)
