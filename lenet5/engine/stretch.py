"""Sequences of compiled layers between layers that are not compiled."""

import numpy as np

from . import call as eng
from . import loop
from .program import Program, Workspace, address, flat, lanes_for

__all__ = ["Stretch"]


class Stretch:
    """Consecutive compiled layers that act as one layer of a network in which other layers are not compiled.

    Parameters
    ----------
    program : Program
    gradients, curvatures : ndarray (parameters,)
        Flat vectors of the whole network; `backward` and `bbprop` write to the slice `parts` of them.
    parts : slice
        Slice of the stretch's parameters in these vectors.
    """

    def __init__(self, program: Program, gradients: np.ndarray, curvatures: np.ndarray, parts: slice) -> None:
        self.program, self._out, self._parts = program, {1: gradients, 2: curvatures}, parts
        self._space: Workspace | None = None
        self._lanes = self._groups = 0

    def forward(self, x: np.ndarray, *key: int) -> np.ndarray:
        """Return y (N, *out_shape) for x (N, ...), and store the states for `backward`."""
        program, self._n = self.program, len(x)
        self._in_shape = x.shape
        x = flat(program.drawn(x, *key) if program.random else x)
        self._lanes = lanes_for(len(x))
        groups = -(-len(x) // self._lanes)
        if self._space is None or self._groups < groups:
            self._space, self._groups = Workspace(program, learning=True, groups=groups), groups
        y = np.empty((len(x), program.classes), program.dtype)
        loop.run(program.table(self._lanes, learning=True), self._space.at, x, y, self._lanes)
        return y.reshape(-1, *program.out_shape)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Compute the gradients from dy (N, *out_shape); return dx if `to_input`."""
        return self._reverse(dy, to_input, 1)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Compute the curvatures from hy (N, *out_shape); return hx if `to_input`."""
        return self._reverse(hy, to_input, 2)

    def _reverse(self, vy: np.ndarray, to_input: bool, power: int) -> np.ndarray | None:
        program, space = self.program, self._space
        assert space is not None
        out = self._out[power]
        out[self._parts] = 0
        space.at[eng.POWER], space.at[eng.GRADIENTS] = power, address(out)
        if power == 2:
            np.square(program.theta, out=space.spare)
        vx = np.empty((len(vy), program.inputs if to_input else 0), program.dtype)
        loop.push(program.table(self._lanes, learning=True), space.at, flat(vy), vx, self._lanes)
        return vx.reshape(self._in_shape) if to_input else None
