import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet5.datasets import download_mnist, load, load_auto, load_idx_pair, write_idx
from lenet5.datasets.catalog import SETS
from lenet5.datasets.mnist import load_idx_set
from lenet5.errors import ConfigError, DataError, DownloadError

RAW = "train-images-idx3-ubyte"
OFFLINE = {"download": False}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
@pytest.mark.parametrize("inside", ["", "mnist", "MNIST/raw"])
def test_files_are_found_under_their_usual_names(known, put, zipped, dotted, inside, tmp_path):
    folder = put(tmp_path / "data" / inside, zipped=zipped, dotted=dotted)
    train, test = load_idx_set(known, tmp_path / "data", **OFFLINE)
    assert (len(train), len(test), train.name, train.num_classes) == (30, 10, "mnist", 10)
    assert train.provenance["source"] == str(folder)
    [images, labels] = [value for key, value in train.provenance.items() if key != "source"]
    assert images == "sha256:" + known.files[0].sha256 and labels == "sha256:" + known.files[1].sha256


def test_search_order(known, put, tmp_path, monkeypatch):
    order = []
    for folder in ("given", "environment", "MNIST", "cache/mnist"):
        order.append(str(put(tmp_path / folder)))
    monkeypatch.setenv("LENET5_DATA", order[1])
    order[2] = "MNIST"
    for folder in order:
        train, _ = load_idx_set(known, tmp_path / "given", **OFFLINE)
        assert train.provenance["source"] == folder
        for path in Path(folder).iterdir():
            path.unlink()
    with pytest.raises(DataError, match="MNIST is not on this machine"):
        load_idx_set(known, tmp_path / "given", **OFFLINE)


def test_zipped_anew_is_still_the_true_file(known, put):
    folder = put("MNIST")
    for path in folder.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=7))
    assert len(load_idx_set(known, **OFFLINE)[0]) == 30


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_a_changed_file_is_an_error_that_says_all(known, put):
    found = damage(put("MNIST", zipped=False) / RAW)
    with pytest.raises(DataError) as caught:
        load_idx_set(known)
    message = str(caught.value)
    for part in (str(Path("MNIST", RAW)), known.files[0].sha256, found, "Delete the file", "verify=False"):
        assert part in message
    train, _ = load_idx_set(known, verify=False)
    assert train.provenance[RAW] == "sha256:" + found


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b\x08broken"])
def test_a_malformed_file_is_an_error_that_says_all(known, put, content):
    (put("MNIST", zipped=False) / RAW).write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(DataError, match=f"{RAW}(.|\n)*{known.files[0].sha256}(.|\n)*{found}"):
        load_idx_set(known)
    with pytest.raises(DataError, match=RAW):
        load_idx_set(known, verify=False)


def test_an_incomplete_folder_is_passed_over_and_told_of(known, put):
    (put("MNIST") / (RAW + ".gz")).unlink()
    with pytest.raises(DataError, match=f"MNIST: incomplete, lacks {RAW}"):
        load_idx_set(known, **OFFLINE)
    damage(Path("MNIST", "t10k-labels-idx1-ubyte.gz"))
    with pytest.raises(DataError, match="t10k-labels(.|\n)*expected"):
        load_idx_set(known, **OFFLINE)


def test_the_sister_set_is_passed_over(known, put, monkeypatch):
    sister = replace(known, title="Sister", files=known.files)
    mine = replace(known, files=tuple(replace(file, sha256="0" * 64, gz_sha256="0" * 64) for file in known.files))
    monkeypatch.setitem(SETS, "sister", sister)
    put("MNIST")
    with pytest.raises(DataError, match="this file belongs to Sister, not to MNIST"):
        load_idx_set(mine, **OFFLINE)


def test_without_a_known_unzipped_hash(known, put):
    fashion = replace(known, files=tuple(replace(file, sha256=None) for file in known.files))
    folder = put("MNIST")
    assert len(load_idx_set(fashion, **OFFLINE)[0]) == 30
    damage(folder / (RAW + ".gz"))
    with pytest.raises(DataError):
        load_idx_set(fashion, **OFFLINE)
    put("MNIST", zipped=False)
    damage(folder / RAW)  # the raw file is preferred, and only its shape is verified
    assert len(load_idx_set(fashion, **OFFLINE)[0]) == 30
    write_idx(folder / RAW, np.zeros((31, 28, 28), np.uint8))
    with pytest.raises(DataError, match="expected: uint8"):
        load_idx_set(fashion, **OFFLINE)


def test_data_dir_must_be_a_folder(known, tmp_path):
    with pytest.raises(DataError, match="nowhere: it does not exist"):
        load_idx_set(known, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file: it is not a folder"):
        load_idx_set(known, tmp_path / "file")


def test_download_goes_to_the_cache_and_is_found_there(known, server, tmp_path):
    online = replace(known, mirrors=(server.mirror("404"), server.mirror("good")))
    train, _ = load_idx_set(online)
    assert train.provenance["source"] == server.mirror("good")
    assert len(os.listdir(tmp_path / "cache" / "mnist")) == 4
    assert load_idx_set(known)[0].digest() == train.digest()


def test_a_damaged_cache_is_mended_or_told_of(known, put, server, tmp_path):
    damage(put(tmp_path / "cache" / "mnist") / (RAW + ".gz"))
    with pytest.raises(DataError, match="gzip stream"):
        load_idx_set(known, **OFFLINE)
    with pytest.raises(DownloadError, match="gzip stream"):
        load_idx_set(known)
    train, _ = load_idx_set(replace(known, mirrors=(server.mirror("good"),)))
    assert len(train) == 30 and len(server.asked) == 1


def test_load_by_name(monkeypatch, known, put):
    monkeypatch.setitem(SETS, "mnist", known)
    put("MNIST")
    assert [len(part) for part in load("mnist")] == [30, 10]
    with pytest.raises(DownloadError, match="Fashion-MNIST could not be downloaded") as caught:
        load("fashion-mnist")
    assert caught.value.attempts == [("http://127.0.0.1:9/train-images-idx3-ubyte.gz", "Connection refused")]


@pytest.mark.parametrize("name, near", [("mnits", "mnist"), ("fashion", "fashion-mnist"), ("CIFAR-10", "cifar10")])
def test_unknown_names(name, near):
    with pytest.raises(ConfigError, match=f"did you mean .*{near}.*Choose one of mnist, fashion-mnist, kmnist"):
        load(name)
    for nonsense in ("zzz", "", None, 5):
        with pytest.raises(ConfigError):
            load(nonsense)


def test_auto_takes_mnist_where_it_can(monkeypatch, known, put):
    monkeypatch.setitem(SETS, "mnist", known)
    put("MNIST")
    train, test, notice = load_auto()
    assert (train.name, len(test), notice) == ("mnist", 10, None)


@pytest.mark.parametrize("download", [True, False])
def test_auto_goes_on_with_digits_and_says_so(download):
    train, test, notice = load_auto(download=download)
    assert (train.name, len(train), len(test)) == ("digits", 1437, 360)
    assert ("http://127.0.0.1:9/train-images-idx3-ubyte.gz\n    Connection refused" in notice) == download
    for part in ("1,437", "./MNIST", "--data-dir", "LENET5_DATA", "python MNIST_auto_Download.py"):
        assert part in notice


def test_auto_is_not_silent_about_the_users_own_mistakes(monkeypatch, known, put):
    monkeypatch.setitem(SETS, "mnist", known)
    with pytest.raises(DataError, match="does not exist"):
        load_auto("nowhere")
    damage(put("MNIST") / (RAW + ".gz"))
    with pytest.raises(DataError, match=RAW):
        load_auto()


def test_a_pair_of_own_files(tmp_path):
    write_idx(tmp_path / "i", np.full((5, 4, 6), 200, np.uint8))
    write_idx(tmp_path / "l.gz", np.arange(5, dtype=np.uint8))
    data = load_idx_pair(tmp_path / "i", tmp_path / "l.gz", name="mine")
    assert (data.name, data.images.shape, data.num_classes) == ("mine", (5, 4, 6), 5)
    assert data.provenance.keys() == {"source", "i", "l.gz"}


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (np.zeros((2, 3, 3), np.float32), np.zeros(2, np.uint8), "/i: images: expected a non-empty uint8 array"),
        (np.zeros((2, 3), np.uint8), np.zeros(2, np.uint8), "/i: images: expected a non-empty uint8 array"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.uint8), "/i: images: expected a non-empty uint8 array"),
        (np.zeros((0, 3, 3), np.uint8), np.zeros(0, np.uint8), "/i: images: expected a non-empty uint8 array"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.float32), "/l: labels: expected a non-empty uint8 array"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(3, np.uint8), "/i: contains 2 images, but .*/l contains 3 labels"),
    ],
)
def test_pairs_that_are_none(images, labels, message, tmp_path):
    write_idx(tmp_path / "i", images)
    write_idx(tmp_path / "l", labels)
    with pytest.raises(DataError, match=message):
        load_idx_pair(tmp_path / "i", tmp_path / "l")


@pytest.mark.parametrize("mirror", ["http://a.b/", "ftp://a.b/", "a.b", "", "https://", "https:///x"])
def test_download_mnist_takes_https_mirrors_only(mirror):
    with pytest.raises(ConfigError, match="https"):
        download_mnist("MNIST", [mirror])
    assert not Path("MNIST").exists()


def test_real_mnist(real_mnist):
    train, test = real_mnist
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_a_path_that_does_not_exist_is_no_misspelt_name():
    for name in ("train.csv", "photos/digits", "mnits.npz"):
        with pytest.raises(ConfigError, match="no such file or folder") as error:
            load(name)
        assert "did you mean" not in str(error.value)
