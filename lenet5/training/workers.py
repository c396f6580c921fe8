"""Workspaces that process one shard at a time, with compiled code, partly compiled code or NumPy methods."""

import copy

import numpy as np

from ..engine.program import Program
from ..engine.stretch import Stretch
from ..errors import ConfigError
from ..losses import Loss
from ..network import Sequential

__all__ = ["GRADIENTS", "CompiledNetwork", "Layers", "Stretches"]

# Number of gradients that a workspace can store before they are added up in the order of the shards.
GRADIENTS = 4


class Layers:
    """Workspace that runs the layers' NumPy methods on a replica of the network."""

    def __init__(self, net: Sequential, loss: Loss) -> None:
        self.net, self.loss = net.replica(), copy.copy(loss)
        self.room = _room_for_gradients(net)

    def derivatives(
        self, kind: str, images: np.ndarray, labels: np.ndarray, n: int, out: np.ndarray, key: tuple[int, ...]
    ) -> tuple[float, int]:
        """Write the shard's part of the mean derivatives of n patterns to `out`.

        Returns
        -------
        loss : float
            Sum of the losses over the shard.
        errors : int
            Number of misclassified patterns in the shard.
        """
        self.net.train().reseed(*key)
        loss, errors = self._measured(self._forward(self.net.scaled(images), key), labels)
        self._backward(self.loss.backward())
        flat = self.net.parameters().grad
        if kind == "curvature":
            self._bbprop(self.loss.bbprop())
            flat = self.net.parameters().hess
        np.multiply(flat, len(labels) / n, out=out)
        return loss, errors

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Return the sum of the losses over a shard, and the number of errors in it."""
        return self._measured(self.outputs(images), labels)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the network's outputs (N, classes)."""
        return self.net.eval().forward(self.net.scaled(images))

    def _forward(self, x: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        return self.net.forward(x)

    def _backward(self, dy: np.ndarray) -> None:
        self.net.backward(dy, to_input=False)

    def _bbprop(self, hy: np.ndarray) -> None:
        self.net.bbprop(hy, to_input=False)

    def _measured(self, y: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        loss = self.loss.forward(y, labels) * len(labels)
        return loss, int((self.loss.predict(y) != labels).sum())


class Stretches(Layers):
    """Workspace that runs compiled code for the layers that have it, and NumPy methods for all others and the loss.

    Consecutive compiled layers form a `Stretch`, which processes the whole shard before the next layer runs.
    """

    def __init__(self, net: Sequential, loss: Loss) -> None:
        super().__init__(net, loss)
        self._original = net
        self._parts = net.compiled_forms.stretches(self.net)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the network's outputs (N, classes)."""
        return self._original.outputs(images)

    def _forward(self, x: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        for part in self._parts:
            x = part.forward(x, *key) if isinstance(part, Stretch) else part.forward(x)
        return x

    def _backward(self, dy: np.ndarray) -> None:
        first, *others = self._parts
        for part in reversed(others):
            dy = part.backward(dy)  # type: ignore[assignment]
        first.backward(dy, to_input=False)

    def _bbprop(self, hy: np.ndarray) -> None:
        first, *others = self._parts
        for part in reversed(others):
            hy = part.bbprop(hy)  # type: ignore[assignment]
        first.bbprop(hy, to_input=False)


class CompiledNetwork(Layers):
    """Workspace that runs a completely compiled network."""

    def __init__(self, net: Sequential, loss: Loss) -> None:
        self.net, self.loss = net, copy.copy(loss)
        self._room = np.empty((0, *net.in_shape), net.dtype)
        self.room = _room_for_gradients(net)

    def derivatives(
        self, kind: str, images: np.ndarray, labels: np.ndarray, n: int, out: np.ndarray, key: tuple[int, ...]
    ) -> tuple[float, int]:
        """Write the shard's part of the mean derivatives of n patterns to `out`; see `Layers.derivatives`."""
        program = self._program(training=True)
        differentiate = program.gradient if kind == "gradient" else program.curvature
        x = self._prepared(images)
        return differentiate(program.drawn(x, *key) if program.random else x, labels, self.loss, n, out)

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Return the sum of the losses over a shard, and the number of errors in it."""
        return self._program().evaluate(self._prepared(images), labels, self.loss)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the network's outputs (N, classes)."""
        return self._program().outputs(self._prepared(images))

    def step(
        self, images: np.ndarray, labels: np.ndarray, rates: np.ndarray, total: float, key: tuple[int, ...]
    ) -> tuple[float, int]:
        """Update after every pattern: w -= rates * grad. Return `total` plus the losses, and the number of errors."""
        program, x = self._program(training=True), self._prepared(images)
        if program.random:
            *same, first = key
            x = np.concatenate([program.drawn(x[k : k + 1], *same, first + k, 0) for k in range(len(x))])
        return program.step(x, labels, self.loss, rates, total)

    def _program(self, *, training: bool = False) -> Program:
        program = self.net.program(training=training)
        if program is None:
            raise ConfigError("The network was changed during training. Create a new trainer.")
        return program

    def _prepared(self, images: np.ndarray) -> np.ndarray:
        """Prepare images in the workspace's own buffer."""
        if images.dtype != np.uint8:
            return self.net.scaled(images)
        if len(self._room) < len(images):
            self._room = np.empty((len(images), *self.net.in_shape), self.net.dtype)
        return self.net.preparation(images, out=self._room[: len(images)])


def _room_for_gradients(net: Sequential) -> np.ndarray:
    return np.empty((GRADIENTS, net.theta.size), net.dtype)
