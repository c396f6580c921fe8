"""MNIST and Fashion-MNIST, and users' own pairs of IDX files: find, verify, load, download."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..files import atomic_write
from .base import Dataset
from .catalog import FASHION, MNIST, IdxFile, IdxSet
from .download import Fetcher, MirrorError
from .idx import GZIP_MAGIC, MAX_BYTES, read_idx, read_idx_content
from .locate import cache_folder, file_sha256, not_found, user_folders

__all__ = ["download_mnist", "load_idx_folder", "load_idx_pair", "load_idx_set"]

Path_ = str | os.PathLike[str]


class Content(NamedTuple):
    """What a file holds: its array, its unzipped bytes (none of a mapped file), and their SHA-256."""

    array: NDArray[Any]
    content: bytearray | None
    sha256: str


def load_idx_pair(images_path: Path_, labels_path: Path_, *, name: str = "own", mmap: bool | None = None) -> Dataset:
    """Load your own data: one IDX file of images and one of labels, raw or gzipped, nothing known about them.

    Parameters
    ----------
    images_path, labels_path : path-like
        uint8 images of shape (N, H, W) and uint8 labels of shape (N,).
    name : str
        Name of the set.
    mmap : bool, optional
        Leave the images in their file, which must not be gzipped: for sets larger than memory. Left out, files
        over 2 GB stay where they are.

    Raises
    ------
    DataError
        A file is not well-formed IDX, not of these shapes, empty, gzipped and to be mapped, or the counts differ.
    """
    paths = Path(images_path), Path(labels_path)
    if mmap is None:
        mmap = os.path.isfile(paths[0]) and os.path.getsize(paths[0]) > MAX_BYTES
    contents = _read(paths[0], mmap), _read(paths[1], False)
    return _dataset(name, paths, contents, source=str(paths[0].parent), num_classes=0)


def load_idx_folder(folder: Path_, *, mmap: bool | None = None) -> tuple[Dataset, Dataset]:
    """Load your own data: a folder with four IDX files of MNIST's names, about which nothing is known.

    Parameters
    ----------
    folder, mmap
        As for `load` and `load_idx_pair`.

    Returns
    -------
    train, test : Dataset
    """
    paths = _find(MNIST, Path(folder).expanduser())
    missing = [file.name for file in MNIST.files if file not in paths]
    if missing:
        raise DataError(f"{folder}: lacks {', '.join(missing)}; name the folder of the four IDX files")
    files = [paths[file] for file in MNIST.files]
    pairs = [load_idx_pair(*files[k : k + 2], name="idx", mmap=mmap) for k in (0, 2)]
    train, test = (replace(pair, num_classes=max(p.num_classes for p in pairs)) for pair in pairs)
    return train, test


def load_idx_set(
    known: IdxSet,
    data_dir: Path_ | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
    mmap: bool = False,
) -> tuple[Dataset, Dataset]:
    """Load a known set: the user's folders first, then the cache, then the mirrors. See `load`.

    A folder with some of the four files is checked and, if those are right, passed over; so is one whose
    files are those of the sister set, which go by the same names.
    """
    notes = []
    for folder in user_folders(data_dir, known.folder, known.inside):
        paths = _find(known, folder)
        if not paths:
            continue
        try:
            contents = {file: _content(known, file, path, verify, mmap) for file, path in paths.items()}
        except _OtherSetError as other:
            notes.append(str(other))
            continue
        missing = [file.name for file in known.files if file not in paths]
        if not missing:
            return _train_and_test(known, paths, contents, str(folder), verify)
        notes.append(f"{folder}: incomplete, lacks {', '.join(missing)}")

    cache = cache_folder(known.name)
    paths = _find(known, cache)
    if len(paths) == len(known.files):
        try:
            contents = {file: _content(known, file, path, True, mmap) for file, path in paths.items()}
            return _train_and_test(known, paths, contents, str(cache), True)
        except DataError as error:
            notes.append(str(error))
    if not download:
        raise not_found(known.title, notes, known.advice)

    fetcher = Fetcher(known.title, known.mirrors, progress=progress)
    try:
        urls = [fetcher.fetch(file.remote, cache) for file in known.files]
    except MirrorError as error:
        raise MirrorError("\n".join([str(error), *notes, known.advice]), error.attempts) from error
    paths = {file: cache / file.remote.name for file in known.files}
    contents = {file: _content(known, file, path, True, mmap) for file, path in paths.items()}
    return _train_and_test(known, paths, contents, urls[0].rpartition("/")[0] + "/", True)


def download_mnist(
    folder: Path_,
    mirrors: Sequence[str] | None = None,
    *,
    progress: bool = True,
    say: Callable[[str], object] | None = None,
) -> list[Path]:
    """Put the four MNIST files, unzipped and verified, into `folder`.

    What is there and right is kept; a wrong file is moved aside to `<name>.damaged` once its successor has
    been verified.

    Parameters
    ----------
    folder : path-like
        Made if missing.
    mirrors : sequence of str, optional
        https addresses to use instead of the known mirrors.
    progress : bool
        Show a progress bar on a terminal.
    say : callable, optional
        Called with one line of text per file.

    Returns
    -------
    list of Path
        The four files.

    Raises
    ------
    ConfigError
        A mirror is not an https address.
    DownloadError
        No mirror delivered a file; `attempts` lists what each did.
    DataError
        The folder cannot be made or written.
    """
    for mirror in mirrors or ():
        if not mirror.startswith("https://") or not urlsplit(mirror).netloc:
            raise ConfigError(f"mirror {mirror!r}: expected an address that starts with https://")
    folder, say = Path(folder).expanduser(), say or (lambda line: None)
    fetcher = Fetcher(MNIST.title, mirrors or MNIST.mirrors, progress=progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_provide(file, folder, fetcher, say) for file in MNIST.files]
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _provide(file: IdxFile, folder: Path, fetcher: Fetcher, say: Callable[[str], object]) -> Path:
    target = folder / file.name
    content, source = None, ""
    for path in _existing(file, folder):
        try:
            content, source = _content(MNIST, file, path, True).content, str(path)
            break
        except DataError:
            say(f"{path}: checksum mismatch")
    if source == str(target):
        say(f"{target}: already there, verified")
        return target
    if content is None:
        say(f"{target}: downloading {file.remote.name}")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            source = fetcher.fetch(file.remote, Path(temporary))
            content = _content(MNIST, file, Path(temporary, file.remote.name), True).content
    assert content is not None
    if target.exists():
        os.replace(target, target.with_name(target.name + ".damaged"))
    with atomic_write(target) as out:
        out.write(content)
    _content(MNIST, file, target, True)  # what the disk gives back
    say(f"{target}: written and verified, from {source}")
    return target


class _OtherSetError(DataError):
    """The files of MNIST where Fashion-MNIST was looked for, or the other way round."""


def _existing(file: IdxFile, folder: Path) -> list[Path]:
    return [folder / name for name in file.names if os.path.isfile(folder / name)]


def _find(known: IdxSet, folder: Path) -> dict[IdxFile, Path]:
    return {file: paths[0] for file in known.files if (paths := _existing(file, folder))}


def _read(path: Path, mmap: bool) -> Content:
    if mmap:
        return Content(read_idx(path, mmap=True), None, file_sha256(path))
    array, content = read_idx_content(path)
    return Content(array, content, hashlib.sha256(content).hexdigest())


def _content(known: IdxSet, file: IdxFile, path: Path, verify: bool, mmap: bool = False) -> Content:
    """Read one file of a known set; with `verify`, make sure that it is the true one. Labels are not mapped."""
    mmap &= len(file.shape) > 1
    if mmap and os.access(path, os.R_OK) and _is_zipped(path):
        raise DataError(f"{path}: gzipped, so it cannot be mapped; unzip it, or read it without mmap")
    try:
        content = _read(path, mmap)
    except DataError as error:
        if not verify or not os.access(path, os.R_OK):
            raise
        raise _wrong(known, file, path, f"{error}", f"{file_sha256(path)} (as it lies on disk)") from error
    if not verify:
        return content

    array, sha256, zipped = content.array, content.sha256, _is_zipped(path)
    on_disk = file_sha256(path) if zipped else sha256
    if file.sha256 is not None:
        right, found = sha256 == file.sha256, f"{sha256} (unzipped)"
    elif zipped:
        right, found = on_disk == file.gz_sha256, f"{on_disk} (.gz)"
    else:
        right, found = array.shape == file.shape and array.dtype == "u1", f"{array.dtype} {array.shape}"
    if right:
        return content
    for other in (MNIST, FASHION):
        twin = next(twin for twin in other.files if twin.name == file.name)
        if other is not known and (sha256 == twin.sha256 or on_disk == twin.gz_sha256):
            raise _OtherSetError(f"{path}: this is the file of {other.title}, not of {known.title}")
    raise _wrong(known, file, path, f"{path}: this is not the {known.title} file", found)


def _wrong(known: IdxSet, file: IdxFile, path: Path, problem: str, found: str) -> DataError:
    if file.sha256 is not None:
        expected = f"SHA-256 {file.sha256} (unzipped)"
    elif _is_zipped(path):
        expected = f"SHA-256 {file.gz_sha256} (.gz)"
    else:
        expected = f"uint8 {file.shape}"
    return DataError(
        f"{problem}\n  expected: {expected}\n  found:    {found}\n"
        f"Delete the file and get {known.title} anew, or, if it is data of your own, load it with verify=False."
    )


def _is_zipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == GZIP_MAGIC


def _train_and_test(
    known: IdxSet,
    paths: Mapping[IdxFile, Path],
    contents: Mapping[IdxFile, Content],
    source: str,
    verify: bool,
) -> tuple[Dataset, Dataset]:
    pairs = []
    for images, labels in (known.files[:2], known.files[2:]):
        files = (paths[images], paths[labels])
        pair = (contents[images], contents[labels])
        pairs.append(_dataset(known.name, files, pair, source=source, num_classes=10 if verify else 0))
    classes = max(pair.num_classes for pair in pairs)
    train, test = (replace(pair, num_classes=classes) for pair in pairs)
    return train, test


def _dataset(
    name: str, paths: tuple[Path, Path], contents: tuple[Content, Content], *, source: str, num_classes: int
) -> Dataset:
    images, labels = (content.array for content in contents)
    for path, array, ndim, what in ((paths[0], images, 3, "images"), (paths[1], labels, 1, "labels")):
        if array.dtype != "u1" or array.ndim != ndim or array.size == 0:
            raise DataError(
                f"{path}: {what}: expected uint8 with {ndim} dimension{'s' if ndim > 1 else ''}, none empty, "
                f"found {array.dtype} of shape {array.shape}"
            )
    if len(images) != len(labels):
        raise DataError(
            f"{paths[0]}: holds {len(images)} images, but {paths[1]} holds {len(labels)} labels; "
            "the two files do not belong together"
        )
    provenance = {
        "source": source,
        **{path.name: f"sha256:{content.sha256}" for path, content in zip(paths, contents, strict=True)},
    }
    return Dataset(images, labels, name, provenance, num_classes)
