"""Compiled programs and stretches of a network, and its replicas, which are rebuilt when its layers change."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.program import Program
from ..engine.row import Part, rows_of
from ..engine.stretch import Stretch
from ..parameter import Parameter
from .base import Layer

if TYPE_CHECKING:
    from ..network import Sequential

__all__ = ["Compiled", "replica"]


class Compiled:
    """The compiled versions of one network, and its replicas.

    They are rebuilt after a layer has been rebuilt or a parameter has been bound to another array. Layers whose
    parameters are no longer part of the network's parameter vector use their NumPy methods.

    Parameters
    ----------
    net : Sequential
    """

    def __init__(self, net: "Sequential") -> None:
        self._net = net
        self._changes: tuple[int, int] = (-1, -1)
        self._remembered: list[Any] = []
        self._programs: dict[bool, Program | None] = {}
        self._replicas: list[Sequential] = []

    def program(self, *, training: bool) -> Program | None:
        """Return the network as one compiled loop, or None if a layer has no compiled version in this mode."""
        self._look()
        net, programs = self._net, self._programs
        key = training and (net.draws_at_random or net.couples_patterns)
        if key not in programs:
            runs = list(self._runs(training=key, last=True))
            whole = len(runs) == 1 and not isinstance(runs[0], Layer)
            programs[key] = Program(runs[0], net.in_shape, net.theta) if whole else None  # type: ignore[arg-type]
        return programs[key]

    def stretches(self, twin: "Sequential") -> "list[Stretch | Layer]":
        """Return the parts of the network for training: stretches of compiled layers, and uncompiled layers of `twin`.

        The replica `twin` also provides the vectors to which stretches write gradients and curvatures.
        """
        net, flat, first = self._net, twin.parameters(), 0
        others = dict(zip(map(id, net.sublayers()), twin.sublayers(), strict=True))
        parts: list[Stretch | Layer] = []
        shape = net.in_shape
        for run in self._runs(training=True):
            if isinstance(run, Layer):
                parts.append(others[id(run)])
                size, shape = sum(p.size for p in run.parameters()), run.out_shape
            else:
                program = Program(run, shape, net.theta, to_input=bool(parts))
                size, shape = sum(a.size for _, arrays, *_ in run for a in arrays), program.out_shape
                parts.append(Stretch(program, flat.grad, flat.hess, slice(first, first + size)))
            first += size
        return parts

    def missing(self, *, training: bool) -> list[Layer]:
        """Return the layers that have no compiled version in the given mode."""
        return [run for run in self._runs(training=training, last=True) if isinstance(run, Layer)]

    @contextmanager
    def borrowed(self) -> Iterator["Sequential"]:
        """Lend a replica in evaluation mode, for use by one thread at a time."""
        self._look()
        free = self._replicas
        try:
            twin = free.pop()
        except IndexError:
            twin = replica(self._net).eval()
        try:
            yield twin
        finally:
            free.append(twin)

    def _look(self) -> None:
        """Discard all compiled versions if the layers of the network have changed."""
        changes = Layer._builds, Parameter.bindings
        if changes == self._changes:
            return
        # Some network has changed. Check whether it is this one, because compiled code relies on shapes and addresses.
        made_of = [
            (id(layer), layer.in_shape, [p.value.__array_interface__["data"] for p in layer.parameters()])
            for layer in self._net.sublayers()
        ]
        if made_of != self._remembered:
            self._programs, self._replicas = {}, []
        self._remembered, self._changes = made_of, changes

    def _runs(self, *, training: bool, last: bool = False) -> Iterator[Layer | list[Part]]:
        """Yield runs of consecutive compiled layers, and every other layer on its own.

        If `last`, the last layer may be compiled even if its `gauss_newton` is False: its `bbprop` needs the gradient
        at its output, which the loss provides.
        """
        run: list[Part] = []
        theta, shape, placed = self._net.theta, self._net.in_shape, placed_in(self._net)
        for k, (path, layer) in enumerate(placed):
            rows, own = rows_of(layer, training=training), [p.value for p in layer.parameters()]
            whole = all(np.may_share_memory(value, theta) for value in own) and layer.in_shape == shape
            if rows is not None and whole and (layer.gauss_newton or last and k == len(placed) - 1):
                run.append((rows, own, layer.out_shape, path))
            else:
                if run:
                    yield run
                yield layer
                run = []
            shape = layer.out_shape
        if run:
            yield run


def placed_in(layer: Any) -> list[tuple[tuple[int, ...], Layer]]:
    """Return the sublayers of a layer, each with the indices that `reseed` appends to the random key."""
    if not hasattr(layer, "layers"):
        return [((), layer)]
    return [((place, *path), inner) for place, sub in enumerate(layer.layers) for path, inner in placed_in(sub)]


def replica(net: "Sequential") -> "Sequential":
    """Return a copy of a network that shares its parameters and running statistics, but has its own buffers."""
    # With these memo entries, deepcopy shares the running statistics instead of copying them.
    twin = copy.deepcopy(net, {id(array): array for array in net.running().values()})
    for own, original in zip(twin.parameters(), net.parameters(), strict=True):
        own.bind(value=original.value)
    return twin
