"""Match another library's arrays to layers, by name, by a mapping, or by order and shape.

Arrays are in PyTorch's layout: kernels (O, C, kh, kw), matrices (O, D).
"""

import inspect
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import CheckpointError, ConfigError, shown
from ..layers import BatchNorm, Layer, PReLU
from ..models.build import one_of
from ..models.registry import MODELS
from ..network import Sequential

__all__ = ["Module", "fill", "network_for"]

# Names of a module's arrays in other libraries, and their roles in this library.
ROLES = {
    "weight": "main", "coefficient": "main", "alpha": "main", "bias": "bias", "codes": "codes",
    "running_mean": "mean", "mean": "mean", "running_var": "variance", "variance": "variance",
}  # fmt: skip


_USUAL = (28, 32)  # image sizes that are tried if the model's default does not fit


class Module(NamedTuple):
    """Arrays of one module from another library.

    Attributes
    ----------
    name : str
    arrays : dict of str to ndarray
        Arrays by role: "main", "bias", "mean", "variance", "codes".
    order : tuple, optional
        Type and number of the module, if only the order within each type is known; None if the order of all modules is
        known.
    rows_last : bool
        Whether a matrix after `Flatten` expects channels-last input.
    epsilon : float, optional
        Epsilon of a batch normalisation; None to assume that of our layer.
    """

    name: str
    arrays: dict[str, np.ndarray]
    order: tuple[str, int] | None = None
    rows_last: bool = False
    epsilon: float | None = None


class _Slot(NamedTuple):
    """A layer with its arrays by role; `maps` is the shape before a preceding `Flatten`, if any."""

    name: str
    layer: Layer
    arrays: dict[str, np.ndarray]
    maps: tuple[int, ...] | None


def network_for(model: str | Sequential, modules: list[Module], options: dict[str, Any]) -> Sequential:
    """Return the network for the arrays of `modules`; options that are not given are inferred from these arrays.

    Raises
    ------
    ConfigError
        If the model or an option is unknown.
    """
    if isinstance(model, Sequential):
        if options:
            raise ConfigError(f"{', '.join(options)}: options apply to a model given by name, not to a network.")
        if not model.in_shape:
            raise ConfigError("This network is not built: call net.build((1, 28, 28)) before loading weights into it.")
        return model
    one_of("model", model, tuple(MODELS))
    known = inspect.signature(MODELS[model]).parameters
    mains = [module.arrays["main"] for module in modules if "main" in module.arrays]
    # Exclude the kernels of sub-sampling, whose elements are all equal.
    kernels = [array for array in mains if array.ndim == 4 and array.size and (array != array[:, :, :1, :1]).any()]
    seen: dict[str, Any] = {"norm": True} if any("mean" in module.arrays for module in modules) else {}
    if kernels:
        seen["channels"] = _end({k.shape[1] for k in kernels}, {k.shape[0] for k in kernels})
    matrices = [array for array in mains if array.ndim == 2]
    classes = _end({m.shape[0] for m in matrices}, {m.shape[1] for m in matrices}) if matrices else 0
    chosen = {name: value for name, value in seen.items() if name in known} | options
    try:
        net = MODELS[model](**chosen)
        if not net.outputs_penalties and "classes" not in options and classes not in (0, *net.out_shape):
            chosen["classes"] = classes
            net = MODELS[model](**chosen)
        if "size" in options or _sizes(net) <= {array.size for array in mains}:
            return net
        # LeNets for different image sizes differ only in the fully connected layer after their maps.
        others = [MODELS[model](**chosen, size=size) for size in _USUAL]
        return next((other for other in others if _sizes(other) <= {array.size for array in mains}), net)
    except TypeError as error:
        raise ConfigError(f"Unknown option of the network {model!r}: {error}.") from error


def _end(sides: set[int], others: set[int]) -> int:
    """Return the number of channels or classes: the only size in `sides` that is not in `others`, else the smallest."""
    return min(sides - others if len(sides - others) == 1 else sides)


def _sizes(net: Sequential) -> set[int]:
    """Return the sizes (numbers of elements) of a network's weight matrices."""
    return {p.size for p in net.parameters() if p.value.ndim == 2}


def fill(
    net: Sequential, modules: list[Module], *, mapping: Mapping[str, str] | None, where: str | os.PathLike[str]
) -> Sequential:
    """Write the arrays of modules into a network if all of them match.

    Pruned parameters become unpruned.

    Raises
    ------
    CheckpointError
        If arrays and layers do not match, or a value is not finite.
    """
    slots = _slots(net)
    pairs = _assigned(slots, modules, dict(mapping or {}), where)
    values: list[tuple[np.ndarray, np.ndarray]] = []
    for slot, module in pairs:
        found, why = _fitted(slot, module)
        if found is None:
            raise CheckpointError(f"{where}: {module.name} does not fit {slot.name}: {why}.{_both(slots, modules)}")
        if isinstance(slot.layer, BatchNorm) and (found["variance"] + slot.layer.epsilon <= 0).any():
            raise CheckpointError(f"{where}: {module.name} has negative variances.")
        with np.errstate(over="ignore"):  # overflow of float32 is detected below
            values += [(slot.arrays[role], array.astype(slot.arrays[role].dtype)) for role, array in found.items()]
    if not all(np.isfinite(array).all() for _, array in values):
        raise CheckpointError(f"{where}: some values are not finite, or too large for the network's dtype.")
    net.parameters().kept[...] = True
    for target, array in values:
        target[...] = array
    return net


def _slots(net: Sequential) -> list[_Slot]:
    found, maps = [], None
    for name, layer in net.named_sublayers():
        arrays = {
            ROLES[p.name.rpartition(".")[2]]: p.value for p in layer.parameters() if p.name.rpartition(".")[2] in ROLES
        }
        arrays |= {ROLES[name]: array for name, array in layer.running().items() if name in ROLES}
        if len(arrays) != len(layer.parameters()) + len(layer.running()):
            raise ConfigError(f"{layer} has parameters that cannot be imported from other libraries.")
        if layer.codes is not None:
            arrays["codes"] = np.array(layer.codes)
        if arrays:
            found.append(_Slot(name, layer, arrays, maps))
        flattens = len(layer.in_shape) == 3 and len(layer.out_shape) == 1 and not layer.stages()
        mixes = bool(layer.parameters()) and layer.parameters()[0].value.ndim == 2
        maps = layer.in_shape if flattens else None if mixes else maps
    return found


def _assigned(
    slots: list[_Slot], modules: list[Module], mapping: dict[str, str], where: Any
) -> list[tuple[_Slot, Module]]:
    """Pair each layer with the matching module."""
    named = {module.name: module for module in modules}
    slots = [slot for slot in slots if set(slot.arrays) != {"codes"} or any("codes" in m.arrays for m in modules)]
    if mapping:
        return _mapped(slots, named, mapping, where)
    own = [slot.name.replace(".", "_") for slot in slots]
    if set(own) <= named.keys():  # the file uses the names that this library writes
        pairs = [(slot, named[name]) for slot, name in zip(slots, own, strict=True)]
    else:
        pairs = list(zip(slots, modules, strict=False))
        ordered = all(module.order is None for module in modules)
        if not (ordered and len(slots) == len(modules) and all(_fitted(*pair)[0] is not None for pair in pairs)):
            pairs = _by_shape(slots, modules, where)
    left = [module.name for module in modules if all(module is not taken for _, taken in pairs)]
    if left:
        raise CheckpointError(f"{where}: no layer matches {', '.join(left[:8])}.{_both(slots, modules)}")
    return pairs


def _mapped(
    slots: list[_Slot], named: dict[str, Module], mapping: dict[str, str], where: Any
) -> list[tuple[_Slot, Module]]:
    pairs, used = [], set()
    for slot in slots:
        wanted = mapping.get(slot.name)
        if wanted not in named:
            raise CheckpointError(
                f"{where}: mapping: no module {shown(wanted)} for {slot.name}; found {', '.join(list(named)[:20])}."
            )
        pairs.append((slot, named[wanted]))
        used.add(wanted)
    unknown = sorted(mapping.keys() - {slot.name for slot in slots}) or sorted(named.keys() - used)
    if unknown:
        raise CheckpointError(f"{where}: missing from the mapping, or unknown: {', '.join(unknown[:8])}.")
    return pairs


def _by_shape(slots: list[_Slot], modules: list[Module], where: Any) -> list[tuple[_Slot, Module]]:
    """Assign to each layer the only module whose arrays fit, or the first of several numbered ones of the same type."""
    left, pairs = list(modules), []
    for slot in slots:
        fitting = [module for module in left if _fitted(slot, module)[0] is not None]
        kinds = {module.order[0] if module.order else None for module in fitting}
        if not fitting or len(fitting) > 1 and (None in kinds or len(kinds) > 1):
            what = "several modules match" if fitting else "no module matches"
            why = next((text for text in (_fitted(slot, module)[1] for module in left) if "table" in text), "")
            raise CheckpointError(f"{where}: {what} {slot.name}{why and ': '}{why}.{_both(slots, modules)}")
        pairs.append((slot, fitting[0]))
        left = [module for module in left if module is not fitting[0]]
    return pairs


def _fitted(slot: _Slot, module: Module) -> tuple[dict[str, np.ndarray] | None, str]:
    """Return a module's arrays by role, in the shapes of a layer; if they do not fit, return None and the reason."""
    own, given = slot.arrays, module.arrays
    found: dict[str, np.ndarray] = {}
    extra = given.keys() - own.keys()
    if extra or ("mean" in own) != ("mean" in given) or ("codes" in own) != ("codes" in given):
        return None, "the layer types differ"
    for role, target in own.items():
        if role in given:
            array = _in_shape(given[role], role, slot, module)
            if array is None:
                return None, _outside(given[role], slot) or f"expected shape {target.shape}, found {given[role].shape}"
            if role == "variance" and module.epsilon is not None and isinstance(slot.layer, BatchNorm):
                if module.epsilon != slot.layer.epsilon:
                    array = array + (module.epsilon - slot.layer.epsilon)
            if role == "codes" and not np.array_equal(array, target):
                return None, "the RBF codes differ"
            if role != "codes":
                found[role] = array
        elif role == "bias" or (role == "main" and "mean" in own):
            # Other libraries omit this array with options such as bias=False or affine=False.
            found[role] = np.full(target.shape, 0.0 if role == "bias" else 1.0)
        else:
            return None, f"it has no {role} array"
    return found, ""


def _outside(array: np.ndarray, slot: _Slot) -> str:
    """Explain a mismatch if its only cause is non-zero kernels for maps that the layer does not connect."""
    table = getattr(slot.layer, "table", None)
    if table is None or array.shape != (*table.T.shape, *slot.arrays["main"].shape[1:]):
        return ""
    wrong = int((array[~table.T] != 0).any(axis=(1, 2)).sum())
    return f"{wrong} kernels that the connection table excludes are not 0"


def _in_shape(array: np.ndarray, role: str, slot: _Slot, module: Module) -> np.ndarray | None:
    """Convert an array to the shape of a layer's array; return None if the shapes are not equivalent."""
    shape = slot.arrays[role].shape
    table = getattr(slot.layer, "table", None)
    if table is not None and len(shape) == 3:
        if array.shape != (table.shape[1], table.shape[0], *shape[1:]) or (array[~table.T] != 0).any():
            return None
        maps, inputs = np.nonzero(table.T)
        return array[maps, inputs]
    matrix = array.ndim == 2
    alone = "main" in slot.arrays and slot.arrays["main"].ndim == 1  # one value per channel or input
    if module.rows_last and slot.maps is not None and (matrix or alone and array.size == np.prod(slot.maps)):
        channels, height, width = slot.maps
        if array.shape[-1] != channels * height * width:
            return None
        array = np.moveaxis(array.reshape(-1, height, width, channels), 3, 1).reshape(array.shape)
    if array.shape == shape:
        return array
    if {array.ndim, len(shape)} == {2, 4} and array.size == np.prod(shape) and array.shape[0] == shape[0]:
        kernel = shape if matrix else array.shape
        if matrix and module.rows_last:  # convert a fully connected layer to kernels as large as its input maps
            return array.reshape(shape[0], *kernel[2:], kernel[1]).transpose(0, 3, 1, 2)
        return array.reshape(shape)
    if len(shape) == 1:
        if array.size == shape[0] == max(array.shape, default=0):
            return array.reshape(shape)
        if role != "main" or isinstance(slot.layer, BatchNorm):
            return None
        if array.size == 1 and isinstance(slot.layer, PReLU):  # one alpha for all maps
            return np.full(shape, array.ravel()[0])
        cells = (
            np.moveaxis(array, array.shape.index(shape[0]), 0).reshape(shape[0], -1)
            if shape[0] in array.shape
            else None
        )
        if cells is not None and array.ndim > 1 and (cells == cells[:, :1]).all():
            return cells[:, 0]
    return None


def _both(slots: list[_Slot], modules: list[Module]) -> str:
    """List our layers and the modules found, and explain how to pass a mapping."""
    ours = "; ".join(f"{s.name} {_shapes(s.arrays)}" for s in slots)
    theirs = "; ".join(f"{m.name} {_shapes(m.arrays)}" for m in modules[:20])
    example = f"mapping={{'{slots[0].name if slots else 'C1'}': '{modules[0].name if modules else 'conv1'}', ...}}"
    return f" Layers: {ours}. Found: {theirs}. To match them explicitly, pass {example}."


def _shapes(arrays: dict[str, np.ndarray]) -> str:
    return "x".join(map(str, arrays.get("main", next(iter(arrays.values()))).shape))
