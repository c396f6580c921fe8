"""Trainable parameters: their value, gradient, curvature and mask are views of four flat vectors."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from .errors import ConfigError

__all__ = ["Parameter", "ParameterList"]


class Parameter:
    """A named array of trainable values.

    Attributes
    ----------
    name : str
        Unique within its network, e.g. ``"C3.weight"``.
    value, grad, hess : ndarray, all of the same shape and dtype
        The values, dE/dvalue from the last `backward`, and the Gauss-Newton diagonal of
        d2E/dvalue2 from the last `bbprop`.
    kept : boolean ndarray of the same shape
        False for pruned values (`lenet5.analysis.pruning`), which are 0 and remain 0 during training.
    """

    __slots__ = ("_value", "grad", "hess", "kept", "name")
    bindings = 0  # number of calls of `bind`; code that stores addresses uses it to detect moved arrays

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name = name
        self._value = np.ascontiguousarray(value)
        self.grad = np.zeros_like(self._value)
        self.hess = np.zeros_like(self._value)
        self.kept = np.ones(self._value.shape, bool)

    @property
    def value(self) -> np.ndarray:
        """Array of values. Assignment copies into this array instead of replacing it, and keeps pruned values at 0."""
        return self._value

    @value.setter
    def value(self, numbers: np.ndarray) -> None:
        np.copyto(self._value, numbers, where=self.kept)

    def bind(
        self,
        *,
        value: np.ndarray,
        grad: np.ndarray | None = None,
        hess: np.ndarray | None = None,
        kept: np.ndarray | None = None,
    ) -> None:
        """Replace the arrays with others of the same shape, without copying."""
        Parameter.bindings += 1
        self._value = value
        self.grad = self.grad if grad is None else grad
        self.hess = self.hess if hess is None else hess
        self.kept = self.kept if kept is None else kept

    @property
    def size(self) -> int:
        """Number of values."""
        return self.value.size

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})"


class ParameterList(Sequence[Parameter]):
    """Parameters in a fixed order, stored contiguously in four flat vectors.

    Parameters
    ----------
    parameters : iterable of Parameter
        Parameters of one dtype. If they are already contiguous (a network's list, or consecutive ones from it),
        they are not copied, so an optimiser created with them updates the network itself.
    move : bool
        Also accept parameters that belong to another list. Their arrays become views of new vectors, and the
        other list becomes invalid.

    Attributes
    ----------
    value, grad, hess, kept : ndarray (size,)
        Flat vectors that hold the arrays of all parameters.

    Raises
    ------
    ConfigError
        If `move` is False, and the parameters belong to another list but are not contiguous in it.
    """

    def __init__(self, parameters: Iterable[Parameter], *, move: bool = False) -> None:
        self._items = tuple(parameters)
        parts = [[getattr(p, part) for p in self._items] for part in ("value", "grad", "hess", "kept")]
        flat = [_joined(arrays) for arrays in parts]
        if any(vector is None for vector in flat):
            if not move and any(p.value.base is not None for p in self._items):
                names = ", ".join(p.name for p in self._items)
                raise ConfigError(
                    f"Parameters {names} are not contiguous in their network: pass all of net.parameters(), "
                    "those of one layer, or consecutive ones."
                )
            flat = [np.concatenate([a.ravel() for a in arrays]) for arrays in parts]
            start = 0
            for p in self._items:
                shape, stop = p.value.shape, start + p.size
                value, grad, hess, kept = (vector[start:stop].reshape(shape) for vector in flat if vector is not None)
                p.bind(value=value, grad=grad, hess=hess, kept=kept)
                start = stop
        self.value, self.grad, self.hess, self.kept = (v for v in flat if v is not None)

    @property
    def pruned(self) -> bool:
        """Whether any value has been pruned."""
        return not self.kept.min(initial=True)  # called after every update; `min` takes half the time of `all`

    def hold(self) -> None:
        """Reset pruned values to 0; every optimiser calls this after a step."""
        if self.pruned:  # set to 0, not multiplied by 0: -1 * 0 is -0, and inf * 0 is NaN
            np.copyto(self.value, 0, where=~self.kept)

    @overload
    def __getitem__(self, key: int | str) -> Parameter: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Parameter]: ...
    def __getitem__(self, key: int | str | slice) -> Parameter | Sequence[Parameter]:
        if isinstance(key, str):
            for p in self._items:
                if p.name == key:
                    return p
            raise KeyError(f"no parameter {key!r}; the parameters are {', '.join(p.name for p in self._items)}")
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._items)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ParameterList":
        # Copied views would not share one vector, so copy the parameters and join them again.
        return ParameterList(copy.deepcopy(self._items, memo), move=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _moved, (self._items,)

    def slices(self) -> dict[str, slice]:
        """Return the slice of each parameter in the flat vectors, by name."""
        ends = np.cumsum([p.size for p in self._items]).tolist()
        return {p.name: slice(end - p.size, end) for p, end in zip(self._items, ends, strict=True)}

    def __repr__(self) -> str:
        return f"ParameterList({self.value.size} values: {', '.join(p.name for p in self._items)})"


def _moved(items: tuple[Parameter, ...]) -> ParameterList:
    return ParameterList(items, move=True)


def _joined(arrays: list[np.ndarray]) -> np.ndarray | None:
    """Return the part of a flat vector that `arrays` cover as consecutive views, or None if they are not such views."""
    if not arrays:
        return np.zeros(0, dtype=np.float32)
    base = arrays[0].base
    if base is None or base.ndim != 1 or any(a.base is not base for a in arrays):
        return None
    start = address = arrays[0].__array_interface__["data"][0]
    for a in arrays:
        if a.__array_interface__["data"][0] != address:
            return None
        address += a.nbytes
    first = (start - base.__array_interface__["data"][0]) // base.itemsize
    return base[first : first + sum(a.size for a in arrays)]
