"""Export a network as a Keras 3 model built from Keras's own layers (channels last), without importing Keras."""

import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import atomic_write
from ..layers.operation import (
    Convolution,
    Copies,
    Distances,
    Dropping,
    Flattening,
    FullConnection,
    Normalisation,
    Padding,
    Pooling,
    Squash,
)
from ..models.steps import Step, steps
from ..network import Sequential

__all__ = ["CONSTANT", "DIFFERENCES", "h5py_library", "snake", "to_keras"]

# Name prefix of layers whose weights are constants, not parameters: RBF codes and copies of maps.
CONSTANT = "lenet5_constant_"
DIFFERENCES = "_differences"  # name suffix of the layer that contains the RBF codes
_VERSION = "3.0.0"  # Keras version recorded in the files


def to_keras(net: Sequential, path: str | os.PathLike[str]) -> None:
    """Write a network as an equivalent Keras 3 model.

    ``keras.models.load_model(path)`` opens a .keras file without custom classes; a .weights.h5 file contains the
    weights for ``load_weights`` of that model. The model's input is (N, H, W, C), which is
    ``net.prepared(images).transpose(0, 2, 3, 1)``; its outputs are penalties or scores, like those of the network.
    A convolution by Table I has zeros for missing kernels, which training in Keras changes. Sub-sampling becomes a
    depthwise convolution with equal weights in each kernel. The scaled tanh becomes a tanh between two rescalings.

    Parameters
    ----------
    net : Sequential
    path : path-like
        File to write: .keras or .weights.h5. An existing file is replaced atomically.

    Raises
    ------
    ConfigError
        If h5py is not installed, the extension is neither of these, a layer has no `operation`, or a layer's name is
        not allowed in Keras.
    """
    name = os.fspath(path).lower()
    if not name.endswith((".keras", ".weights.h5")):
        raise ConfigError(f"{os.fspath(path)}: the extension of a Keras 3 file must be .keras or .weights.h5.")
    model = _Model(net)
    for step in steps(net):
        _LAYERS[type(step.operation)](step.operation, step, model)
    weights = model.weights()
    with atomic_write(path) as file:
        if name.endswith(".h5"):
            file.write(weights)
            return
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": _VERSION, "date_saved": ""}))
            archive.writestr("config.json", json.dumps(model.config()))
            archive.writestr("model.weights.h5", weights)


def h5py_library() -> Any:
    """Import h5py; raise ConfigError if it is not installed."""
    try:
        import h5py
    except ImportError:
        raise ConfigError("Keras files need h5py: pip install 'lenet5-numpy[keras]'.") from None
    return h5py


def snake(name: str) -> str:
    """Convert a class name to the form that Keras uses in files: Conv2D becomes conv2d, PReLU becomes p_re_lu."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


class _Model:
    """Layers of a functional Keras model under construction, in order."""

    def __init__(self, net: Sequential) -> None:
        self.dtype, self.name = net.dtype.name, str((net.spec or {}).get("name", "network")).replace("-", "_")
        self.arrays: list[tuple[str, str, list[np.ndarray]]] = []
        self.layers: list[dict[str, Any]] = []
        self.shape = _last(net.in_shape)
        self.maps: tuple[int, ...] | None = None  # (C, H, W) before flattening, until the next dense layer
        batch = {"batch_shape": [None, *self.shape], "dtype": self.dtype, "name": "input"}
        self._put("InputLayer", "input", batch, [], [])

    def add(
        self, kind: str, name: str, shape: tuple[int, ...], *arrays: np.ndarray, twice: bool = False, **config: Any
    ) -> None:
        """Add a layer with the given output shape."""
        name = name.replace(".", "_")
        before = self.layers[-1]["name"]
        tensor = {"shape": [None, *self.shape], "dtype": self.dtype, "keras_history": [before, 0, 0]}
        told = {"class_name": "__keras_tensor__", "config": tensor}
        node = {"args": [[told, told] if twice else told], "kwargs": {}}
        self._put(kind, name, {"name": name, "dtype": self.dtype} | config, [node], list(arrays))
        self.shape = tuple(int(side) for side in shape)

    def _put(self, kind: str, name: str, config: dict[str, Any], nodes: list[Any], arrays: list[np.ndarray]) -> None:
        if "/" in name or any(name == other["name"] for other in self.layers):
            raise ConfigError(
                f"Keras does not allow a layer named {name!r} here: rename it, or the other layer with that name."
            )
        layer = {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
        self.layers.append(layer | {"name": name, "inbound_nodes": nodes})
        self.arrays.append((kind, name, arrays))

    def config(self) -> dict[str, Any]:
        """Return the content of config.json."""
        ends = {"input_layers": ["input", 0, 0], "output_layers": [self.layers[-1]["name"], 0, 0]}
        config = {"name": self.name, "trainable": True, "layers": self.layers} | ends
        functional = {"module": "keras.src.models.functional", "class_name": "Functional"}
        return functional | {"config": config, "registered_name": "Functional"}

    def weights(self) -> bytes:
        """Return the content of the weights file."""
        counts: dict[str, int] = {}
        stream = io.BytesIO()
        with h5py_library().File(stream, "w") as file:
            for kind, name, arrays in self.arrays:
                group = snake(kind)
                number = counts[group] = counts.get(group, -1) + 1
                place = file.create_group(f"layers/{group}{f'_{number}' if number else ''}/vars")
                place.attrs["name"] = name
                for k, array in enumerate(arrays):
                    place.create_dataset(str(k), data=np.ascontiguousarray(array, self.dtype))
            file.create_group("vars").attrs["name"] = self.name
        return stream.getvalue()


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Convert (C, H, W) to (H, W, C)."""
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _frame(name: str, frame: tuple[int, int, int, int], model: _Model) -> None:
    top, left, bottom, right = frame
    if any(frame):
        height, width, channels = model.shape
        shape = (height + top + bottom, width + left + right, channels)
        model.add("ZeroPadding2D", name, shape, padding=[[top, bottom], [left, right]], data_format="channels_last")


def _rows_last(vectors: np.ndarray, model: _Model) -> np.ndarray:
    """Reorder the last axis of arrays from our flattened maps (..., C*H*W) to Keras's (..., H*W*C)."""
    if model.maps is None:
        return vectors
    return np.moveaxis(vectors.reshape(-1, *model.maps), 1, 3).reshape(vectors.shape)


def _convolution(op: Convolution, step: Step, model: _Model) -> None:
    _frame(f"{step.name}_frame", op.frame, model)
    kernel = op.weight.transpose(2, 3, 1, 0)
    options: Any = {"filters": len(op.bias), "kernel_size": list(op.weight.shape[2:]), "strides": list(op.stride)}
    model.add("Conv2D", step.name, _last(step.out_shape), kernel, op.bias, padding="valid", **options)


def _pooling(op: Pooling, step: Step, model: _Model) -> None:
    shape, maps = _last(step.out_shape), step.in_shape[0]
    if op.kind != "sum":
        kind = "AveragePooling2D" if op.kind == "mean" else "MaxPooling2D"
        return model.add(kind, step.name, shape, pool_size=[op.size] * 2, strides=[op.stride] * 2, padding="valid")
    scale = np.ones(maps) if op.scale is None else op.scale
    shift = np.zeros(maps) if op.shift is None else op.shift
    kernel = np.broadcast_to(scale[:, None], (op.size, op.size, maps, 1))
    options: Any = {"kernel_size": [op.size] * 2, "strides": [op.stride] * 2, "padding": "valid"}
    return model.add("DepthwiseConv2D", step.name, shape, kernel, shift, **options)


def _full_connection(op: FullConnection, step: Step, model: _Model) -> None:
    if len(step.in_shape) == 3:
        model.add("Flatten", f"{step.name}_flatten", (step.in_shape[0],))
    kernel = _rows_last(op.weight, model).T
    model.maps = None
    model.add("Dense", step.name, step.out_shape, kernel, op.bias, units=len(op.bias))


def _distances(op: Distances, step: Step, model: _Model) -> None:
    """Add layers that compute squared distances: dense layers for differences and sums, and squaring between them."""
    classes, cells = op.codes.shape
    if len(step.in_shape) == 3:
        model.add("Flatten", f"{step.name}_flatten", (cells,))
    name = f"{CONSTANT}{step.name}"
    same, ones = np.tile(np.eye(cells), classes), np.ones((cells, 1))
    differences: Any = {"units": classes * cells, "trainable": False}
    model.add("Dense", f"{name}{DIFFERENCES}", (classes * cells,), same, -op.codes.ravel(), **differences)
    model.add("Multiply", f"{step.name}_squares", (classes * cells,), twice=True)
    model.add("Reshape", f"{step.name}_rows", (classes, cells), target_shape=[classes, cells])
    model.add("Dense", f"{name}_sum", (classes, 1), ones, units=1, use_bias=False, trainable=False)
    model.add("Reshape", step.name, (classes,), target_shape=[classes])


def _normalisation(op: Normalisation, step: Step, model: _Model) -> None:
    arrays = [_rows_last(array, model) for array in (op.weight, op.bias, op.mean, op.variance)]
    options: Any = {"axis": -1, "momentum": 1.0 - op.momentum, "epsilon": op.epsilon}
    model.add("BatchNormalization", step.name, model.shape, *arrays, **options)


def _squash(op: Squash, step: Step, model: _Model) -> None:
    shape = model.shape
    if op.slopes is not None:
        maps = len(shape) == 3
        slopes = op.slopes[None, None, :] if maps else _rows_last(op.slopes, model)
        return model.add("PReLU", step.name, shape, slopes, shared_axes=[1, 2] if maps else None)
    if op.name == "tanh":
        amplitude, slope = op.numbers
        if slope != 1:
            model.add("Rescaling", f"{step.name}_slope", shape, scale=slope, offset=0.0)
        model.add("Activation", step.name, shape, activation="tanh")
        if amplitude != 1:
            model.add("Rescaling", f"{step.name}_amplitude", shape, scale=amplitude, offset=0.0)
        return None
    if op.name == "leaky-relu":
        return model.add("LeakyReLU", step.name, shape, negative_slope=op.numbers[0])
    if op.name == "elu":
        return model.add("ELU", step.name, shape, alpha=op.numbers[0])
    return model.add("Activation", step.name, shape, activation=op.name)


def _padding(op: Padding, step: Step, model: _Model) -> None:
    _frame(step.name, op.frame, model)


def _copies(op: Copies, step: Step, model: _Model) -> None:
    maps = step.in_shape[0]
    kernel = np.repeat(np.eye(maps), op.copies, axis=1)[None, None]
    options: Any = {"filters": maps * op.copies, "kernel_size": [1, 1], "use_bias": False, "trainable": False}
    model.add("Conv2D", f"{CONSTANT}{step.name}", _last(step.out_shape), kernel, **options)


def _flattening(op: Flattening, step: Step, model: _Model) -> None:
    if len(step.in_shape) == 3:
        model.maps = step.in_shape
        model.add("Flatten", step.name, step.out_shape)


def _dropping(op: Dropping, step: Step, model: _Model) -> None:
    model.add("Dropout", step.name, model.shape, rate=op.rate)


_LAYERS: dict[type, Callable[[Any, Step, _Model], None]] = {
    Convolution: _convolution,
    Pooling: _pooling,
    FullConnection: _full_connection,
    Distances: _distances,
    Normalisation: _normalisation,
    Squash: _squash,
    Padding: _padding,
    Copies: _copies,
    Flattening: _flattening,
    Dropping: _dropping,
}
