"""Trainable numbers: a value, its gradient and its curvature, all views of three flat vectors."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

__all__ = ["Parameter", "ParameterList"]


class Parameter:
    """One named array of trainable numbers.

    Attributes
    ----------
    name : str
        Unique within its network, e.g. ``"C3.weight"``.
    value, grad, hess : ndarray, all of one shape and dtype
        The numbers, dE/dvalue from the last `backward`, and the Gauss-Newton diagonal of
        d2E/dvalue2 from the last `bbprop`.
    """

    __slots__ = ("grad", "hess", "name", "value")

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name = name
        self.value = np.ascontiguousarray(value)
        self.grad = np.zeros_like(self.value)
        self.hess = np.zeros_like(self.value)

    @property
    def size(self) -> int:
        """Count of numbers."""
        return self.value.size

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})"


class ParameterList(Sequence[Parameter]):
    """Parameters in a fixed order, laid end to end in three flat vectors.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of one dtype. Parameters that do not already lie end to end are moved: their `value`,
        `grad` and `hess` become views of new vectors. Those that do (a network's own list, or a
        run of it) stay where they are, so an optimiser given them steps the network itself.

    Attributes
    ----------
    value, grad, hess : ndarray (size,)
        The flat vectors behind every parameter's arrays.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._items = tuple(parameters)
        self.value, self.grad, self.hess = (self._flat(part) for part in ("value", "grad", "hess"))

    def _flat(self, part: str) -> np.ndarray:
        arrays = [getattr(p, part) for p in self._items]
        if not arrays:
            return np.zeros(0, dtype=np.float32)
        joined = _joined(arrays)
        if joined is None:
            joined = np.concatenate([a.ravel() for a in arrays])
            start = 0
            for p, a in zip(self._items, arrays, strict=True):
                setattr(p, part, joined[start : start + a.size].reshape(a.shape))
                start += a.size
        return joined

    @overload
    def __getitem__(self, key: int | str) -> Parameter: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Parameter]: ...
    def __getitem__(self, key: int | str | slice) -> Parameter | Sequence[Parameter]:
        if isinstance(key, str):
            for p in self._items:
                if p.name == key:
                    return p
            raise KeyError(f"no parameter {key!r}; there are {', '.join(p.name for p in self._items)}")
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._items)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ParameterList":
        # Copied views would no longer lie in one vector: copy the parameters, then join them again.
        return ParameterList(copy.deepcopy(self._items, memo))

    def slices(self) -> dict[str, slice]:
        """Where each parameter lies in the flat vectors: name -> slice."""
        ends = np.cumsum([p.size for p in self._items]).tolist()
        return {p.name: slice(end - p.size, end) for p, end in zip(self._items, ends, strict=True)}

    def __repr__(self) -> str:
        return f"ParameterList({self.value.size} numbers: {', '.join(p.name for p in self._items)})"


def _joined(arrays: list[np.ndarray]) -> np.ndarray | None:
    """Return the flat stretch of the one vector that `arrays` lie end to end in, or None."""
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
