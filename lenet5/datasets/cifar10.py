"""Load the binary version of CIFAR-10: six files of records, each with one label byte and 3,072 pixel bytes."""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .base import Dataset
from .download import Fetcher, MirrorError, Remote
from .locate import cache_folder, file_sha256, not_found, user_folders

__all__ = ["load_cifar10"]

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
ARCHIVE = Remote(
    "cifar-10-binary.tar.gz", 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
)
INSIDE = ("cifar-10-batches-bin", "CIFAR10", "CIFAR10/cifar-10-batches-bin", "cifar10")
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
RECORD = 1 + 3 * 32 * 32
PER_FILE = 10_000
UNPACKED_MAX = 400_000_000  # upper limit of the unpacked size in bytes; the published archive unpacks to 184 MB
ADVICE = (
    f"Put {ARCHIVE.name}, or its six .bin files, in ./CIFAR10,\n"
    "or give their folder as data_dir (--data-dir on the command line) or $LENET5_DATA."
)

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
) -> tuple[Dataset, Dataset]:
    """Load CIFAR-10 from the archive or from its extracted files; see `load`.

    The archive is verified by its SHA-256. No hashes of the extracted files are published, so only their sizes and
    labels are checked.
    """
    notes = []
    for folder in user_folders(data_dir, "CIFAR10", INSIDE):
        paths = {name: folder / name for name in TRAIN + TEST}
        missing = [name for name, path in paths.items() if not os.path.isfile(path)]
        if not missing:
            return _datasets({name: _read_file(path) for name, path in paths.items()}, str(folder))
        if len(missing) < len(paths):
            notes.append(f"{folder}: incomplete, lacks {', '.join(missing)}")
        if os.path.isfile(folder / ARCHIVE.name):
            return _from_archive(folder / ARCHIVE.name, str(folder), verify)

    cache = cache_folder("cifar10")
    if os.path.isfile(cache / ARCHIVE.name):
        try:
            return _from_archive(cache / ARCHIVE.name, str(cache), True)
        except DataError as error:
            notes.append(str(error))
    if not download:
        raise not_found("CIFAR-10", notes, ADVICE)
    try:
        url = Fetcher("CIFAR-10", MIRRORS, progress=progress).fetch(ARCHIVE, cache)
    except MirrorError as error:
        raise MirrorError("\n".join([str(error), *notes, ADVICE]), error.attempts) from error
    return _from_archive(cache / ARCHIVE.name, url.rpartition("/")[0] + "/", True)


def _from_archive(path: Path, source: str, verify: bool) -> tuple[Dataset, Dataset]:
    found = file_sha256(path) if verify else ""
    if verify and found != ARCHIVE.sha256:
        raise DataError(
            f"{path}: this is not the CIFAR-10 archive\n  expected: SHA-256 {ARCHIVE.sha256}\n"
            f"  found:    SHA-256 {found}\nDelete the file and get CIFAR-10 again. If you trust the file, load it with "
            "verify=False."
        )
    batches: dict[str, bytes] = {}
    try:
        with gzip.open(path) as unzipped:
            capped: Any = _Capped(unzipped, path)
            for member in (archive := tarfile.open(fileobj=capped, mode="r|")):
                name = member.name.rpartition("/")[2]
                content = archive.extractfile(member) if name in TRAIN + TEST else None
                if content is not None and name not in batches:
                    if member.size != PER_FILE * RECORD:
                        raise _wrong_size(f"{path}: {member.name}", member.size)
                    batches[name] = content.read()
    except (EOFError, zlib.error, tarfile.TarError, OSError) as error:
        raise DataError(f"{path}: not a complete .tar.gz archive: {error}") from error
    missing = [name for name in TRAIN + TEST if name not in batches]
    if missing:
        raise DataError(f"{path}: the archive lacks {', '.join(missing)}. Download it again.")
    return _datasets(batches, source)


class _Capped:
    """File wrapper for tarfile that limits the unpacked size, as a guard against decompression bombs."""

    def __init__(self, file: gzip.GzipFile, path: Path):
        self.file, self.path, self.left = file, path, UNPACKED_MAX

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise DataError(
                f"{self.path}: unpacks to more than {UNPACKED_MAX:,} bytes; expected about 184 MB. Download it again."
            )
        return self.file.read(size)


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size != PER_FILE * RECORD:
            raise _wrong_size(str(path), size)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _wrong_size(name: str, found: int) -> DataError:
    return DataError(f"{name}: expected {PER_FILE} records of {RECORD} bytes, found {found} bytes. Download it again.")


def _datasets(batches: dict[str, bytes], source: str) -> tuple[Dataset, Dataset]:
    return _dataset(batches, TRAIN, source), _dataset(batches, TEST, source)


def _dataset(batches: dict[str, bytes], names: Sequence[str], source: str) -> Dataset:
    images = np.empty((len(names) * PER_FILE, 32, 32, 3), np.uint8)
    labels = np.empty(len(images), np.uint8)
    provenance = {"source": source}
    for i, name in enumerate(names):
        records = np.frombuffer(batches[name], np.uint8).reshape(PER_FILE, RECORD)
        rows = slice(i * PER_FILE, (i + 1) * PER_FILE)
        labels[rows] = records[:, 0]
        images[rows] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        if labels[rows].max() > 9:
            raise DataError(f"{name}: expected labels from 0 to 9, found {labels[rows].max()}. Download it again.")
        provenance[name] = "sha256:" + hashlib.sha256(batches[name]).hexdigest()
    return Dataset(images, labels, "cifar10", provenance, classes=CLASSES)
