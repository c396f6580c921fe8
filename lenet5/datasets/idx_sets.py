"""Load users' own data sets from pairs or folders of IDX files."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .base import Dataset, with_one_order
from .catalog import MNIST, SETS, IdxSet
from .idx import MAX_BYTES, read_idx, read_idx_content
from .locate import file_sha256

__all__ = ["Content", "dataset_of", "idx_files", "load_idx_folder", "load_idx_pair", "read_content"]

Path_ = str | os.PathLike[str]


class Content(NamedTuple):
    """Content of an IDX file: its array, its unzipped bytes (None if the file is mapped), and their SHA-256."""

    array: NDArray[Any]
    content: bytearray | None
    sha256: str


def load_idx_pair(images_path: Path_, labels_path: Path_, *, name: str = "own", mmap: bool | None = None) -> Dataset:
    """Load your own data from an IDX file of images and one of labels, raw or gzipped.

    Parameters
    ----------
    images_path, labels_path : path-like
        Files of uint8 images (N, H, W) and of uint8 labels (N,).
    name : str
        Name of the data set.
    mmap : bool, optional
        Map the images from their file instead of reading them, for data sets larger than memory; the file must not be
        gzipped. If omitted, files over 2 GB are mapped.

    Raises
    ------
    DataError
        If a file is malformed, empty, of the wrong shape, or gzipped although `mmap` is true, or if the lengths differ.
    """
    paths = Path(images_path), Path(labels_path)
    if mmap is None:
        mmap = os.path.isfile(paths[0]) and os.path.getsize(paths[0]) > MAX_BYTES
    contents = read_content(paths[0], mmap), read_content(paths[1], False)
    return dataset_of(name, paths, contents, source=str(paths[0].parent))


def load_idx_folder(folder: Path_, *, mmap: bool | None = None) -> tuple[Dataset, Dataset]:
    """Load your own data from a folder of four IDX files with names like MNIST's.

    File names can have a prefix, and can contain ``test`` instead of ``t10k``, as in EMNIST.

    Parameters
    ----------
    folder, mmap
        As for `load` and `load_idx_pair`.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If a file is missing, or the folder contains several data sets.
    """
    folder = Path(folder).expanduser()
    sets = idx_files(folder)
    whole = {prefix: files for prefix, files in sets.items() if len(files) == 4}
    if len(whole) > 1:
        raise DataError(
            f"{folder}: contains several sets of IDX files, {', '.join(sorted(map(repr, whole)))}. Move one of them to "
            f"its own folder, or give the name of a known set: {', '.join(SETS)}."
        )
    if not whole:
        found = next(iter(sets.values()), {})
        missing = [file.name for file, part in zip(MNIST.files, _PARTS, strict=True) if part not in found]
        raise DataError(f"{folder}: lacks {', '.join(missing)}. Give the folder that contains all four IDX files.")
    files = [next(iter(whole.values()))[part] for part in _PARTS]
    train, test = (load_idx_pair(*files[k : k + 2], name="idx", mmap=mmap) for k in (0, 2))
    return with_one_order(train, test)


_PARTS = (("train", "images"), ("train", "labels"), ("test", "images"), ("test", "labels"))
_NAME = re.compile(r"(.*?)(train|t10k|test)-(images|labels)[-.]idx\d-(?:ubyte|int)(?:\.gz)?")


def idx_files(folder: Path) -> dict[str, dict[tuple[str, str], Path]]:
    """Return the IDX files of a folder as {name prefix: {("train" or "test", "images" or "labels"): path}}."""
    sets: dict[str, dict[tuple[str, str], Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            half = "train" if match[2] == "train" else "test"
            sets.setdefault(match[1], {}).setdefault((half, match[3]), path)
    return sets


def read_content(path: Path, mmap: bool) -> Content:
    """Read an IDX file."""
    if mmap:
        return Content(read_idx(path, mmap=True), None, file_sha256(path))
    array, content = read_idx_content(path)
    return Content(array, content, hashlib.sha256(content).hexdigest())


def dataset_of(
    name: str,
    paths: tuple[Path, Path],
    contents: tuple[Content, Content],
    *,
    source: str,
    known: IdxSet | None = None,
    verify: bool = False,
) -> Dataset:
    """Make a data set from a file of images and one of labels, with the classes and orientation of `known` if given."""
    images, labels = (content.array for content in contents)
    if labels.ndim == 2 and labels.dtype == "i4" and labels.size:  # QMNIST's labels: class, writer and more
        labels = labels[:, 0]
    for path, array, ndim, what in ((paths[0], images, 3, "images"), (paths[1], labels, 1, "labels")):
        if array.dtype not in ("u1", "i4")[: 4 - ndim] or array.ndim != ndim or array.size == 0:
            raise DataError(
                f"{path}: {what}: expected a non-empty uint8 array with {ndim} dimension{'s' if ndim > 1 else ''}, "
                f"found {array.dtype} of shape {array.shape}"
            )
    if len(images) != len(labels):
        raise DataError(
            f"{paths[0]}: contains {len(images)} images, but {paths[1]} contains {len(labels)} labels. "
            "Use files of the same data set."
        )
    provenance = {
        "source": source,
        **{path.name: f"sha256:{content.sha256}" for path, content in zip(paths, contents, strict=True)},
    }
    classes: tuple[str, ...] = ()
    if known is not None:
        images = images.transpose(0, 2, 1) if known.transposed else images
        highest = int(labels.max()) - known.first_label
        if verify or known.first_label or 0 <= highest < len(known.classes):
            labels, classes = labels.astype(np.int64) - known.first_label, known.classes
    return Dataset(images, labels, name, provenance, classes=classes)
