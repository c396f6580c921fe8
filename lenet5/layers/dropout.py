"""Dropout (Srivastava et al. 2014), which is not in the paper."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function
from ..engine.row import Row
from ..errors import ConfigError
from .base import Layer, Shape
from .operation import Dropping, Operation

__all__ = ["Dropout"]


class Dropout(Layer):
    """y = m x in training, where m is 0 for a fraction `rate` of the elements and 1 / (1 - rate) for the rest.

    This layer is not in the paper; see Srivastava et al. (2014). It computes inverted dropout: the mean of y is x, so
    no scaling is needed in evaluation.

    The mask m has the shape of x and depends only on that shape and the key given to `reseed`, so a second
    `forward` repeats it. The trainer uses a different key for every shard of every update. In your own training
    loop, call ``net.reseed(update)`` with the number of the update before each `forward`.

    Parameters
    ----------
    rate : float
        Fraction of the elements that are dropped, at least 0 and below 1.
    name : str

    Raises
    ------
    ConfigError
        If `rate` is out of range.
    """

    draws_at_random = True

    def __init__(self, rate: float = 0.5, *, name: str = "") -> None:
        super().__init__(name=name)
        if not 0 <= rate < 1:
            raise ConfigError(f"rate of Dropout must be at least 0 and below 1; found {rate!r}.")
        self.rate = float(rate)
        self._key: tuple[int, ...] = ()

    def reseed(self, *key: int) -> None:
        """Set the key that determines the mask, a sequence of non-negative integers."""
        self._key = key

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y, of the same shape as x, or x itself in evaluation mode."""
        self._check(x)
        self._mask = self._draw(x.shape, self._key) if self.training else None
        return self._done(self._times(self._mask, x, "y"))

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dx = m dy."""
        self._expect(dy)
        return self._times(self._mask, dy, "vx") if to_input else None

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hx = m^2 hy."""
        self._expect(hy)
        if not to_input:
            return None
        hx = self._times(self._mask, hy, "vx")
        return self._times(self._mask, hx, "vx")

    def operation(self) -> Operation:
        """Return dropout as an operation for exporters; it does nothing in evaluation."""
        return Dropping(self.rate)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled multiplication by a mask, drawn as in `forward`; or an empty list for evaluation mode."""
        if not training:
            return []
        cells = int(np.prod(self.out_shape))
        return [Row(_forward, _reverse, self.out_shape, own=cells, draw=lambda n, *key: self._draw((n, cells), key))]

    def _draw(self, shape: Shape, key: tuple[int, ...]) -> np.ndarray:
        # As spawn keys, (1,) and (1, 0) produce different random numbers; as entropy, they would produce the same ones.
        seed = np.random.SeedSequence(0, spawn_key=key)
        # Always drawn in float32, so that the mask does not depend on the dtype of the layer.
        drawn = np.random.Generator(np.random.Philox(seed)).random(shape, dtype=np.float32)
        return (drawn >= self.rate).astype(self.dtype) * self.dtype.type(1.0 / (1.0 - self.rate))

    def _times(self, mask: np.ndarray | None, v: np.ndarray, key: str) -> np.ndarray:
        return v if mask is None else np.multiply(mask, v, out=self._buffer(key, v.shape))


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    x, y, mask = eng.inputs(call, lanes), eng.outputs(call, lanes), eng.own(call, lanes)
    for p in range(eng.cells(call, lanes)):
        y[p] = mask[p] * x[p]


@layer_function
def _reverse(call, lanes):  # type: ignore[no-untyped-def]
    v, vx, mask = eng.above(call, lanes), eng.below(call, lanes), eng.own_operands(call, lanes)
    for p in range(eng.cells(call, lanes)):
        vx[p] = mask[p] * v[p]
