"""Checkpoints: one .npz file of named arrays and a JSON note, written atomically and validated when read."""

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError
from ..files import atomic_write

if TYPE_CHECKING:
    from ..network import Sequential

__all__ = ["FORMAT", "NAME", "load", "load_newest", "previous", "restore", "restore_network", "save"]

FORMAT = 1
# The newest checkpoint in the folder of a run.
NAME = "checkpoint.npz"
_NOTE = "meta"
# A float64 network of 60,000 numbers with optimiser state is 2 MB; nothing honest comes near this.
MAX_BYTES = 1 << 30
_HEADER_BYTES = 4096


def previous(path: str | os.PathLike[str]) -> Path:
    """Return the path of the previous file: checkpoint.previous.npz for checkpoint.npz."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], *, keep: bool = False
) -> None:
    """Write arrays and a note to one .npz file.

    Parameters
    ----------
    path : path-like
        Replaced only when the new file is complete and on the disk.
    arrays : mapping of str to ndarray
        Of numbers; any shapes.
    meta : mapping
        What JSON can hold. The format version and a SHA-256 of all the rest are added.
    keep : bool
        Keep the file that is there as `previous` of its name.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    note = dict(meta) | {"format": FORMAT}
    note["sha256"] = _digest(arrays, note)
    text = np.frombuffer(json.dumps(note).encode(), dtype=np.uint8)
    with atomic_write(path, keep=previous(path) if keep else None) as file:
        np.savez(file, **({_NOTE: text} | dict(arrays)))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file written by `save`; validate it before use.

    Returns
    -------
    arrays : dict of str to ndarray
    meta : dict

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of a newer format, or not such a file at all.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _damaged(path, f"it has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
        with zipfile.ZipFile(path) as archive:
            # A small file can name the same bytes as thousands of entries.
            if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                raise _damaged(path, "its entries are compressed, or claim more bytes than the file has")
            arrays = {info.filename.removesuffix(".npy"): _read(path, archive, info) for info in archive.infolist()}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file.") from None
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from error
    # zipfile and NumPy meet damaged bytes with many kinds of exceptions (zlib, struct, Unicode, NotImplemented...).
    except Exception as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    return arrays, _note(path, arrays)


def load_newest(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Read `path` as `load` does or, if it is damaged or missing, the previous file.

    Returns
    -------
    arrays : dict of str to ndarray
    meta : dict
    notice : str
        Empty, or what is wrong with the newest.

    Raises
    ------
    CheckpointError
        If neither can be read.
    """
    try:
        return *load(path), ""
    except CheckpointError as error:
        older = previous(path)
        try:
            arrays, meta = load(older)
        except CheckpointError as other:
            raise CheckpointError(f"{error} {other}" if older.exists() else str(error)) from error
        return arrays, meta, f"{error} Continuing with {older.name}, which was saved before it."


def _note(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Take the note out of `arrays` and hold them against it."""
    text = arrays.pop(_NOTE, None)
    if text is None:
        raise _damaged(path, f"it has no entry '{_NOTE}'; it was not written by lenet5")
    try:
        meta = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its note is not JSON ({error})") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else type(meta).__name__
        raise CheckpointError(f"{path}: expected format {FORMAT}, found {found!r}. Use the version that wrote it.")
    if meta.pop("sha256", None) != _digest(arrays, meta):
        raise _damaged(path, "its content does not have the SHA-256 that its note names")
    return meta


def restore(
    expected: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], *, path: str | os.PathLike[str], what: str
) -> None:
    """Copy `arrays` into the `expected` ones, if they agree in names and shapes.

    Raises
    ------
    CheckpointError
        If an entry is missing, extra, or of another shape or kind; nothing was copied then.
    """
    missing, extra = sorted(expected.keys() - arrays.keys()), sorted(arrays.keys() - expected.keys())
    if missing or extra:
        raise CheckpointError(
            f"{path}: not of this {what}: missing {missing or 'nothing'}, extra {extra or 'nothing'}."
        )
    for name, target in expected.items():
        found = arrays[name]
        if found.shape != target.shape or found.dtype.kind != target.dtype.kind:
            raise CheckpointError(
                f"{path}: {name} of this {what}: expected {target.dtype} {target.shape}, "
                f"found {found.dtype} {found.shape}."
            )
    for name, target in expected.items():
        target[...] = arrays[name]


def restore_network(
    net: "Sequential",
    arrays: Mapping[str, np.ndarray],
    *,
    others: Mapping[str, np.ndarray] | None = None,
    path: str | os.PathLike[str],
    what: str,
) -> None:
    """Copy arrays of `Sequential.arrays` into a network, and the remaining ones into `others`; see `restore`.

    Parameters without a mask "kept/NAME" are kept whole, also those of a network that was pruned before.

    Raises
    ------
    CheckpointError
        As for `restore`, or if a mask is damaged, or a number that it deletes is not 0; nothing was copied then.
    """
    params = {f"kept/{p.name}": p for p in net.parameters()}
    masks = {name: array for name, array in arrays.items() if name in params}
    for name, mask in masks.items():
        value = arrays.get(f"parameter/{params[name].name}", mask)
        if mask.dtype != bool or mask.shape != value.shape or (mask.view(np.uint8) > 1).any():
            raise CheckpointError(
                f"{path}: {name} is damaged: expected bool {value.shape} of 0 and 1, found {mask.dtype} {mask.shape}."
            )
        if value[~mask].any():
            raise CheckpointError(f"{path}: {name} deletes {(~mask).sum():,} numbers, but not all of them are 0.")
    own = {name: array for name, array in net.arrays().items() if name not in params}
    rest = {name: array for name, array in arrays.items() if name not in masks}
    restore(own | dict(others or {}), rest, path=path, what=what)
    for name, p in params.items():
        p.kept[...] = masks.get(name, True)


def _read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Read one array, allocating no more than the bytes that the file really holds."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
        raise _damaged(path, f"its entry {info.filename} is compressed or larger than the file")
    data = archive.read(info)  # checks the entry's CRC-32
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read_header(stream, max_header_size=_HEADER_BYTES)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise _damaged(path, f"its entry {info.filename} holds {dtype}, not numbers")
    expected, found = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if expected != found:
        raise _damaged(path, f"its entry {info.filename} declares {shape} {dtype}, {expected} bytes; found {found}")
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _digest(arrays: Mapping[str, np.ndarray], note: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(note, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: damaged or not a lenet5 file: {why}.")
