"""Save and load networks, and load the weights that are shipped with the package."""

import math
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays import FITS, Learned
from ..errors import CheckpointError, ConfigError, LenetWarning, shown
from ..network import Sequential
from ..training import checkpoint
from . import tensors
from .registry import from_spec, spec_of

__all__ = ["LINE", "PRETRAINED", "load", "note", "pretrained", "read", "save"]

_FOREIGN = {
    **dict.fromkeys((".pt", ".pth", ".bin"), "Read PyTorch weights with lenet5.interop.from_torch(path, model='d2l')."),
    **dict.fromkeys((".h5", ".keras"), "Read Keras weights with lenet5.interop.from_keras(path, model='d2l')."),
    **dict.fromkeys(
        (".onnx", ".c", ".h", ".html"),
        "Such files cannot be read; load the run or .npz file from which they were exported.",
    ),
}
# Weights trained with this project's commands, on single digits and on windows of lines (section VII). The .json files
# next to them are the records of the training runs.
_SHIPPED = {name: Path(__file__).parents[1] / "weights" / f"{name}.npz" for name in ("lenet5-mnist", "lenet5-line")}
PRETRAINED, LINE = _SHIPPED.values()


def save(path: str | os.PathLike[str], net: Sequential, *, meta: dict[str, Any] | None = None) -> None:
    """Write a network's parameters, running statistics and specification to one file.

    Parameters
    ----------
    path : path-like
        File to write: .npz or .safetensors. An existing file is replaced atomically. For other formats, see
        `lenet5.export`.
    net : Sequential
    meta : dict, optional
        Additional metadata, in types that JSON supports.

    Raises
    ------
    ConfigError
        If the arguments are in the wrong order, or `path` has the ending of another format.
    """
    if isinstance(path, Sequential):
        raise ConfigError("The path comes first: lenet5.save(path, net).")
    if Path(path).suffix.lower() in _FOREIGN:
        raise ConfigError(f"{path}: save writes .npz and .safetensors. Use lenet5.export(net, path) for other formats.")
    form = tensors if os.fspath(path).lower().endswith(tensors.ENDING) else checkpoint
    form.save(path, net.arrays(), dict(meta or {}) | note(net))


def note(net: Sequential) -> dict[str, Any]:
    """Return the metadata to store with a network's weights, in types that JSON supports."""
    learned = net.learned._asdict() if net.learned != Learned() else None
    return {"model": spec_of(net), "dtype": net.dtype.name} | ({"learned": learned} if learned else {})


def load(path: str | os.PathLike[str], net: Sequential | None = None) -> Sequential:
    """Read a network from a file written by `save` (.npz or .safetensors), a checkpoint, or the folder of a run.

    To read weights from other libraries, use `lenet5.interop`.

    Parameters
    ----------
    path : path-like
        File to read, or folder of a run. If the last checkpoint of a run is damaged or missing, the previous one is
        read, and a `LenetWarning` is issued.
    net : Sequential, optional
        Network to read the weights into; required if it cannot be rebuilt from the file.

    Returns
    -------
    Sequential

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or belongs to another network.
    """
    return read(path, net)[0]


def read(path: str | os.PathLike[str], net: Sequential | None = None) -> tuple[Sequential, dict[str, Any]]:
    """Return the network and the metadata saved with it; see `load`."""
    path = Path(path)
    if path.is_dir():
        path = path / checkpoint.NAME
        arrays, meta, notice = checkpoint.load_newest(path)
        if notice:
            warnings.warn(notice, LenetWarning, stacklevel=3)
    else:
        arrays, meta = _form_of(path).load(path)
    if net is None:
        spec, dtype = meta.get("model"), meta.get("dtype", "float32")
        if not isinstance(spec, dict) or dtype not in ("float32", "float64"):
            raise CheckpointError(
                f"{path}: the network has custom layers or a custom preparation, which files cannot describe. Build "
                "it and pass it as load(path, net), or register its layer classes with lenet5.layers.register."
            )
        try:
            net = from_spec(spec, dtype=dtype, seed=_Drawn(sum(array.size for array in arrays.values())))
        except (ConfigError, MemoryError) as error:
            raise CheckpointError(f"{path}: {error}") from error
    found = {name: array for name, array in arrays.items() if name.startswith(("parameter/", "running/", "kept/"))}
    checkpoint.restore_network(net, found, path=path, what="network")
    net.learned = _learned(path, meta, net)
    return net, meta


def _form_of(path: Path) -> ModuleType:
    """Return the module that reads files with the extension of `path`."""
    for ending, reader in _FOREIGN.items():
        if path.name.lower().endswith(ending):
            raise CheckpointError(f"{path}: not a lenet5 file. {reader}")
    return tensors if path.suffix.lower() == tensors.ENDING else checkpoint


def _learned(path: Path, meta: dict[str, Any], net: Sequential) -> Learned:
    """Return the record of the training set from the metadata, or defaults for older files without one."""
    classes = net.out_shape[0]
    if "learned" not in meta:  # older file: all data sets were light on dark, without class names
        digits = meta.get("dataset") in ("mnist", "digits") and classes == 10
        return Learned(tuple("0123456789") if digits else (), ground=0.0)
    known = meta["learned"]
    try:
        learned = Learned(tuple(known["classes"]), tuple(known["shape"]), known["ground"], known["peak"], known["fit"])
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: the record of the training set cannot be read: {error!r}.") from error
    right = (
        (not learned.classes or len(learned.classes) == classes)
        and all(isinstance(name, str) for name in learned.classes)
        and len(learned.shape) <= 3
        and all(isinstance(side, int) and 0 < side < 1 << 16 for side in learned.shape)
        and (learned.ground is None or isinstance(learned.ground, int | float) and 0 <= learned.ground <= 255)
        and isinstance(learned.peak, int)
        and learned.fit in FITS
    )
    if not right:
        raise CheckpointError(f"{path}: the record of the training set does not fit the network: {shown(known)}.")
    return learned


class _Drawn(np.random.Generator):
    """Random number generator that returns only zeros, in total no more than the file has values.

    The limit is needed because untrusted metadata can describe huge networks.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers = numbers

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Return zeros; raise ConfigError if the total exceeds the limit."""
        self.numbers -= math.prod(size)
        if self.numbers < 0:
            raise ConfigError("the network described in the metadata has more parameters than the file has values.")
        return np.zeros(size)

    uniform = normal  # type: ignore[assignment]


def pretrained(name: str = "lenet5-mnist") -> Sequential:
    """Return the paper's network with weights that were trained by this project and are shipped with the package.

    Parameters
    ----------
    name : {"lenet5-mnist", "lenet5-line"}
        "lenet5-mnist" is trained on MNIST. "lenet5-line" is trained on digits with parts of their neighbours, and
        has a class " " for windows without a digit, for reading lines of digits (`lenet5.analysis.sdnn.sweep`).

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if name not in _SHIPPED:
        raise ConfigError(f"name of the pretrained weights must be one of {', '.join(_SHIPPED)}; found {shown(name)}.")
    return load(_SHIPPED[name])
