"""Export to ONNX, for ONNX Runtime, Netron and other readers."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import __version__
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
from ..models.steps import Step, preparation, steps
from ..network import Sequential

__all__ = ["OUTPUTS", "write"]

# Possible outputs of a graph; "scores" and "penalties" both select the network's outputs.
OUTPUTS = ("scores", "probabilities", "class")
_OPSET, _IR = 17, 8  # supported by all runtimes since 2022

# A node: operator, constant inputs by name, and attributes
Node = tuple[str, dict[str, np.ndarray], dict[str, Any]]


def write(
    net: Sequential,
    path: str | os.PathLike[str],
    *,
    prepare: bool = False,
    outputs: Iterable[str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a network as an ONNX graph, in float32, for batches of any size.

    The output of every stage has the stage's name: C1, S2, ... Connections that Table I omits become zeros in a
    dense kernel, sub-sampling becomes a depthwise convolution, and dropout is omitted.

    Parameters
    ----------
    net : Sequential
    path : path-like
        File to write. An existing file is replaced atomically.
    prepare : bool
        Whether to include the preparation in the graph. The graph's input is then uint8 ``images`` (N, 28, 28), or
        (N, H, W, C) in colour, instead of float32 ``input`` (N, C, H, W), the result of `Sequential.prepared`.
    outputs : iterable of str, optional
        Outputs of the graph: "scores" (or "penalties" for RBF units), "probabilities" and "class" (int64).
        Default: all three.
    notes : mapping of str to str, optional
        Notes to add to the metadata of the file.

    Raises
    ------
    ConfigError
        If onnx is not installed, an output is unknown, or a layer or the preparation cannot be exported.
    """
    wanted = list(OUTPUTS if outputs is None else outputs)
    values = "penalties" if net.outputs_penalties else "scores"
    unknown = [name for name in wanted if name not in ("penalties", *OUTPUTS)]
    if unknown or not wanted:
        raise ConfigError(
            f"Outputs of an ONNX graph must be {values}, probabilities or class; found {unknown or 'none'}."
        )
    wanted = [values if name in ("penalties", "scores") else name for name in wanted]
    try:
        import onnx
    except ImportError:
        raise ConfigError("Writing ONNX needs the package onnx: pip install 'lenet5-numpy[onnx]'.") from None
    graph = _Graph(onnx, net)
    x = graph.prepared(net) if prepare else graph.input("input", onnx.TensorProto.FLOAT, net.in_shape)
    parts = [(step, _NODES[type(step.operation)](step.operation, step)) for step in steps(net)]
    # The output of a stage's last step is named after the stage.
    last = {step.stage: number for number, (step, nodes) in enumerate(parts) if step.stage and nodes}
    for number, (step, nodes) in enumerate(parts):
        x = graph.add(step, nodes, x, closes=last.get(step.stage) == number)
    graph.answer(x, values, wanted, net.out_shape)
    model = graph.model(dict(notes or {}) | {"classes": json.dumps(net.classes.tolist())})
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


class _Graph:
    """Nodes and constants of a graph under construction; `onnx` is the imported package."""

    def __init__(self, onnx: Any, net: Sequential) -> None:
        self.onnx, self.name = onnx, str((net.spec or {}).get("name", "network"))
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.taken: set[str] = set()  # names of values in use
        self.named: set[str] = set()  # names of nodes in use

    def input(self, name: str, kind: int, shape: tuple[int, ...]) -> str:
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, ["N", *map(int, shape)]))
        return self._free(name)

    def constant(self, name: str, array: np.ndarray) -> str:
        name = self._free(name)
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> str:
        output = self._free(output)
        named = self._free(name or output, self.named)
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=named, **attributes))
        return output

    def add(self, step: Step, nodes: list[Node], x: str, *, closes: bool) -> str:
        """Add a step with the input value `x`; return the name of its output value."""
        for k, (kind, constants, attributes) in enumerate(nodes):
            named = [self.constant(f"{step.name}.{name}", array) for name, array in constants.items()]
            whole = k == len(nodes) - 1
            inner = f"{step.name}/{kind.lower()}"
            output = step.stage if whole and closes else inner
            twice = kind == "Mul" and not named  # a square
            x = self.node(kind, [x, *(named or [x] * twice)], output, step.name if whole else inner, **attributes)
        return x

    def prepared(self, net: Sequential) -> str:
        """Add the input for uint8 images and the nodes that prepare them; return the name of the result."""
        known = preparation(net)
        top, left, bottom, right = known.frame
        x = self.input("images", self.onnx.TensorProto.UINT8, known.shape)
        x = self.node("Cast", [x], "input/cast", to=self.onnx.TensorProto.FLOAT)
        if len(known.shape) == 3:
            x = self.node("Transpose", [x], "input/transpose", perm=[0, 3, 1, 2])
        else:
            x = self.node("Unsqueeze", [x, self.constant("input.axis", np.array([1]))], "input/unsqueeze")
        ground = np.float32(known.levels[0])
        step = self.constant("input.step", np.array(known.levels[1] - known.levels[0], np.float32))
        x = self.node("Mul", [x, step], "input/scale")
        framed = any(known.frame)
        constant = self.constant("input.background", np.asarray(ground))
        x = self.node("Add", [x, constant], "input/shift" if framed else "input")
        if framed:
            pads = self.constant("input.frame", np.array([0, 0, top, left, 0, 0, bottom, right]))
            x = self.node("Pad", [x, pads, constant], "input", mode="constant")
        return x

    def answer(self, x: str, values: str, wanted: list[str], shape: tuple[int, ...]) -> None:
        """Add the outputs of the graph, computed from `x`, the output of the last layer."""
        tensor, classes = self.onnx.TensorProto, int(np.prod(shape))
        if len(shape) > 1:
            x = self.node("Flatten", [x], "output/flatten", axis=1)
        for name in dict.fromkeys(wanted):
            kind, sides = tensor.FLOAT, ["N", classes]
            if name == "class":
                pick, kind, sides = "ArgMin" if values == "penalties" else "ArgMax", tensor.INT64, ["N"]
                given = self.node(pick, [x], name, axis=1, keepdims=0)
            elif name == "probabilities":
                scores = self.node("Neg", [x], "output/neg") if values == "penalties" else x
                given = self.node("Softmax", [scores], name, axis=1)
            else:
                given = self.node("Identity", [x], name)
            self.outputs.append(self.onnx.helper.make_tensor_value_info(given, kind, sides))

    def model(self, notes: dict[str, str]) -> Any:
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, initializer=self.constants)
        model = helper.make_model(
            graph,
            producer_name="lenet5",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR,
        )
        helper.set_model_props(model, notes)
        return model

    def _free(self, name: str, taken: set[str] | None = None) -> str:
        """Return a unique name, because nested networks can use a name twice."""
        taken = self.taken if taken is None else taken
        found, k = name, 2
        while found in taken:
            found, k = f"{name}.{k}", k + 1
        taken.add(found)
        return found


def _convolution(op: Convolution, step: Step) -> list[Node]:
    attributes = {"kernel_shape": list(op.weight.shape[2:]), "strides": list(op.stride), "pads": list(op.frame)}
    return [("Conv", _float32(weight=op.weight, bias=op.bias), attributes)]


def _pooling(op: Pooling, step: Step) -> list[Node]:
    sides: dict[str, Any] = {"kernel_shape": [op.size] * 2, "strides": [op.stride] * 2}
    if op.kind == "max":
        nodes: list[Node] = [("MaxPool", {}, sides)]
    elif op.kind == "mean":
        nodes = [("AveragePool", {}, sides)]
    else:  # a depthwise convolution with equal weights
        maps = step.in_shape[0]
        scale = np.ones(maps) if op.scale is None else op.scale
        shift = np.zeros(maps) if op.shift is None else op.shift
        kernel = np.broadcast_to(scale[:, None, None, None], (maps, 1, op.size, op.size))
        return [("Conv", _float32(coefficient=kernel, bias=shift), sides | {"group": maps})]
    if op.scale is not None:
        nodes.append(("Mul", _float32(coefficient=op.scale[:, None, None]), {}))
    if op.shift is not None:
        nodes.append(("Add", _float32(bias=op.shift[:, None, None]), {}))
    return nodes


def _full_connection(op: FullConnection, step: Step) -> list[Node]:
    gemm: Node = ("Gemm", _float32(weight=op.weight, bias=op.bias), {"transB": 1})
    return [("Flatten", {}, {"axis": 1}), gemm] if len(step.in_shape) == 3 else [gemm]


def _distances(op: Distances, step: Step) -> list[Node]:
    axis = {"axes": np.array([-1])}
    flat: list[Node] = [("Flatten", {}, {"axis": 1})] if len(step.in_shape) == 3 else []
    apart: list[Node] = [("Unsqueeze", {"axis": np.array([1])}, {}), ("Sub", _float32(codes=op.codes), {})]
    return [*flat, *apart, ("Mul", {}, {}), ("ReduceSum", axis, {"keepdims": 0})]


def _normalisation(op: Normalisation, step: Step) -> list[Node]:
    arrays = _float32(weight=op.weight, bias=op.bias, mean=op.mean, variance=op.variance)
    return [("BatchNormalization", arrays, {"epsilon": op.epsilon})]


def _squash(op: Squash, step: Step) -> list[Node]:
    if op.name == "tanh":
        amplitude, slope = op.numbers
        inner: list[Node] = [] if slope == 1 else [("Mul", _float32(slope=np.asarray(slope)), {})]
        outer: list[Node] = [] if amplitude == 1 else [("Mul", _float32(amplitude=np.asarray(amplitude)), {})]
        return [*inner, ("Tanh", {}, {}), *outer]
    if op.name == "prelu":
        assert op.slopes is not None
        slopes = op.slopes.reshape(-1, *[1] * (len(step.in_shape) - 1))
        return [("PRelu", _float32(alpha=slopes), {})]
    kind = {"sigmoid": "Sigmoid", "relu": "Relu", "leaky-relu": "LeakyRelu", "elu": "Elu"}[op.name]
    return [(kind, {}, {"alpha": op.numbers[0]} if op.numbers else {})]


def _padding(op: Padding, step: Step) -> list[Node]:
    top, left, bottom, right = op.frame
    return [("Pad", {"frame": np.array([0, 0, top, left, 0, 0, bottom, right])}, {"mode": "constant"})]


def _copies(op: Copies, step: Step) -> list[Node]:
    return [("Gather", {"maps": np.repeat(np.arange(step.in_shape[0]), op.copies)}, {"axis": 1})]


def _flattening(op: Flattening, step: Step) -> list[Node]:
    return [("Flatten", {}, {"axis": 1})]


def _dropping(op: Dropping, step: Step) -> list[Node]:
    return []


_NODES: dict[type, Callable[[Any, Step], list[Node]]] = {
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


def _float32(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}
