"""Convert a PyTorch state dict to a network of this library."""

import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, ConfigError, shown
from ..network import Sequential
from ..training.checkpoint import MAX_BYTES
from .matching import ROLES, Module, fill, network_for

__all__ = ["from_torch"]

# Keys under which checkpoints usually store a state dict.
_WITHIN = ("state_dict", "model_state_dict", "model", "net")
_IGNORED = ("num_batches_tracked",)
# Arrays may take up to _TIMES the size of the file, plus _UNPACKED bytes, because each value is counted as 8 bytes but
# can take only one byte in the file.
_TIMES, _UNPACKED = 8, 64 << 20


def from_torch(
    state: Any, model: str | Sequential = "d2l", *, mapping: Mapping[str, str] | None = None, **options: Any
) -> Sequential:
    """Return a network with the weights of a PyTorch model.

    Arrays and layers are matched by name if the state is from `to_torch`, otherwise by order and shape. A state dict
    does not describe the activations and the pooling; pass those of your model as options of `model`, such as
    ``activation="relu", subsampling="max"``.

    Parameters
    ----------
    state : mapping, module or path-like
        A state dict of tensors or arrays; a module; or a file: .pt or .pth, read by
        ``torch.load(..., weights_only=True)``, or .safetensors.
    model : str or Sequential
        Key of `lenet5.models.MODELS`, such as "d2l" (images padded to 32x32 in C1) or "lenet5-cifar10" (no padding), or
        a network, which is modified.
    mapping : mapping of str to str, optional
        Name of each layer with parameters -> name of its PyTorch module: ``{"C1": "conv1", "F6": "fc2", ...}``;
        or name of each array -> its key in the state dict: ``{"C1.weight": "W1", "C1.bias": "b1", ...}``. Every module
        or key must be used exactly once.
    **options
        Options of the model. By default, `channels`, `classes`, `norm` and a `size` of 28 or 32 are inferred.

    Returns
    -------
    Sequential

    Raises
    ------
    CheckpointError
        If the file is damaged or contains more than weights; if arrays and layers do not match, or match ambiguously;
        if a kernel that a connection table excludes is not 0; if a value is not finite.
    ConfigError
        If the model or an option is unknown, or a package is missing.
    """
    where: Any = "state dict"
    most = None
    if isinstance(state, str | os.PathLike):
        where, state, most = state, *_read(Path(state))
    elif callable(getattr(state, "state_dict", None)):
        state = state.state_dict()
    if not isinstance(state, Mapping):
        raise ConfigError(f"from_torch needs a state dict, a module or a file; found {shown(state)}.")
    for key in _WITHIN:
        if isinstance(state.get(key), Mapping):
            state = state[key]
    if mapping and all(ours.rpartition(".")[2] in ROLES for ours in mapping):
        state, mapping = _renamed(state, mapping, where)
    modules = _modules(state, where, most)
    return fill(network_for(model, modules, options), modules, mapping=mapping, where=where)


def _renamed(state: Mapping[Any, Any], mapping: Mapping[str, str], where: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a state dict whose keys are our arrays' names, and the mapping from our layers to its modules."""
    unknown = [shown(name) for name in mapping.values() if name not in state]
    unused = [shown(name) for name in state if name not in mapping.values() and not str(name).endswith(_IGNORED)]
    if unknown or unused or len(set(mapping.values())) < len(mapping):
        named = ", ".join((unknown or unused)[:8]) or "an entry that is mapped twice"
        raise CheckpointError(
            f"{where}: the mapping must use each entry exactly once; missing, unknown or repeated: {named}."
        )
    renamed = {ours: state[theirs] for ours, theirs in mapping.items()}
    return renamed, {layer: layer for layer in (ours.rpartition(".")[0] for ours in mapping)}


def _modules(state: Mapping[Any, Any], where: Any, most: int | None) -> list[Module]:
    """Return the arrays of a state dict by module; raise CheckpointError if they exceed `most` bytes in total."""
    found: dict[str, dict[str, np.ndarray]] = {}
    names = [name for name in state if isinstance(name, str)]
    prefix = "module." if names and all(name.startswith("module.") for name in names) else ""  # added by DataParallel
    for full, value in state.items():
        name, _, what = str(full).removeprefix(prefix).rpartition(".")
        if what in _IGNORED:
            continue
        if most is not None:  # tensors can be views that repeat a few values many times
            most -= math.prod(getattr(value, "shape", ())) * 8
            if most < 0:
                raise CheckpointError(
                    f"{where}: its entries would unpack to far more than its size on disk. Save clones of the tensors."
                )
        array = _array(value)
        if array is None or what not in ROLES:
            raise CheckpointError(
                f"{where}: {shown(full)} of type {shown(type(value).__name__)} is not a supported weight."
            )
        found.setdefault(name, {})[ROLES[what]] = array
    if not found:
        raise CheckpointError(f"{where}: no weights found.")
    return [Module(name, arrays) for name, arrays in found.items()]


def _array(value: Any) -> np.ndarray | None:
    """Convert a tensor or array to a numeric array; return None for anything else."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value if str(value.dtype) == "torch.float64" else value.float()).numpy()
        array = np.asarray(value)
    except Exception:  # converting an unknown object can fail with any exception
        return None
    return array if array.dtype.kind in "fiu" else None


def _read(path: Path) -> tuple[Any, int]:
    """Return the content of a file, and the maximum total size of its arrays in bytes."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(f"{path}: expected at most {MAX_BYTES:,} bytes; found {size:,}.")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch.save does not compress
                if sum(info.file_size for info in archive.infolist()) > size:
                    raise CheckpointError(
                        f"{path}: its entries are compressed, or declare more bytes than the file has."
                    )
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}.") from None
    except Exception as error:  # zipfile raises many exception types; a null character in a path raises ValueError
        raise CheckpointError(
            f"{path}: damaged: {error}. Save the model with torch.save(model.state_dict(), path)."
        ) from error
    most = _TIMES * size + _UNPACKED
    if path.suffix.lower() == ".safetensors":
        return _safetensors(path), most
    try:
        import torch
    except ImportError:
        raise ConfigError(f"{path}: reading PyTorch files needs PyTorch: pip install torch.") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True), most
    except Exception as error:  # corrupt data raises UnpicklingError, BadZipFile, RuntimeError and others
        other = type(error).__name__ == "UnpicklingError"  # its text is long, and coloured for terminals
        why = "found other objects" if other else (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"{path}: expected a file that contains only weights; {why.rstrip('.')}. "
            "Save the weights with torch.save(model.state_dict(), path)."
        ) from error


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors.numpy import load_file
    except ImportError:
        raise ConfigError("Reading .safetensors needs safetensors: pip install 'lenet5-numpy[safetensors]'.") from None
    try:
        return load_file(path)
    except Exception as error:  # load_file raises SafetensorError, or KeyError for types that NumPy lacks
        raise CheckpointError(f"{path}: damaged or not a .safetensors file: {error}.") from error
