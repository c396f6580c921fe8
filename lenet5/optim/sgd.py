"""Stochastic gradient descent."""

from collections.abc import Iterable

import numpy as np

from ..errors import ConfigError
from ..parameter import Parameter
from .base import Optimizer, in_range

__all__ = ["SGD"]


class SGD(Optimizer):
    """g = grad + l2 value + l1 sign(value); v = momentum v + g; value -= lr v.

    With `nesterov`, value -= lr (g + momentum v).

    Parameters
    ----------
    params, lr
        As for every optimiser.
    momentum : float
        In [0, 1).
    nesterov : bool
        Needs a momentum.
    l2, l1 : float
        Decay of all parameters, biases included: the gradient of l2/2 |value|^2 + l1 |value|.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        *,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        l1: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr)
        self.momentum = float(in_range("momentum", momentum, 0.0, 1.0))
        self.l2, self.l1 = float(in_range("l2", l2, 0.0, np.inf)), float(in_range("l1", l1, 0.0, np.inf))
        if nesterov and not momentum:
            raise ConfigError("nesterov needs a momentum above 0.")
        self.nesterov = nesterov
        self._velocity = np.zeros_like(self.params.value) if momentum else None
        self._decayed = np.zeros_like(self.params.value) if l2 or l1 else None

    def step(self) -> None:
        """Change every value by its `grad`."""
        value, g = self.params.value, self.params.grad
        if self._decayed is not None:
            # g = grad + l1 sign(value) + l2 value, without touching grad itself
            np.sign(value, out=self._decayed)
            self._decayed *= self.l1
            self._decayed += g
            self._decayed += np.multiply(value, self.l2, out=self._step)
            g = self._decayed
        if self._velocity is None:
            np.multiply(g, self._lr, out=self._step)
        else:
            self._velocity *= self.momentum
            self._velocity += g
            if self.nesterov:
                np.multiply(self._velocity, self.momentum, out=self._step)
                self._step += g
                self._step *= self._lr
            else:
                np.multiply(self._velocity, self._lr, out=self._step)
        value -= self._step

    def rates_of_plain_step(self) -> np.ndarray | None:
        """Return the one rate for all, unless there is a momentum or a decay."""
        if self._velocity is not None or self._decayed is not None:
            return None
        self._step[...] = self._lr
        return self._step

    def _state(self) -> dict[str, np.ndarray]:
        return {} if self._velocity is None else {"velocity": self._velocity}
