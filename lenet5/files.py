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
    """Open a temporary file in the folder of `path`; on success fsync it and rename it to `path`.

    If the block raises an exception or the process dies, `path` keeps its previous content.

    Parameters
    ----------
    path : path-like
        Final name. Missing parent folders are created.
    text : bool
        Whether to open the file as UTF-8 text instead of binary.
    keep : path-like, optional
        New name for the previous content of `path`. If the process dies between the two renames, only this file
        exists.

    Yields
    ------
    file object
        The open temporary file.

    Raises
    ------
    OSError
        If the file cannot be written; the error names `path`.
    """
    path = Path(path)
    try:
        with _temporary(path, text, keep) as file:
            yield file
    except OSError as error:  # report `path`, not the temporary file
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
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp creates private files; apply the user's umask instead
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def clear_unfinished(folder: Path, names: Collection[str]) -> None:
    """Remove temporary files for `names` that processes killed during `atomic_write` left behind.

    Call this only while holding the folder's lock; otherwise another process may be writing these files.

    Parameters
    ----------
    folder : Path
    names : collection of str
        Final names, as passed to `atomic_write`.
    """
    for path in folder.glob(".*.tmp"):
        if path.name[1:].rpartition(".")[0].rpartition(".")[0] in names:
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on the file `path`, which is removed at the end of the block.

    If the process dies, the lock is released.

    Parameters
    ----------
    path : path-like
    wait : bool
        If another process holds the lock, whether to wait for it instead of raising.

    Yields
    ------
    bool
        Whether another process held the lock at first; that process may already have done the work of the block.

    Raises
    ------
    BlockingIOError
        If another process holds the lock and `wait` is False.
    """
    from filelock import FileLock, Timeout  # imported here, because most programs do not need it

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, waited = FileLock(path, thread_local=False), False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise BlockingIOError(errno.EAGAIN, "another process is using this folder", os.fspath(path)) from None
        waited = True
        lock.acquire()
    try:
        yield waited
    finally:
        with suppress(OSError):  # Windows cannot remove an open file
            path.unlink()
        lock.release()


def fsync_folder(folder: Path) -> None:
    """Make renames in `folder` durable by syncing the folder to disk, if the platform supports this."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot fsync folders
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def mapped_from(array: np.ndarray) -> tuple[str, int] | None:
    """Return the file that backs a memory-mapped array and the array's offset in bytes; None for other arrays.

    Data read from this file instead of the mapping does not count towards the memory of the process, and if the file
    has been truncated in the meantime, reading raises an error instead of crashing the process.
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
    """Release the memory of a memory-mapped array; the data is read again when needed.

    Otherwise, a large file stays in memory and counts towards the memory of the process. Other arrays and
    copy-on-write mappings are not affected.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
