"""Load a data set by its name or path."""

import difflib
import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError, DownloadError
from .base import Dataset
from .catalog import MNIST, SETS
from .cifar10 import load_cifar10
from .digits import TRAIN_COUNT, load_digits
from .folder import from_folder
from .idx_sets import idx_files, load_idx_folder
from .lines import line_sets
from .locate import NotFoundError
from .mnist import load_idx_set
from .table import from_csv, from_npz, has_labels

__all__ = ["NAMES", "load", "load_auto"]

NAMES = (*SETS, "mnist-lines", "cifar10", "digits", "idx")


def load(
    name: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
    mmap: bool | None = None,
    **reading: Any,
) -> tuple[Dataset, Dataset]:
    """Load a data set by its name, or your own data by its path.

    A named set is searched for in `data_dir`, $LENET5_DATA, the working directory and the user's cache folder, and
    otherwise downloaded to the cache. The first folder with all files is used; folders with only some of them are
    skipped. In the working directory, the folder must be named MNIST, FashionMNIST, KMNIST, EMNIST, QMNIST or CIFAR10.
    Sub-folders such as `mnist`, or `MNIST/raw` as in torchvision, are also searched. Files can be raw or gzipped, and
    be named `train-images-idx3-ubyte` or `train-images.idx3-ubyte`.

    Parameters
    ----------
    name : str or path-like
        Name: "mnist", "fashion-mnist", "kmnist", "qmnist", "emnist-digits", "emnist-letters", "emnist-balanced",
        "emnist-mnist", "cifar10", "mnist-lines" (MNIST prepared for reading lines of digits, see `line_sets`), "digits"
        (the 1,797 small digits included in scikit-learn, which are always available) or "idx" (your own four IDX files
        in `data_dir`). QMNIST and EMNIST cannot be downloaded. Path: a folder with a sub-folder of images for each
        class (`from_folder`), a CSV file (`from_csv`) or a folder with `train.csv`, an .npz file (`from_npz`), or a
        folder with four IDX files.
    data_dir : path-like, optional
        Folder to search first. It must exist.
    verify : bool
        Whether to compare the SHA-256 of every file with the published one. If false, any well-formed files with these
        names are loaded, for example your own. No hashes are published for EMNIST, or for the raw files of KMNIST,
        QMNIST and CIFAR-10; only the shapes and sizes of these files are checked. Downloads are always verified.
    download : bool
        Whether to download files that are not on disk, or are damaged in the cache.
    progress : bool
        Whether to show a progress bar on a terminal while files are downloaded or a folder of images is read.
    mmap : bool, optional
        Whether to map the images from their raw IDX files instead of reading them, for data sets larger than memory. If
        omitted, only your own IDX files over 2 GB are mapped.
    **reading
        Options for paths: `size`, `fit` and `colour` (see `from_folder`), `label` (see `from_csv`), and `test_split`
        and `seed` if there is no test set.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    ConfigError
        If `name` is neither a known data set nor an existing path, the data set does not support `mmap`, "idx" is given
        without `data_dir`, or an option does not apply.
    DataError
        If `data_dir` is not a folder, a file is damaged or has the wrong hash, or the data set is not on disk and
        `download` is false.
    DownloadError
        If no mirror delivered a file; `attempts` lists (address, reason) for each mirror.
    """
    options = {"verify": verify, "download": download, "progress": progress}
    unknown = sorted(reading.keys() - _READING)
    if unknown:
        raise ConfigError(
            f"load has no option {', '.join(unknown)}. The options for paths are {', '.join(sorted(_READING))}."
        )
    given = {key: value for key, value in reading.items() if value is not None}
    if name not in NAMES:
        path = Path(name).expanduser() if isinstance(name, str | os.PathLike) and name else None
        if path is not None and path.exists():
            return _from_path(path, mmap=mmap, progress=progress, **given)
        like_path = path is not None and (path.suffix or len(path.parts) > 1)
        near = [] if like_path else difflib.get_close_matches(str(name).lower(), NAMES, n=2, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        raise ConfigError(
            f"unknown data set {str(name)!r}, and no such file or folder{hint} Choose one of {', '.join(NAMES)}, or "
            "pass the path of a folder of images, a CSV file or an .npz file."
        )
    pointless = sorted(key for key, value in given.items() if value != _READING[key])
    if pointless:
        raise ConfigError(
            f"these options apply only to data sets given by a path, not to {name}: {', '.join(pointless)}."
        )
    if mmap and name in ("cifar10", "digits", "mnist-lines"):
        raise ConfigError(f"mmap requires a data set in IDX files, such as mnist, fashion-mnist or idx; found {name}.")
    if name == "idx":
        if data_dir is None:
            raise ConfigError("idx needs a folder: give it as data_dir (--data-dir on the command line).")
        return load_idx_folder(data_dir, mmap=mmap)
    if name == "digits":
        return load_digits()
    if name == "cifar10":
        return load_cifar10(data_dir, **options)
    if name == "mnist-lines":
        return line_sets(*load_idx_set(MNIST, data_dir, **options))
    return load_idx_set(SETS[str(name)], data_dir, mmap=bool(mmap), **options)


# Options for paths, with their defaults.
_READING = {"size": None, "fit": "auto", "colour": None, "label": None, "test_split": 0.2, "seed": 0}


def _from_path(path: Path, *, mmap: bool | None, progress: bool, **reading: Any) -> tuple[Dataset, Dataset]:
    """Load a data set from a path, according to the type of file or folder."""

    def only(*names: str) -> dict[str, Any]:
        others = sorted(key for key, value in reading.items() if key not in names and value != _READING[key])
        if others:
            raise ConfigError(f"{path}: {', '.join(others)} cannot be used with this type of data.")
        return {key: value for key, value in reading.items() if key in names}

    if path.is_dir():
        if idx_files(path):
            only("test_split", "seed")
            return load_idx_folder(path, mmap=mmap)
        train = [path / f"train{suffix}" for suffix in (".csv", ".csv.gz")]
        table = next((file for file in train if file.is_file()), None)
        if table is not None:
            test = table.with_name(table.name.replace("train", "test", 1))
            labelled = test.is_file() and has_labels(test)
            return from_csv(table, test if labelled else None, **only("label", "test_split", "seed"))
        return from_folder(path, progress=progress, **only("size", "fit", "colour", "test_split", "seed"))
    kind = "".join(path.suffixes[-2:]).lower().removesuffix(".gz")
    if kind.endswith(".npz"):
        return from_npz(path, **only("test_split", "seed"))
    if kind.endswith((".csv", ".tsv", ".txt")):
        return from_csv(path, **only("label", "test_split", "seed"))
    raise DataError(f"{path}: neither a folder nor a .csv, .csv.gz or .npz file. For arrays, use datasets.from_arrays.")


def load_auto(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
) -> tuple[Dataset, Dataset, str | None]:
    """Load MNIST, or "digits" if MNIST can be neither found nor downloaded.

    Parameters
    ----------
    data_dir, verify, download, progress
        As for `load`.

    Returns
    -------
    train, test : Dataset
    notice : str or None
        None for MNIST. Otherwise, a message for the user that explains why MNIST is unavailable and how to get it.

    Raises
    ------
    DataError
        If `data_dir` is not a folder, or an MNIST file is damaged or has the wrong hash.
    """
    try:
        return (*load("mnist", data_dir, verify=verify, download=download, progress=progress), None)
    except (DownloadError, NotFoundError) as error:
        notice = (
            f"{error}\nOr run: python MNIST_auto_Download.py\nUsing scikit-learn's digits instead: "
            f"{TRAIN_COUNT:,} training images, not 60,000."
        )
        return (*load_digits(), notice)
