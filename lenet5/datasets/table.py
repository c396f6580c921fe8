"""Load data sets from tables of pixels: Kaggle's CSV files, Keras's NPZ files, arrays and data frames."""

import csv
import gzip
import math
import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .base import Dataset, with_one_order
from .folder import split_by_class
from .idx import MAX_BYTES

__all__ = ["from_arrays", "from_csv", "from_npz", "has_labels", "read_csv"]

Path_ = str | os.PathLike[str]

# Names of columns and arrays that contain the classes, and names of arrays that contain the images.
LABELS = ("label", "labels", "class", "target", "targets", "y", "digit")
IMAGES = ("images", "image", "x", "data", "pixels")
_TEST_NAMES = ("test", "val", "valid", "validation")


def from_arrays(
    images: Any,
    labels: Any,
    test_images: Any = None,
    test_labels: Any = None,
    *,
    name: str = "data",
    classes: Sequence[Any] = (),
    test_split: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Make a training and a test set from arrays, tensors or data frames.

    Parameters
    ----------
    images, labels : array-like
        Images and labels as for `Dataset`. If `images` is a data frame, `labels` can be the name of its label column.
    test_images, test_labels : array-like, optional
        Test set (default: a random fraction of each class).
    name : str
        Name of the data set.
    classes : sequence, optional
        Classes as for `Dataset`.
    test_split : float
        Fraction of each class to use as the test set if none is given.
    seed : int
        Seed for drawing the test set.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If an array has an unsupported format.
    """
    images, labels = _columns(images, labels)
    train = Dataset(images, labels, name, {"source": "arrays"}, classes=classes)
    if test_images is None:
        return split_by_class(train, test_split, seed)
    test = Dataset(*_columns(test_images, test_labels), name, {"source": "arrays"}, classes=classes)
    return with_one_order(train, test)


def _columns(frame: Any, labels: Any) -> tuple[Any, Any]:
    """Return pixels and labels; if `labels` is the name of a column of a data frame, split that column off."""
    if not isinstance(labels, str):
        return frame, labels
    if labels not in getattr(frame, "columns", ()):
        raise DataError(f"{type(frame).__name__} has no column {labels!r}.")
    return frame[[name for name in frame.columns if name != labels]], frame[labels]


def from_npz(path: Path_, *, test_split: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Load an .npz file such as Keras's ``mnist.npz``, MedMNIST's files, or your own file with similar array names.

    The arrays are named ``x_train``, ``y_train``, ``x_test`` and ``y_test``; or ``train_images``, ``train_labels`` and
    so on; or there is a single pair such as ``images`` and ``labels``. In the last case, a fraction of each class
    becomes the test set.

    Parameters
    ----------
    path : path-like
        File to read.
    test_split, seed
        As for `from_arrays`.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If the file cannot be read or lacks arrays with such names.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as archive:
                    size = sum(info.file_size for info in archive.infolist())
                if size > MAX_BYTES:
                    raise DataError(f"{path}: expected at most {MAX_BYTES:,} bytes unpacked, found {size:,}.")
            stream.seek(0)
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(
                    f"{path}: found one array without labels; save both with np.savez(path, images=..., labels=...)."
                )
            names = {name.lower(): name for name in file.files}
            found = {part: _pair(names, part) for part in ("train", "test", "")}
            arrays = {part: (file[pair[0]], file[pair[1]]) for part, pair in found.items() if pair}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    # NumPy and zipfile raise many types of exceptions for damaged files and pickled objects.
    except Exception as error:
        raise DataError(f"{path}: not an .npz file of plain arrays: {error}") from error
    train = arrays.get("train", arrays.get(""))
    if train is None:
        raise DataError(
            f"{path}: found the arrays {', '.join(names.values()) or 'none'}; expected x_train, y_train, x_test and "
            "y_test, or images and labels."
        )
    more = arrays.get("test", ()) if "train" in arrays else ()
    return _named(path, from_arrays(*train, *more, name=path.stem, test_split=test_split, seed=seed))


def _pair(names: dict[str, str], part: str) -> tuple[str, str] | None:
    """Return the names of the image and label arrays for `part`: "train", "test", or "" for a single pair."""
    places = _TEST_NAMES if part == "test" else (part,)

    def first(kinds: Sequence[str]) -> str | None:
        spelt = [
            s for p in places for k in kinds for s in ((f"{k}_{p}", f"{p}_{k}", f"{k}{p}", f"{p}{k}") if p else (k,))
        ]
        return next((names[s] for s in spelt if s in names), None)

    images, labels = first(IMAGES), first(LABELS)
    return (images, labels) if images and labels else None


def from_csv(
    path: Path_,
    test: Path_ | None = None,
    *,
    label: str | None = None,
    test_split: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Load a CSV file, plain or gzipped, with one image per row: its class and its pixels.

    Kaggle's ``train.csv`` has a header line and the class in the column ``label``. Other CSV files of MNIST have no
    header line and hold the class in the first column. Columns can be separated by commas, semicolons or tabs.

    Parameters
    ----------
    path : path-like
        File with the training set, or with the whole data set.
    test : path-like, optional
        File with the test set (default: a random fraction of each class of the first file).
    label : str, optional
        Name of the column with the classes. Default: the column named label, class, target or y, otherwise the first
        column.
    test_split, seed
        As for `from_arrays`.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If a file cannot be read, is not a table of pixels, or has no classes.
    """
    parts = []
    for each in (path,) if test is None else (path, test):
        pixels, labels = read_csv(each, label=label)
        if labels is None:
            raise DataError(
                f"{each}: found {pixels.shape[1]} columns of pixels but no classes; expected a column named label, or "
                "the class as an additional first column. To classify unlabelled images, use python -m lenet5.predict."
            )
        parts += [pixels, labels]
    return _named(Path(path), from_arrays(*parts, name=_stem(Path(path)), test_split=test_split, seed=seed))


def read_csv(path: Path_, *, label: str | None = None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the pixels (N, D) of a CSV file, and its classes (N,) or None if it has none.

    Raises
    ------
    DataError
        As for `from_csv`.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            first = file.readline()
        delimiter = max(",;\t", key=first.count)
        cells = next(csv.reader([first.strip()], delimiter=delimiter), [])
        heads = [cell.strip() for cell in cells] if sum(map(_is_number, cells)) < len(cells) / 2 else None
        place = _label_column(path, heads, len(cells), label)
        skip, columns = int(heads is not None), [k for k in range(len(cells)) if k != place]
        options: dict[str, Any] = {"delimiter": delimiter, "skiprows": skip, "encoding": "utf-8", "comments": None}
        labels = None
        with warnings.catch_warnings(action="ignore"):  # NumPy warns about empty tables, which raise DataError below
            try:
                pixels = np.loadtxt(path, np.uint8, usecols=columns, ndmin=2, **options)
            except (ValueError, OverflowError):
                pixels = np.loadtxt(path, np.float32, usecols=columns, ndmin=2, **options)
            if place is not None:
                labels = np.loadtxt(path, str, usecols=[place], ndmin=1, quotechar='"', **options)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, UnicodeError, csv.Error, IndexError) as error:
        raise DataError(f"{path}: not a table of pixels: {error}") from error
    if not pixels.size:
        raise DataError(f"{path}: not a table of pixels: no rows found.")
    if labels is None:
        return pixels, None
    if all(map(_is_number, labels[:100].tolist())):
        try:
            return pixels, labels.astype(np.float64)
        except ValueError:
            pass  # some labels are not numbers
    return pixels, np.char.strip(labels)


def has_labels(path: Path_) -> bool:
    """Return whether a CSV file has a label column, judging by its first line. Kaggle's ``test.csv`` has none."""
    with _opened(Path(path)) as file:
        cells = file.readline().strip().split(",")
    heads = None if all(map(_is_number, cells)) else [cell.strip() for cell in cells]
    return _label_column(Path(path), heads, len(cells), None) is not None


def _label_column(path: Path, heads: list[str] | None, count: int, label: str | None) -> int | None:
    if label is not None:
        if heads is None or label not in heads:
            raise DataError(
                f"{path}: no column {label!r}; the first columns are {', '.join((heads or ['unnamed'])[:5])}."
            )
        return heads.index(label)
    known = [k for k, head in enumerate(heads or []) if head.lower() in LABELS]
    if known:
        return known[0]
    side = math.isqrt(count)
    return None if side * side == count else 0


def _opened(path: Path) -> Any:
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", encoding="utf-8-sig") if zipped else open(path, encoding="utf-8-sig")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or "data"


def _named(path: Path, sets: tuple[Dataset, Dataset]) -> tuple[Dataset, Dataset]:
    train, test = (replace(data, provenance=dict(data.provenance) | {"source": str(path)}) for data in sets)
    return train, test
