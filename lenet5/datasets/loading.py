"""`load` a data set by its name."""

import difflib
import os

from ..errors import ConfigError, DownloadError
from .base import Dataset
from .catalog import FASHION, MNIST
from .cifar10 import load_cifar10
from .digits import TRAIN_COUNT, load_digits
from .locate import NotFoundError
from .mnist import load_idx_folder, load_idx_set

__all__ = ["NAMES", "load", "load_auto"]

NAMES = ("mnist", "fashion-mnist", "cifar10", "digits", "idx")


def load(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
    mmap: bool | None = None,
) -> tuple[Dataset, Dataset]:
    """Load a data set: from `data_dir`, $LENET5_DATA, the working directory, the cache, or a mirror.

    The first place that holds all files wins; a folder without them, or with only some, is passed over. In
    the working directory the folder is MNIST, FashionMNIST or CIFAR10; in each place sub-folders such as
    `mnist` or torchvision's `MNIST/raw` are tried too. Files may be raw or gzipped, and their names written
    `train-images-idx3-ubyte` or `train-images.idx3-ubyte`. Downloads go to the user's cache folder.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "cifar10", "digits", "idx"}
        "digits" are the 1,797 small digits inside scikit-learn; they are always there. "idx" is `data_dir`, and
        no other place: four IDX files of your own under MNIST's names, about which nothing is known.
    data_dir : path-like, optional
        Must exist.
    verify : bool
        Compare the SHA-256 of every file with the known one. Without it any well-formed files of these
        names load, so they may be your own. No hash is known for Fashion-MNIST's raw files and CIFAR-10's
        extracted ones: of these only shape and size are checked. Downloads are verified always.
    download : bool
        Download what is not on disk, or is damaged in the cache.
    progress : bool
        Show a progress bar for downloads on a terminal.
    mmap : bool, optional
        Leave the images in their files, which must be raw IDX: for sets larger than memory. Left out, this is
        done with files of "idx" over 2 GB.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    ConfigError
        There is no data set of this name; it is not made of IDX files, and to be mapped; or "idx" has no `data_dir`.
    DataError
        `data_dir` is no folder; a file of the user's is damaged or not the true one; or the set is not on
        disk and `download` is False.
    DownloadError
        No mirror delivered a file; `attempts` lists (address, reason) for each.
    """
    options = {"verify": verify, "download": download, "progress": progress}
    if mmap and name in ("cifar10", "digits"):
        raise ConfigError(f"mmap is for sets of IDX files: mnist, fashion-mnist, idx; found {name}.")
    if name == "idx":
        if data_dir is None:
            raise ConfigError("idx is a folder of your own: name it with data_dir (on the command line --data-dir).")
        return load_idx_folder(data_dir, mmap=mmap)
    if name == "digits":
        return load_digits()
    if name == "cifar10":
        return load_cifar10(data_dir, **options)
    for known in (MNIST, FASHION):
        if name == known.name:
            return load_idx_set(known, data_dir, mmap=bool(mmap), **options)
    near = difflib.get_close_matches(str(name).lower(), NAMES, n=2, cutoff=0.4) or NAMES
    raise ConfigError(f"no data set {name!r}; did you mean {' or '.join(near)}? (known: {', '.join(NAMES)})")


def load_auto(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    download: bool = True,
    progress: bool = False,
) -> tuple[Dataset, Dataset, str | None]:
    """Load MNIST, or "digits" where MNIST can be neither found nor downloaded.

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
            f"{error}\n"
            "Or run: python MNIST_auto_Download.py\n"
            f"Going on with scikit-learn's digits instead: {TRAIN_COUNT:,} training images, not 60,000."
        )
        return (*load_digits(), notice)
