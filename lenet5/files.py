"""Atomic writes, file locks, and release of memory-mapped pages."""

import errno
import mmap
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["atomic_write", "clear_unfinished", "forget", "fsync_folder", "locked", "mapped_from"]


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], *, text: bool = False, keep: str | os.PathLike[str] | None = None
) -> Iterator[IO]:
    """Open a temporary file beside `path`; on success fsync it and rename it to `path`.

    If the block raises, or the process dies at any moment, `path` holds what it held before.

    Parameters
    ----------
    path : path-like
        The final name. Missing parent folders are made.
    text : bool
        Open as UTF-8 text instead of binary.
    keep : path-like, optional
        What `path` held before is kept under this name. If the process dies between the two renames, it is there
        alone.

    Yields
    ------
    file object
        The open temporary file.

    Raises
    ------
    OSError
        If it cannot be written; it names `path`.
    """
    path = Path(path)
    try:
        with _temporary(path, text, keep) as file:
            yield file
    except OSError as error:  # a full disk has no name, and the temporary file's name is of no use
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


@contextmanager
def _temporary(path: Path, text: bool, keep: str | os.PathLike[str] | None) -> Iterator[IO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w" if text else "wb", encoding="utf-8" if text else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; the user's umask decides here
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def clear_unfinished(folder: Path, names: Collection[str]) -> None:
    """Remove temporary files of these names that a process killed in `atomic_write` has left.

    Call it only under the lock of the folder: otherwise another process may be writing them.

    Parameters
    ----------
    folder : Path
    names : collection of str
        Final names, as `atomic_write` was given them.
    """
    for path in folder.glob(".*.tmp"):
        if path.name[1:].rpartition(".")[0].rpartition(".")[0] in names:
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[bool]:
    """Wait until no other process is in a block with this path; the file goes when the block ends.

    A process that dies lets go of its lock.

    Parameters
    ----------
    path : path-like
    wait : bool
        False raises instead.

    Yields
    ------
    bool
        Whether there was another, which may have done what the block is about.

    Raises
    ------
    BlockingIOError
        If there is another, and `wait` is False.
    """
    from filelock import FileLock, Timeout  # here, so that reading data loads no library for it

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, waited = FileLock(path, thread_local=False), False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise BlockingIOError(errno.EAGAIN, "another process is at work here", os.fspath(path)) from None
        waited = True
        lock.acquire()
    try:
        yield waited
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            path.unlink()
        lock.release()


def fsync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, if the platform can open folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot, as opposed to one that failed
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def mapped_from(array: np.ndarray) -> tuple[str, int] | None:
    """Return the file that an array is mapped from and the array's offset in bytes, or None.

    What is read from the file itself, and not through the map, is no memory of the program's, and a file that
    has become shorter since is an error instead of the end of the process.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            private = base.mode == "c" or base.filename is None
            inside = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            return None if private else (str(base.filename), base.offset + inside)
        base = base.base
    return None


def forget(array: np.ndarray) -> None:
    """Release the memory of a memory-mapped file; it is read again when needed.

    Else all of a large file stays in memory, and counts as the program's. Does nothing to other arrays, nor
    to maps that keep changes to themselves.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
