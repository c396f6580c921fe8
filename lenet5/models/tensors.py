"""Save and load networks in .safetensors files: named arrays, and a JSON description in the metadata."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, ConfigError
from ..files import atomic_write
from ..training.checkpoint import MAX_BYTES

__all__ = ["ENDING", "load", "save"]

ENDING = ".safetensors"
_NOTE = "lenet5"
_OTHERS = "running/", "kept/"  # prefixes of the names of arrays that are not parameters


def save(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write the arrays of `Sequential.arrays` and a network's description to one .safetensors file.

    Parameters keep their own names, such as ``C1.weight``, so that other programs can use them. Running statistics have
    names like ``running/C1.BatchNorm.mean``, and masks of pruned parameters have names like ``kept/C1.weight``. The
    description is stored as JSON under "lenet5" in the metadata.

    Raises
    ------
    ConfigError
        If safetensors is not installed.
    OSError
        If the file cannot be written.
    """
    from_numpy = _library("save")
    named = {name.removeprefix("parameter/"): np.ascontiguousarray(array) for name, array in arrays.items()}
    data = from_numpy(named, metadata={"format": "np", _NOTE: json.dumps(dict(meta))})
    with atomic_write(path) as file:
        file.write(data)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file written by `save`; validate it before use.

    Returns
    -------
    arrays : dict of str to ndarray
        Arrays with the names of `Sequential.arrays`.
    meta : dict

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or does not contain a network of this library.
    ConfigError
        If safetensors is not installed.
    """
    path, opened = Path(path), _library("open")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: the file has {path.stat().st_size:,} bytes; the maximum is {MAX_BYTES:,}.")
        with opened(path, framework="np") as file:
            note = (file.metadata() or {}).get(_NOTE)
            if note is None:
                raise CheckpointError(
                    f"{path}: the metadata do not describe a lenet5 network. Weights from PyTorch are read by "
                    "lenet5.interop.from_torch(path, model='d2l')."
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        meta = json.loads(note)
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file.") from None
    except Exception as error:  # corrupt data raises SafetensorError, ValueError, TypeError, RecursionError or others
        raise CheckpointError(f"{path}: damaged or not a .safetensors file: {error}.") from error
    floats = (np.float32, np.float64)
    wrong = [n for n, array in arrays.items() if array.dtype not in floats and not n.startswith(_OTHERS[1])]
    if not isinstance(meta, dict) or wrong:
        found = f"{wrong[0]} is not a float32 or float64 array" if wrong else "its description is not a JSON object"
        raise CheckpointError(f"{path}: not a network: {found}.")
    return {name if name.startswith(_OTHERS) else f"parameter/{name}": array for name, array in arrays.items()}, meta


def _library(what: str) -> Any:
    """Import safetensors and return its function that opens a file, or its function that serialises arrays."""
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ConfigError(
            "Files ending in .safetensors need the package safetensors: pip install 'lenet5-numpy[safetensors]'."
        ) from None
    return safetensors.safe_open if what == "open" else safetensors.numpy.save
