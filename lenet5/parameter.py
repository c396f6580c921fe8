"""Trainable parameters: value, gradient, curvature and mask, all views of four flat vectors."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from .errors import ConfigError

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
    kept : boolean ndarray of that shape
        False for numbers that have been deleted (`lenet5.analysis.pruning`): they are 0, and training keeps them so.
    """

    __slots__ = ("_value", "grad", "hess", "kept", "name")
    bindings = 0  # of all parameters: whoever relies on where they lie looks whether one has moved

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name = name
        self._value = np.ascontiguousarray(value)
        self.grad = np.zeros_like(self._value)
        self.hess = np.zeros_like(self._value)
        self.kept = np.ones(self._value.shape, bool)

    @property
    def value(self) -> np.ndarray:
        """The numbers; assigning writes into them, so that they stay a part of their network. Deleted ones stay 0."""
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
        """Use other arrays of the same shape from now on, without copying."""
        Parameter.bindings += 1
        self._value = value
        self.grad = self.grad if grad is None else grad
        self.hess = self.hess if hess is None else hess
        self.kept = self.kept if kept is None else kept

    @property
    def size(self) -> int:
        """Count of numbers."""
        return self.value.size

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})"


class ParameterList(Sequence[Parameter]):
    """Parameters in a fixed order, laid end to end in four flat vectors.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of one dtype. Those that already lie end to end (a network's own list, or a run of it) stay where
        they are, so an optimiser given them steps the network itself.
    move : bool
        Also take parameters out of another list: their arrays become views of new vectors, and that
        list is no longer theirs.

    Attributes
    ----------
    value, grad, hess, kept : ndarray (size,)
        The flat vectors behind every parameter's arrays.

    Raises
    ------
    ConfigError
        If the parameters are scattered over another list, and not to be moved.
    """

    def __init__(self, parameters: Iterable[Parameter], *, move: bool = False) -> None:
        self._items = tuple(parameters)
        parts = [[getattr(p, part) for p in self._items] for part in ("value", "grad", "hess", "kept")]
        flat = [_joined(arrays) for arrays in parts]
        if any(vector is None for vector in flat):
            if not move and any(p.value.base is not None for p in self._items):
                names = ", ".join(p.name for p in self._items)
                raise ConfigError(
                    f"Parameters {names} do not lie side by side in their network: give all of net.parameters(), "
                    "or of one layer, or a run of them."
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
        """Whether any number has been deleted."""
        return not self.kept.min(initial=True)  # half the time of `all`, after every update

    def hold(self) -> None:
        """Set deleted numbers back to 0, as every optimiser does after a step."""
        if self.pruned:  # by copying: -1 * 0 is -0, and inf * 0 is NaN
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
            raise KeyError(f"no parameter {key!r}; there are {', '.join(p.name for p in self._items)}")
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._items)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ParameterList":
        # Copied views would no longer lie in one vector: copy the parameters, then join them again.
        return ParameterList(copy.deepcopy(self._items, memo), move=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _moved, (self._items,)

    def slices(self) -> dict[str, slice]:
        """Return the position of each parameter in the flat vectors: name -> slice."""
        ends = np.cumsum([p.size for p in self._items]).tolist()
        return {p.name: slice(end - p.size, end) for p, end in zip(self._items, ends, strict=True)}

    def __repr__(self) -> str:
        return f"ParameterList({self.value.size} numbers: {', '.join(p.name for p in self._items)})"


def _moved(items: tuple[Parameter, ...]) -> ParameterList:
    return ParameterList(items, move=True)


def _joined(arrays: list[np.ndarray]) -> np.ndarray | None:
    """Return the flat stretch of the one vector that `arrays` lie end to end in, or None."""
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
