"""Find, verify, load and download MNIST and data sets in the same format."""

import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigError, DataError
from ..files import atomic_write
from .base import Dataset, with_one_order
from .catalog import MNIST, SETS, IdxFile, IdxSet
from .download import Fetcher, MirrorError
from .idx import GZIP_MAGIC
from .idx_sets import Content, dataset_of, read_content
from .locate import cache_folder, file_sha256, not_found, user_folders

__all__ = ["download_mnist", "load_idx_set"]

Path_ = str | os.PathLike[str]


def load_idx_set(
    known: IdxSet,
    data_dir: Path_ | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
    mmap: bool = False,
) -> tuple[Dataset, Dataset]:
    """Load a known data set from the user's folders, the cache or a mirror; see `load`.

    A folder with only some of the four files is skipped, but an error is raised if one of them is wrong. A folder is
    also skipped if its files belong to another data set with the same file names, such as Fashion-MNIST.
    """
    notes = []
    system = [Path(known.system)] if known.system else []
    for folder in itertools.chain(user_folders(data_dir, known.folder, known.inside), system):
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
    if not download or not known.mirrors:
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
    """Download the four MNIST files into `folder`, unzipped and verified.

    Correct files that are already there are kept. Wrong files are renamed to `<name>.damaged` once their replacements
    have been verified.

    Parameters
    ----------
    folder : path-like
        Output folder; created if missing.
    mirrors : sequence of str, optional
        https addresses to use instead of the default mirrors.
    progress : bool
        Show a progress bar on a terminal.
    say : callable, optional
        Called with a line of text for each file.

    Returns
    -------
    list of Path
        Paths of the four files.

    Raises
    ------
    ConfigError
        If a mirror is not an https address.
    DownloadError
        If no mirror delivered a file; `attempts` lists (address, reason) for each.
    DataError
        If the folder cannot be created or written.
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
    _content(MNIST, file, target, True)  # verify the bytes on disk
    say(f"{target}: written and verified, from {source}")
    return target


class _OtherSetError(DataError):
    """Raised if a file belongs to another data set, for example to Fashion-MNIST instead of MNIST."""


def _existing(file: IdxFile, folder: Path) -> list[Path]:
    return [folder / name for name in file.names if os.path.isfile(folder / name)]


def _find(known: IdxSet, folder: Path) -> dict[IdxFile, Path]:
    return {file: paths[0] for file in known.files if (paths := _existing(file, folder))}


def _content(known: IdxSet, file: IdxFile, path: Path, verify: bool, mmap: bool = False) -> Content:
    """Read a file of a known data set, and verify its content if `verify` is true. Labels are returned as stored."""
    mmap &= len(file.shape) > 1
    if mmap and os.access(path, os.R_OK) and _is_zipped(path):
        raise DataError(f"{path}: a gzipped file cannot be mapped; unzip it, or read it without mmap")
    try:
        content = read_content(path, mmap)
    except DataError as error:
        if not verify or not os.access(path, os.R_OK):
            raise
        raise _wrong(known, file, path, f"{error}", f"{file_sha256(path)} (on disk)") from error
    if not verify:
        return content

    array, sha256, zipped = content.array, content.sha256, _is_zipped(path)
    on_disk = file_sha256(path) if zipped else sha256
    if file.sha256 is not None:
        right, found = sha256 == file.sha256, f"{sha256} (unzipped)"
    elif zipped and file.gz_sha256:
        right, found = on_disk == file.gz_sha256, f"{on_disk} (.gz)"
    elif zipped and file.gz_md5:
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        right, found = md5 == file.gz_md5, f"MD5 {md5} (.gz)"
    elif len(file.shape) == 2:
        right, found = array.shape == file.shape and array.dtype == "i4", f"{array.dtype} {array.shape}"
    else:
        right, found = array.shape == file.shape and array.dtype == "u1", f"{array.dtype} {array.shape}"
    if right:
        return content
    for other in SETS.values():
        twin = next((twin for twin in other.files if twin.name == file.name), None)
        if twin and other is not known and (sha256 == twin.sha256 or on_disk == twin.gz_sha256):
            raise _OtherSetError(f"{path}: this file belongs to {other.title}, not to {known.title}")
    raise _wrong(known, file, path, f"{path}: this is not the {known.title} file", found)


def _wrong(known: IdxSet, file: IdxFile, path: Path, problem: str, found: str) -> DataError:
    if file.sha256 is not None:
        expected = f"SHA-256 {file.sha256} (unzipped)"
    elif _is_zipped(path) and (file.gz_sha256 or file.gz_md5):
        expected = f"SHA-256 {file.gz_sha256} (.gz)" if file.gz_sha256 else f"MD5 {file.gz_md5} (.gz)"
    else:
        expected = f"{'int32' if len(file.shape) == 2 else 'uint8'} {file.shape}"
    return DataError(
        f"{problem}\n  expected: {expected}\n  found:    {found}\nDelete the file and get {known.title} again. If it "
        "is your own data, load it with verify=False."
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
        pairs.append(dataset_of(known.name, files, pair, source=source, known=known, verify=verify))
    return with_one_order(*pairs)
