"""Weights of a Keras 3 model as a network of ours, read without Keras."""

import io
import json
import math
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..network import Sequential
from ..training.checkpoint import MAX_BYTES
from .matching import Module, fill, network_for
from .to_keras import CONSTANT, h5py_library, snake

__all__ = ["from_keras"]

_SECONDS, _RATE = 10.0, 20e6  # for a file: so many, and one more for every 20 MB
# Of a small file nothing may unpack to more than this many bytes, and of a large one to so many times its own.
_UNPACKED, _TIMES = 64 << 20, 4


def from_keras(
    path: str | os.PathLike[str],
    model: str | Sequential = "d2l",
    *,
    mapping: Mapping[str, str] | None = None,
    **options: Any,
) -> Sequential:
    """Return a network with the weights of a Keras 3 model.

    Kernels are transposed, and the full connection behind Flatten is put into our order, map by map. Arrays and layers
    are matched by their names, if `to_keras` wrote them, else by order and shape. Activations and pooling are not
    read: they are options of `model`, such as ``activation="relu", subsampling="max"``, and have to be the ones of your
    model.

    Parameters
    ----------
    path : path-like
        A .keras file, or the .weights.h5 file of ``save_weights``.
    model : str or Sequential
        Key of `lenet5.models.MODELS`, such as "d2l" (maps padded to 32x32 in C1); or a network, which is written into.
    mapping : mapping of str to str, optional
        Names of our layers to names of Keras's: ``{"C1": "conv2d", "F6": "dense_1", ...}``, for all with parameters.
    **options
        Of the model. `channels`, `classes`, `norm`, and a `size` of 28 or 32, are taken from the arrays unless given.

    Returns
    -------
    Sequential

    Raises
    ------
    CheckpointError
        If the file is missing or damaged; if arrays and layers do not fit, or more than one way; if a table has no
        place for a connection that is not 0; if a number is not finite.
    ConfigError
        If there is no such model or option, or h5py is not installed.
    """
    path = Path(path)
    h5py_library()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read.")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}.") from None
    names: list[tuple[str, str]] | None = None
    if data[:2] == b"PK":
        data, names = _unzipped(path, data)
    modules = _modules(path, data, names)
    return fill(network_for(model, modules, options), modules, mapping=mapping, where=path)


def _unzipped(path: Path, data: bytes) -> tuple[bytes, list[tuple[str, str]] | None]:
    """Return the weights of a .keras file, and its layers as (class, name) in order, if it tells them plainly."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.file_size > max(_UNPACKED, _TIMES * len(data)):
                    raise CheckpointError(f"{path}: its entry {info.filename[:80]} claims {info.file_size:,} bytes.")
            weights, config = archive.read("model.weights.h5"), json.loads(archive.read("config.json"))
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{path}: not a .keras file of Keras 3: {error.args[0]}.") from error
    except Exception as error:  # zipfile, zlib and json meet damaged bytes with many kinds
        raise CheckpointError(f"{path}: damaged or not a .keras file: {error}.") from error
    try:
        layers = config["config"]["layers"]
        return weights, [(str(layer["class_name"]), str(layer["config"]["name"])) for layer in layers]
    except (KeyError, TypeError):
        return weights, None  # a model of a class of the user's


def _modules(path: Path, data: bytes, names: list[tuple[str, str]] | None) -> list[Module]:
    """Return the layers with weights, in the order of the model if its names are known."""
    if data[:8] != b"\x89HDF\r\n\x1a\n":
        raise CheckpointError(f"{path}: not a file of Keras 3: neither .keras nor .weights.h5.")
    found = _read(path, data)
    place: dict[str, int] = {}
    if names is not None:
        counts: dict[str, int] = {}
        for k, (kind, _) in enumerate(names):
            number = counts[kind] = counts.get(kind, -1) + 1
            place[f"{snake(kind)}{f'_{number}' if number else ''}"] = k
    known = names is not None and all(group in place for group, _, _ in found)
    modules = []
    for group, name, arrays in found:
        if name.startswith(CONSTANT):
            continue
        numbered = re.fullmatch(r"([a-z0-9_]*?[a-z][a-z0-9]*?)(?:_(\d{1,6}))?", group)
        order = None if known or numbered is None else (numbered[1], int(numbered[2] or 0))
        modules.append((place.get(group, 0), Module(name or group, _in_our_layout(path, group, arrays), order, True)))
    modules.sort(key=lambda each: each[0] if known else (each[1].order or ("", 0))[1])
    if not modules:
        raise CheckpointError(f"{path}: it holds no weights.")
    return [module for _, module in modules]


def _read(path: Path, data: bytes) -> list[tuple[str, str, list[np.ndarray]]]:
    """Return (group, name, arrays) of everything that has arrays, read by a process of its own: see h5.py."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("h5.py"))]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_SECONDS + len(data) / _RATE, check=False
        )
        head, _, rest = done.stdout.partition(b"\n")
        told = json.loads(head)
    except (ValueError, subprocess.TimeoutExpired):  # it has crashed, or does not end
        raise CheckpointError(f"{path}: damaged or not a file of Keras 3: the HDF5 library fails on it.") from None
    if "error" in told:
        raise CheckpointError(f"{path}: {told['error']}.")
    found = []
    for group, name, shapes in told["layers"]:
        arrays = []
        for shape, kind in shapes:
            dtype = np.dtype(kind)
            size = math.prod(shape) * dtype.itemsize
            arrays.append(np.frombuffer(rest[:size], dtype).reshape(shape))
            rest = rest[size:]
        found.append((group, name, arrays))
    return found


def _in_our_layout(path: Path, group: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a layer by role, in PyTorch's layout."""
    first, *rest = [array.astype(np.float32) if array.dtype.kind != "f" else array for array in arrays]
    if group.startswith("batch_normalization") or first.ndim == 1 and len(rest) == 3:
        if len(rest) == 3:
            return dict(zip(("main", "bias", "mean", "variance"), (first, *rest), strict=True))
    elif len(rest) <= 1 and all(array.ndim == 1 for array in rest):
        if first.ndim == 4:
            # (kh, kw, C, O), or of a depthwise convolution (kh, kw, C, 1)
            first = first.transpose(2, 3, 0, 1) if group.startswith("depthwise") else first.transpose(3, 2, 0, 1)
        elif first.ndim == 2:
            first = first.T
        return {"main": first} | ({"bias": rest[0]} if rest else {})
    raise CheckpointError(
        f"{path}: {group} has {len(arrays)} arrays, which are not those of a layer that is known here."
    )
