import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from lenet5.datasets import cifar10, load
from lenet5.errors import DataError, DownloadError

N = 3
OFFLINE = {"download": False}


@pytest.fixture(autouse=True)
def three_per_file(monkeypatch):
    monkeypatch.setattr(cifar10, "PER_FILE", N)
    monkeypatch.setattr(cifar10, "MIRRORS", ("http://127.0.0.1:9/",))


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    records = {name: rng.integers(0, 10, (N, cifar10.RECORD), np.uint8) for name in cifar10.TRAIN + cifar10.TEST}
    return {name: record.tobytes() for name, record in records.items()}


def archive(batches, path, extra=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in [("batches.meta.txt", b"cat\n"), *extra, *batches.items()]:
            info = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def trusted(monkeypatch):
    def trust(path):
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, size=len(content), sha256=sha256))

    return trust


def check(train, test, batches):
    assert (train.images.shape, test.images.shape) == ((5 * N, 32, 32, 3), (N, 32, 32, 3))
    assert (train.name, train.num_classes) == ("cifar10", 10)
    record = batches["data_batch_2.bin"][: cifar10.RECORD]
    assert train.labels[N] == record[0]
    for channel in range(3):  # each is a plane of 1,024 bytes, row by row
        assert train.images[N, 5, 7, channel] == record[1 + 1024 * channel + 32 * 5 + 7]
    assert train.provenance["data_batch_1.bin"].startswith("sha256:")


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_extracted_files(batches, tmp_path, inside):
    folder = tmp_path / "data" / inside
    folder.mkdir(parents=True)
    for name, content in batches.items():
        (folder / name).write_bytes(content)
    check(*load("cifar10", tmp_path / "data", **OFFLINE), batches)
    (folder / "test_batch.bin").write_bytes(bytes(5))
    with pytest.raises(DataError, match="test_batch.bin: expected 3 records of 3073 bytes, found 5"):
        load("cifar10", tmp_path / "data", **OFFLINE)
    (folder / "test_batch.bin").unlink()
    with pytest.raises(DataError, match="incomplete, lacks test_batch.bin"):
        load("cifar10", tmp_path / "data", **OFFLINE)


def test_the_archive(batches, tmp_path, trusted):
    path = archive(batches, tmp_path / "CIFAR10" / "cifar-10-binary.tar.gz")
    with pytest.raises(DataError, match="not the CIFAR-10 archive(.|\n)*expected(.|\n)*found"):
        load("cifar10", **OFFLINE)
    check(*load("cifar10", verify=False, **OFFLINE), batches)
    trusted(path)
    check(*load("cifar10", **OFFLINE), batches)


def test_archives_that_are_none(batches, tmp_path, monkeypatch):
    path = tmp_path / "CIFAR10" / "cifar-10-binary.tar.gz"

    def refused(match):
        with pytest.raises(DataError, match=match):
            load("cifar10", verify=False, **OFFLINE)

    archive(batches, path)
    path.write_bytes(path.read_bytes()[:-2000])
    refused("not a complete .tar.gz")
    path.write_bytes(b"<html>")
    refused("not a complete .tar.gz")
    archive(dict(list(batches.items())[:-1]), path)
    refused("lacks test_batch.bin")
    archive(batches | {"data_batch_3.bin": b"abc"}, path)
    refused("data_batch_3.bin: expected 3 records")
    archive(batches, path, [("bomb", bytes(3_000_000))])
    monkeypatch.setattr(cifar10, "UNPACKED_MAX", 2_000_000)
    refused("more than 2,000,000 bytes")


def test_labels_end_at_nine(batches, tmp_path):
    batches["data_batch_4.bin"] = b"\x0a" + batches["data_batch_4.bin"][1:]
    archive(batches, tmp_path / "CIFAR10" / "cifar-10-binary.tar.gz")
    with pytest.raises(DataError, match="data_batch_4.bin: expected labels from 0 to 9, found 10"):
        load("cifar10", verify=False, **OFFLINE)


def test_download(batches, tmp_path, trusted, server, monkeypatch):
    path = archive(batches, tmp_path / "served" / "cifar-10-binary.tar.gz")
    trusted(path)
    server.files = {path.name: path.read_bytes()}
    with pytest.raises(DownloadError, match="CIFAR-10 could not be downloaded"):
        load("cifar10")
    monkeypatch.setattr(cifar10, "MIRRORS", (server.mirror("good"),))
    train, test = load("cifar10")
    check(train, test, batches)
    assert train.provenance["source"] == server.mirror("good")
    (tmp_path / "cache" / "cifar10" / path.name).write_bytes(b"damaged")
    with pytest.raises(DataError, match="not the CIFAR-10 archive"):
        load("cifar10", **OFFLINE)
    check(*load("cifar10"), batches)
