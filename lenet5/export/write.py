"""Export a network; the file extension selects the format."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import atomic_write
from ..models.weights import save
from ..network import Sequential

__all__ = ["FORMATS", "export", "format_of"]

# Format description and options, by file extension.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".onnx": ("ONNX", ("prepare", "outputs")),
    ".safetensors": ("safetensors", ()),
    ".npz": ("lenet5's own format", ()),
    ".keras": ("a Keras 3 model", ()),
    ".weights.h5": ("weights of a Keras 3 model", ()),
    ".pt": ("a PyTorch state dict", ()),
    ".pth": ("a PyTorch state dict", ()),
    ".c": ("C99 source", ("int8", "images")),
    ".h": ("a C99 header", ("int8", "images")),
    ".html": ("an HTML page that runs the network", ("examples",)),
}


def export(
    net: Sequential,
    path: str | os.PathLike[str],
    *,
    prepare: bool = False,
    outputs: Iterable[str] | None = None,
    int8: bool = False,
    images: np.ndarray | None = None,
    examples: Any = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Export a network in the format selected by the file extension.

    Parameters
    ----------
    net : Sequential
    path : path-like
        File to write, with the extension .onnx, .safetensors, .npz, .keras, .weights.h5, .pt, .pth, .c, .h or .html.
        An existing file is replaced atomically.
    prepare : bool
        For .onnx: accept uint8 images instead of the floats of `Sequential.prepared`.
    outputs : iterable of str, optional
        For .onnx: "scores" (or "penalties"), "probabilities", "class". Default: all three.
    int8 : bool
        For .c and .h: use 8-bit weights and activations, calibrated on `images`.
    images : ndarray of uint8 (N, H, W) or (N, H, W, C), optional
        Training images for `int8`; 1,000 are sufficient.
    examples : Dataset, optional
        For .html: test set from which the page's example images are taken, including misclassified ones.
    notes : mapping of str to str, optional
        Notes such as data set, recipe, error and licence, stored in the file if its format supports them.

    Raises
    ------
    ConfigError
        If the format is unknown, an option does not apply to it, a package is missing, or the network cannot be
        written in this format.
    OSError
        If the file cannot be written.
    """
    ending = format_of(path)
    given = {"prepare": prepare, "outputs": outputs, "int8": int8, "images": images, "examples": examples}
    options = {name: value for name, value in given.items() if value is not None and value is not False}
    for name in options:
        if name not in FORMATS[ending][1]:
            fitting = [known for known, (_, names) in FORMATS.items() if name in names]
            raise ConfigError(f"{os.fspath(path)}: {name} is an option of {', '.join(fitting)}, not of {ending}.")
    known = {"licence": "MIT"} | dict(notes or {})
    if ending == ".onnx":
        from .graph import write as write_onnx

        write_onnx(net, path, notes=known, **options)
    elif ending in (".c", ".h"):
        from .c import write as write_c

        write_c(net, path, notes=known, **options)
    elif ending == ".html":
        from ..page.build import page_of

        page = page_of(net, notes=known, **options)
        with atomic_write(path, text=True) as file:
            file.write(page)
    elif ending in (".keras", ".weights.h5"):
        from ..interop import to_keras

        to_keras(net, path)
    elif ending in (".pt", ".pth"):
        _torch(net, path)
    else:
        dataset = {"dataset": known["dataset"]} if "dataset" in known else {}
        save(path, net, meta=dataset | {"notes": known})


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the extension of a path, a key of `FORMATS`.

    Raises
    ------
    ConfigError
        If the extension is unknown.
    """
    name = os.fspath(path)
    ending = next((known for known in FORMATS if name.lower().endswith(known)), None)
    if ending is None:
        kinds = ", ".join(f"{known} ({what})" for known, (what, _) in FORMATS.items())
        raise ConfigError(f"{name}: unknown format; the extension must be one of {kinds}.")
    return ending


def _torch(net: Sequential, path: str | os.PathLike[str]) -> None:
    from ..interop import to_torch

    module = to_torch(net).module
    if module is None:
        raise ConfigError("Writing .pt needs PyTorch: pip install torch, or export the arrays to .safetensors.")
    import torch

    with atomic_write(path) as file:
        torch.save(module.state_dict(), file)
