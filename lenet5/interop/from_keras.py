"""Convert the weights of a Keras 3 model to a network of this library, without using Keras."""

import io
import json
import math
import os
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import CheckpointError, ConfigError, LenetWarning
from ..network import Sequential
from ..training.checkpoint import MAX_BYTES
from .matching import Module, fill, network_for
from .to_keras import CONSTANT, DIFFERENCES, h5py_library, snake

__all__ = ["from_keras"]

_SECONDS, _RATE = 10.0, 20e6  # time limit for reading a file: 10 s, plus 1 s for every 20 MB
_UNPACKED = 64 << 20  # bytes by which the declared size of an entry may exceed the size of the file
_CONFIG = 1 << 20  # upper limit for config.json in bytes; parsed, it takes much more memory


class _Described(NamedTuple):
    """Position of a layer in the model, and its epsilon, as described in config.json."""

    place: int
    epsilon: float | None  # None unless the layer is a batch normalisation


def from_keras(
    path: str | os.PathLike[str],
    model: str | Sequential = "d2l",
    *,
    mapping: Mapping[str, str] | None = None,
    **options: Any,
) -> Sequential:
    """Return a network with the weights of a Keras 3 model.

    Kernels are transposed, and the inputs of the dense layer after Flatten are reordered to channels-first. Arrays and
    layers are matched by name if the file was written by `to_keras`, otherwise by order and shape. Activations and
    pooling are not read; pass those of your model as options of `model`, such as
    ``activation="relu", subsampling="max"``. The optimiser's state is ignored.

    A .keras file contains the epsilon of batch normalisation. If it differs from ours (Keras's default is 1e-3, ours
    1e-5), the difference is added to the variance. A .weights.h5 file does not contain it: pass a network with layers
    ``BatchNorm(epsilon=1e-3)``.

    Parameters
    ----------
    path : path-like
        A .keras file, or the .weights.h5 file of ``save_weights``.
    model : str or Sequential
        Key of `lenet5.models.MODELS`, such as "d2l" (images padded to 32x32 in C1), or a network, which is modified.
    mapping : mapping of str to str, optional
        Name of each layer with parameters -> name of its Keras layer: ``{"C1": "conv2d", "F6": "dense_1", ...}``.
    **options
        Options of the model. By default, `channels`, `classes`, `norm` and a `size` of 28 or 32 are inferred.

    Returns
    -------
    Sequential

    Raises
    ------
    CheckpointError
        If the file is missing or damaged; if arrays and layers do not match, or match ambiguously; if a kernel is not 0
        although the network's connection table excludes it; if a value is not finite.
    ConfigError
        If the model or an option is unknown, or h5py is not installed.

    Warns
    -----
    LenetWarning
        If the file does not contain the epsilon of batch normalisation.
    """
    path = Path(path)
    h5py_library()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: expected at most {MAX_BYTES:,} bytes; found {path.stat().st_size:,}.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError for a path with a null character
        raise CheckpointError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    described: dict[str, _Described] = {}
    if data[:2] == b"PK":
        data, described = _unzipped(path, data)
    modules = _modules(path, data, described)
    net = fill(network_for(model, modules, options), modules, mapping=mapping, where=path)
    own = {name.replace(".", "_") for name, _ in net.named_sublayers()}
    if any("mean" in module.arrays and module.epsilon is None and module.name not in own for module in modules):
        warnings.warn(
            f"{path} does not contain the epsilon of its batch normalisation, so the network's own epsilon is used "
            "(1e-5 by default). Keras's default is 1e-3. Read the .keras file instead, or pass a network with "
            "BatchNorm(epsilon=1e-3).",
            LenetWarning,
            stacklevel=2,
        )
    return net


def _unzipped(path: Path, data: bytes) -> tuple[bytes, dict[str, _Described]]:
    """Return the weights of a .keras file, and its layers by path if they can be determined."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.file_size > (_CONFIG if info.filename == "config.json" else len(data) + _UNPACKED):
                    name, size = info.filename[:80], info.file_size
                    raise CheckpointError(f"{path}: entry {name} declares a size that is too large: {size:,} bytes.")
            weights, config = archive.read("model.weights.h5"), json.loads(archive.read("config.json"))
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{path}: not a Keras 3 file: {error.args[0]}.") from error
    except Exception as error:  # zipfile, zlib and json raise many types of exception for corrupt data
        raise CheckpointError(f"{path}: damaged or not a .keras file: {error}.") from error
    try:
        return weights, _described(config, "layers/", 0)
    except (KeyError, TypeError, ValueError, RecursionError):
        return weights, {}  # for example, a subclassed Keras model


def _described(model: Any, prefix: str, first: int) -> dict[str, _Described]:
    """Return the layers of a model by path, including those of nested models."""
    counts: dict[str, int] = {}
    found: dict[str, _Described] = {}
    for layer in model["config"]["layers"]:
        kind, own = str(layer["class_name"]), layer["config"]
        number = counts[kind] = counts.get(kind, -1) + 1
        place = f"{prefix}{snake(kind)}{f'_{number}' if number else ''}"
        epsilon = float(own["epsilon"]) if kind == "BatchNormalization" else None
        found[place] = _Described(first + len(found), epsilon)
        if "layers" in own:
            found |= _described(layer, f"{place}/layers/", first + len(found))
    return found


def _modules(path: Path, data: bytes, described: dict[str, _Described]) -> list[Module]:
    """Return the layers with weights, in the order of the model if it is known."""
    if data[:8] != b"\x89HDF\r\n\x1a\n":
        raise CheckpointError(f"{path}: not a Keras 3 file: expected .keras or .weights.h5.")
    found = _read(path, data)
    known = all(place in described for place, _, _ in found)
    labels = [name or place.rpartition("/")[2] for place, name, _ in found]
    modules: list[tuple[int, Module]] = []
    for (place, name, arrays), label in zip(found, labels, strict=True):
        container, _, group = place.rpartition("/")
        # Numbers in names define the order within one container, but not between containers.
        numbered = re.fullmatch(r"([a-z0-9_]*?[a-z][a-z0-9]*?)(?:_(\d{1,6}))?", group)
        order = (f"{container}/{numbered[1]}", int(numbered[2] or 0)) if numbered else (place, 0)
        told = described.get(place, _Described(order[1], None))
        if name.startswith(CONSTANT):
            if not name.endswith(DIFFERENCES):
                continue
            label, own = name.removeprefix(CONSTANT).removesuffix(DIFFERENCES), _codes(path, place, arrays)
        else:
            label, own = label if labels.count(label) == 1 else place, _in_our_layout(path, group, arrays)
        modules.append((told.place, Module(label, own, None if known else order, True, told.epsilon)))
    modules.sort(key=lambda each: each[0])
    if not modules:
        raise CheckpointError(f"{path}: the file contains no weights.")
    return [module for _, module in modules]


def _codes(path: Path, place: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the codes of RBF units, which `to_keras` writes as the negative biases of a layer."""
    if len(arrays) != 2 or arrays[0].ndim != 2 or arrays[1].ndim != 1 or arrays[1].size % max(arrays[0].shape[0], 1):
        raise CheckpointError(f"{path}: {place} has the name of a layer with RBF codes, but does not contain any.")
    return {"codes": -arrays[1].reshape(-1, arrays[0].shape[0])}


def _read(path: Path, data: bytes) -> list[tuple[str, str, list[np.ndarray]]]:
    """Return (path, name, arrays) of all groups with arrays, read by a separate process; see h5.py."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("h5.py"))]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_SECONDS + len(data) / _RATE, check=False
        )
        head, _, rest = done.stdout.partition(b"\n")
        told = json.loads(head)
    except (ValueError, subprocess.TimeoutExpired):  # the process crashed or timed out
        raise CheckpointError(f"{path}: damaged or not a Keras 3 file: the HDF5 library cannot read it.") from None
    except OSError as error:
        raise ConfigError(f"The process that reads Keras files cannot be started: {error}.") from None
    if "error" in told:
        raise CheckpointError(f"{path}: {told['error']}.")
    found, start = [], 0
    for group, name, shapes in told["layers"]:
        arrays = []
        for shape, kind in shapes:
            dtype, count = np.dtype(kind), math.prod(shape)
            arrays.append(np.frombuffer(rest, dtype, count, start).reshape(shape) if count else np.zeros(shape, dtype))
            start += count * dtype.itemsize
        found.append((group, name, arrays))
    return found


def _in_our_layout(path: Path, group: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a layer by role ("main", "bias", "mean", "variance"), in PyTorch's layout."""
    first, *rest = [array.astype(np.float32) if array.dtype.kind != "f" else array for array in arrays]
    if group.startswith("batch_normalization") or first.ndim == 1 and len(rest) == 3:
        if len(rest) == 3:
            return dict(zip(("main", "bias", "mean", "variance"), (first, *rest), strict=True))
    elif len(rest) <= 1 and all(array.ndim == 1 for array in rest):
        if first.ndim == 4:
            # (kh, kw, C, O), or (kh, kw, C, 1) for a depthwise convolution
            first = first.transpose(2, 3, 0, 1) if group.startswith("depthwise") else first.transpose(3, 2, 0, 1)
        elif first.ndim == 2:
            first = first.T
        return {"main": first} | ({"bias": rest[0]} if rest else {})
    raise CheckpointError(f"{path}: {group} has {len(arrays)} arrays, which match no supported layer.")
