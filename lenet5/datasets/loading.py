"""Load a data set by its name."""

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
    """Load a data set by its name, or from a path of your own.

    A set with a name: from `data_dir`, $LENET5_DATA, the working directory, the cache, or a mirror. The first place
    that holds all files wins; a folder without them, or with only some, is passed over. In the working directory the
    folder is MNIST, FashionMNIST, KMNIST, EMNIST, QMNIST or CIFAR10; in each place sub-folders such as `mnist` or
    torchvision's `MNIST/raw` are tried too. Files may be raw or gzipped, and their names written
    `train-images-idx3-ubyte` or `train-images.idx3-ubyte`. Downloads go to the user's cache folder.

    Parameters
    ----------
    name : str or path-like
        "mnist", "fashion-mnist", "kmnist", "qmnist", "emnist-digits", "emnist-letters", "emnist-balanced",
        "emnist-mnist", "cifar10"; "mnist-lines", which is MNIST made for lines of digits (`line_sets`); or "digits",
        the 1,797 small digits inside scikit-learn, which are always there. QMNIST and EMNIST are not downloaded. "idx"
        is `data_dir`, and no other place: four IDX files of your own, about which nothing is known. Else a path: a
        folder with a sub-folder of pictures for each class (`from_folder`), a CSV file
        (`from_csv`) or a folder with `train.csv`, an .npz file (`from_npz`), or a folder with four IDX files.
    data_dir : path-like, optional
        Must exist.
    verify : bool
        Compare the SHA-256 of every file with the known one. Without it any well-formed files of these
        names load, so they may be your own. Of EMNIST, and of the raw files of KMNIST, QMNIST and CIFAR-10, no hash is
        known: of these only shape and size are checked. Downloads are verified always.
    download : bool
        Download what is not on disk, or is damaged in the cache.
    progress : bool
        Show a progress bar for downloads and folders on a terminal.
    mmap : bool, optional
        Leave the images in their files, which must be raw IDX: for sets larger than memory. Left out, this is
        done with files of "idx" over 2 GB.
    **reading
        Of a path: `size`, `fit` and `colour` as for `from_folder`, `label` as for `from_csv`, and of all without a test
        set `test_split` and `seed`.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    ConfigError
        There is no data set of this name, and no such path; it is not made of IDX files, and to be mapped; or "idx" has
        no `data_dir`.
    DataError
        `data_dir` is no folder; a file of the user's is damaged or not the true one; or the set is not on
        disk and `download` is False.
    DownloadError
        No mirror delivered a file; `attempts` lists (address, reason) for each.
    """
    options = {"verify": verify, "download": download, "progress": progress}
    unknown = sorted(reading.keys() - _READING)
    if unknown:
        raise ConfigError(
            f"load has no option {', '.join(unknown)}; of a path there are {', '.join(sorted(_READING))}."
        )
    given = {key: value for key, value in reading.items() if value is not None}
    if name not in NAMES:
        path = Path(name).expanduser() if isinstance(name, str | os.PathLike) and name else None
        if path is not None and path.exists():
            return _from_path(path, mmap=mmap, progress=progress, **given)
        near = difflib.get_close_matches(str(name).lower(), NAMES, n=2, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"no data set {str(name)!r}, and no such file or folder; {hint}(known: {', '.join(NAMES)}; or the path of "
            "a folder of pictures, a CSV or an .npz file)"
        )
    pointless = sorted(key for key, value in given.items() if value != _READING[key])
    if pointless:
        raise ConfigError(f"{', '.join(pointless)}: of a data set given by its path; {name} is read as it is.")
    if mmap and name in ("cifar10", "digits", "mnist-lines"):
        raise ConfigError(f"mmap is for sets of IDX files: mnist, fashion-mnist, idx; found {name}.")
    if name == "idx":
        if data_dir is None:
            raise ConfigError("idx is a folder of your own: name it with data_dir (on the command line --data-dir).")
        return load_idx_folder(data_dir, mmap=mmap)
    if name == "digits":
        return load_digits()
    if name == "cifar10":
        return load_cifar10(data_dir, **options)
    if name == "mnist-lines":
        return line_sets(*load_idx_set(MNIST, data_dir, **options))
    return load_idx_set(SETS[str(name)], data_dir, mmap=bool(mmap), **options)


# What the reading of a path may be told, and its defaults.
_READING = {"size": None, "fit": "auto", "colour": None, "label": None, "test_split": 0.2, "seed": 0}


def _from_path(path: Path, *, mmap: bool | None, progress: bool, **reading: Any) -> tuple[Dataset, Dataset]:
    """Load a data set from a path, by the kind of file or folder."""

    def only(*names: str) -> dict[str, Any]:
        others = sorted(key for key, value in reading.items() if key not in names and value != _READING[key])
        if others:
            raise ConfigError(f"{path}: {', '.join(others)} has no meaning for this kind of data.")
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
    raise DataError(
        f"{path}: neither a folder nor a .csv, .csv.gz or .npz file; datasets.from_arrays makes a data set of anything "
        "that NumPy makes an array of."
    )


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
        None with MNIST; else a text for the user: what was tried, what is used instead, what to do.

    Raises
    ------
    DataError
        `data_dir` is no folder, or an MNIST file of the user's is damaged or not the true one.
    """
    try:
        return (*load("mnist", data_dir, verify=verify, download=download, progress=progress), None)
    except (DownloadError, NotFoundError) as error:
        notice = (
            f"{error}\nOr run: python MNIST_auto_Download.py\nGoing on with scikit-learn's digits instead: "
            f"{TRAIN_COUNT:,} training images, not 60,000."
        )
        return (*load_digits(), notice)
