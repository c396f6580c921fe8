"""Checkpoints: .npz files of named arrays and JSON metadata, written atomically and validated when read."""

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
# File name of the newest checkpoint in a run's folder.
NAME = "checkpoint.npz"
_NOTE = "meta"
# Maximum size of a checkpoint in bytes; a float64 network of 60,000 parameters with optimiser state takes 2 MB.
MAX_BYTES = 1 << 30
_HEADER_BYTES = 4096


def previous(path: str | os.PathLike[str]) -> Path:
    """Return the path of the previous checkpoint, such as checkpoint.previous.npz for checkpoint.npz."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], *, keep: bool = False
) -> None:
    """Write arrays and metadata to one .npz file.

    Parameters
    ----------
    path : path-like
        File to write. An existing file is replaced only after the new one is complete and on disk.
    arrays : mapping of str to ndarray
        Numeric arrays of any shape.
    meta : mapping
        Metadata of JSON types. The format version and a SHA-256 of the content are added.
    keep : bool
        Whether to keep an existing file under the name that `previous` returns.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    note = dict(meta) | {"format": FORMAT}
    note["sha256"] = _digest(arrays, note)
    text = np.frombuffer(json.dumps(note).encode(), dtype=np.uint8)
    with atomic_write(path, keep=previous(path) if keep else None) as file:
        np.savez(file, **({_NOTE: text} | dict(arrays)))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read and validate a file written by `save`.

    Returns
    -------
    arrays : dict of str to ndarray
    meta : dict

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, has a newer format, or was not written by `save`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _damaged(path, f"it has {path.stat().st_size:,} bytes; the maximum is {MAX_BYTES:,}")
        with zipfile.ZipFile(path) as archive:
            # Entries can overlap: thousands of them may refer to the same bytes of a small file.
            if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                raise _damaged(path, "its entries are compressed, or declare more bytes than the file has")
            arrays = {info.filename.removesuffix(".npy"): _read(path, archive, info) for info in archive.infolist()}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file.") from None
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from error
    # zipfile and NumPy raise many types of exceptions for corrupt data (from zlib, struct, Unicode, ...).
    except Exception as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    return arrays, _note(path, arrays)


def load_newest(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Read `path` as `load` does; if it is damaged or missing, read the previous checkpoint.

    Returns
    -------
    arrays : dict of str to ndarray
    meta : dict
    notice : str
        Description of the error in the newest file; empty if there is none.

    Raises
    ------
    CheckpointError
        If neither file can be read.
    """
    try:
        return *load(path), ""
    except CheckpointError as error:
        older = previous(path)
        try:
            arrays, meta = load(older)
        except CheckpointError as other:
            raise CheckpointError(f"{error} {other}" if older.exists() else str(error)) from error
        return arrays, meta, f"{error} Continuing with the previous checkpoint, {older.name}."


def _note(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Remove the metadata from `arrays` and return it, after verifying arrays and metadata by their SHA-256."""
    text = arrays.pop(_NOTE, None)
    if text is None:
        raise _damaged(path, f"it has no entry '{_NOTE}'; it was not written by lenet5")
    try:
        meta = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its metadata is not JSON ({error})") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else type(meta).__name__
        raise CheckpointError(
            f"{path}: expected format {FORMAT}, found {found!r}. Use the version of lenet5 that wrote the file."
        )
    if meta.pop("sha256", None) != _digest(arrays, meta):
        raise _damaged(path, "its content does not match its SHA-256")
    return meta


def restore(
    expected: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], *, path: str | os.PathLike[str], what: str
) -> None:
    """Copy `arrays` into the arrays of `expected` if names, shapes and types match.

    Raises
    ------
    CheckpointError
        If an entry is missing or unexpected, or has the wrong shape or type. Nothing is copied in this case.
    """
    missing, extra = sorted(expected.keys() - arrays.keys()), sorted(arrays.keys() - expected.keys())
    if missing or extra:
        raise CheckpointError(
            f"{path}: does not match this {what}: missing {missing or 'nothing'}, extra {extra or 'nothing'}."
        )
    for name, target in expected.items():
        found = arrays[name]
        if found.shape != target.shape or found.dtype.kind != target.dtype.kind:
            raise CheckpointError(
                f"{path}: {name} does not match this {what}: expected {target.dtype} {target.shape}, "
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
    """Copy saved arrays into a network, and those that do not belong to it into `others`; see `restore`.

    The names of saved arrays are those of `Sequential.arrays`. Parameters without a mask "kept/NAME" become unpruned,
    even if the network was pruned before.

    Raises
    ------
    CheckpointError
        As for `restore`; also if a mask is damaged, or a pruned weight is not 0. Nothing is copied in this case.
    """
    params = {f"kept/{p.name}": p for p in net.parameters()}
    masks = {name: array for name, array in arrays.items() if name in params}
    for name, mask in masks.items():
        value = arrays.get(f"parameter/{params[name].name}", mask)
        if mask.dtype != bool or mask.shape != value.shape or (mask.view(np.uint8) > 1).any():
            raise CheckpointError(
                f"{path}: {name} is damaged: expected bool {value.shape} with bytes 0 and 1, "
                f"found {mask.dtype} {mask.shape}."
            )
        if value[~mask].any():
            raise CheckpointError(
                f"{path}: {name} marks {(~mask).sum():,} weights as pruned, but not all of them are 0."
            )
    own = {name: array for name, array in net.arrays().items() if name not in params}
    rest = {name: array for name, array in arrays.items() if name not in masks}
    restore(own | dict(others or {}), rest, path=path, what=what)
    for name, p in params.items():
        p.kept[...] = masks.get(name, True)


def _read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Read one array, without allocating more memory than the size of the file."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
        raise _damaged(path, f"its entry {info.filename} is compressed or larger than the file")
    data = archive.read(info)  # verifies the entry's CRC-32
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read_header(stream, max_header_size=_HEADER_BYTES)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise _damaged(path, f"its entry {info.filename} has the type {dtype}, which is not numeric")
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
