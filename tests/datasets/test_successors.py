"""EMNIST, KMNIST and QMNIST, and folders of IDX files with other names."""

from dataclasses import replace

import numpy as np
import pytest

import lenet5
from lenet5.datasets import load, write_idx
from lenet5.datasets.catalog import SETS
from lenet5.errors import DataError


def small(name, monkeypatch):
    """Replace the data set by one of 30 and 20 images without hashes, and return it."""
    known = SETS[name]
    files = [replace(file, shape=(30 if k < 2 else 20, *file.shape[1:]), gz_sha256="", gz_md5="") for k, file in
             enumerate(known.files)]  # fmt: skip
    monkeypatch.setitem(SETS, name, replace(known, files=tuple(files)))
    return SETS[name]


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for n in (30, 20)]


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize(("name", "classes"), [("emnist-digits", 10), ("emnist-letters", 26), ("emnist-balanced", 47)])
def test_emnist_is_the_right_way_up_and_its_letters_are_named(name, classes, zipped, images, tmp_path, monkeypatch):
    known = small(name, monkeypatch)
    folder = tmp_path / "EMNIST"
    folder.mkdir()
    for k, part in enumerate(images):
        write_idx(folder / (known.files[2 * k].name + zipped), part.transpose(0, 2, 1))
        labels = np.arange(len(part)) % classes + (name == "emnist-letters")
        write_idx(folder / (known.files[2 * k + 1].name + zipped), labels.astype(np.uint8))
    train, test = load(name)
    for data, part in zip((train, test), images, strict=True):
        np.testing.assert_array_equal(data.images, part)
        np.testing.assert_array_equal(data.labels, np.arange(len(part)) % classes)
        assert data.num_classes == classes
    assert "".join(train.classes).startswith("ABC" if name == "emnist-letters" else "0123456789")
    if name == "emnist-balanced":
        assert "".join(train.classes[36:]) == "abdefghnqrt"
    (idx,) = {load(str(folder))[0].num_classes}  # loaded by path, labels from 1 add no empty class
    assert idx == min(classes, 30)


def test_where_it_is_to_be_had():
    with pytest.raises(DataError, match=r"EMNIST letters is not on this machine[\s\S]*nist\.gov[\s\S]*gzip\.zip"):
        load("emnist-letters")
    with pytest.raises(DataError, match="github.com/facebookresearch/qmnist"):
        load("qmnist")


def test_qmnists_labels_have_eight_columns(images, tmp_path, monkeypatch):
    known = small("qmnist", monkeypatch)
    (tmp_path / "QMNIST").mkdir()
    for k, part in enumerate(images):
        write_idx(tmp_path / "QMNIST" / known.files[2 * k].name, part)
        labels = np.zeros((len(part), 8), np.int32)
        labels[:, 0], labels[:, 2] = np.arange(len(part)) % 10, 4000
        write_idx(tmp_path / "QMNIST" / known.files[2 * k + 1].name, labels)
    train, test = load("qmnist")
    assert (len(train), len(test), train.num_classes) == (30, 20, 10)
    assert train.labels.tolist() == [k % 10 for k in range(30)]


def test_kuzushiji_is_kmnist(images, tmp_path, monkeypatch):
    known = small("kmnist", monkeypatch)
    (tmp_path / "KMNIST" / "raw").mkdir(parents=True)
    for k, part in enumerate(images):
        write_idx(tmp_path / "KMNIST" / "raw" / known.files[2 * k].name, part)
        labels = (np.arange(len(part)) % 10).astype(np.uint8)
        write_idx(tmp_path / "KMNIST" / "raw" / known.files[2 * k + 1].name, labels)
    assert load("kmnist")[1].classes == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


@pytest.mark.parametrize("names", [("mine-train", "mine-test"), ("train", "test"), ("v2.train", "v2.t10k")])
def test_idx_folders_with_any_prefix(images, tmp_path, names):
    for part, name in zip(images, names, strict=True):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", part)
        write_idx(tmp_path / f"{name}-labels.idx1-ubyte", (np.arange(len(part)) % 7).astype(np.uint8))
    for found in (load(str(tmp_path)), load("idx", tmp_path)):
        assert [len(part) for part in found] == [30, 20] and found[0].num_classes == 7


def test_two_sets_in_one_folder_are_said(images, tmp_path):
    for prefix in ("a-", "b-"):
        for part, name in zip(images, ("train", "test"), strict=True):
            write_idx(tmp_path / f"{prefix}{name}-images-idx3-ubyte", part)
            write_idx(tmp_path / f"{prefix}{name}-labels-idx1-ubyte", (np.arange(len(part)) % 7).astype(np.uint8))
    with pytest.raises(DataError, match="several sets of IDX files, 'a-', 'b-'"):
        load(str(tmp_path))
    (tmp_path / "a-test-labels-idx1-ubyte").unlink()
    assert len(load(str(tmp_path))[0]) == 30
    (tmp_path / "b-test-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="lacks t10k-labels"):
        load(str(tmp_path))


def test_raw_fashion_files_are_known_by_their_content(tmp_path, monkeypatch):
    """Decompressed files are verified by their content, because Debian's .gz files differ from the original ones."""
    fashion = SETS["fashion-mnist"]
    assert all(file.sha256 and len(file.sha256) == 64 for file in fashion.files)
    assert fashion.classes[9] == "Ankle boot" and lenet5.datasets.catalog.FASHION.system == (
        "/usr/share/datasets/fashion-mnist"
    )
    (tmp_path / "FashionMNIST").mkdir()
    for file in fashion.files:
        write_idx(tmp_path / "FashionMNIST" / file.name, np.zeros(file.shape, np.uint8)[:2])
    with pytest.raises(DataError, match="expected: SHA-256"):
        load("fashion-mnist", download=False)
