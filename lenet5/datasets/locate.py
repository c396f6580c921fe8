"""Search for data files in the usual folders, compute their hashes, and report missing data sets."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError

__all__ = ["NotFoundError", "cache_folder", "file_sha256", "not_found", "user_folders"]


class NotFoundError(DataError):
    """Raised if a data set is not on this machine and cannot or must not be downloaded."""


def user_folders(data_dir: str | os.PathLike[str] | None, default: str, inside: Sequence[str]) -> Iterator[Path]:
    """Yield the user's folders in search order: `data_dir`, $LENET5_DATA, ./`default`.

    Parameters
    ----------
    data_dir : path-like or None
        Folder given by the user. It must exist.
    default : str
        Name of the folder in the working directory.
    inside : sequence of str
        Sub-folders to search in each of the three folders, after the folder itself.

    Raises
    ------
    DataError
        If `data_dir` is not a folder.
    """
    roots = []
    if data_dir is not None:
        roots.append(Path(data_dir).expanduser())
        if not os.path.isdir(roots[0]):
            found = "it is not a folder" if os.path.exists(roots[0]) else "it does not exist"
            raise DataError(f"data folder {roots[0]}: {found}; give the folder that contains the data files")
    if os.environ.get("LENET5_DATA"):
        roots.append(Path(os.environ["LENET5_DATA"]).expanduser())
    roots.append(Path(default))
    for root in roots:
        yield root
        yield from (root / sub for sub in inside)


def cache_folder(name: str) -> Path:
    """Return the folder for downloads of data set `name`, in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("lenet5") / name


def not_found(title: str, notes: Sequence[str], advice: str) -> NotFoundError:
    """Return the error for a data set that is not on disk and cannot or must not be downloaded."""
    return NotFoundError("\n".join([f"{title} is not on this machine", *notes, advice]))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file on disk, without unzipping it."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
