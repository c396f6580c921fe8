"""Stochastic gradient descent."""

from collections.abc import Iterable
from typing import Unpack

import numpy as np

from ..errors import ConfigError
from ..parameter import Parameter
from .base import Optimizer, Penalties
from .options import option

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum v + g; value -= lr v, where g is the gradient including penalties.

    With `nesterov`, value -= lr (g + momentum v).

    Parameters
    ----------
    params, lr, l2, l1, decay, clip
        As for `Optimizer`.
    momentum : float
        Momentum, in [0, 1).
    nesterov : bool
        Whether to use Nesterov momentum, which requires a positive momentum.

    Raises
    ------
    ConfigError
        If an option is out of range.
    """

    options = {
        **Optimizer.options,
        "momentum": option(0.0, "momentum", least=0.0, below=1.0),
        "nesterov": option(False, "use Nesterov momentum"),
    }

    def __init__(
        self,
        params: Iterable[Parameter],
        *,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        **penalties: Unpack[Penalties],
    ) -> None:
        super().__init__(params, lr=lr, **penalties)
        self.momentum = self._option("momentum", momentum)
        if nesterov and not momentum:
            raise ConfigError("nesterov requires a momentum above 0; found 0.")
        self.nesterov = nesterov
        self._velocity = np.zeros_like(self.params.value) if momentum else None

    def step(self) -> None:
        """Update every parameter from its gradient."""
        g = self._gradient()
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
        self._move(self._step)

    def rates_of_plain_step(self) -> np.ndarray | None:
        """Return the learning rate of every parameter, or None if momentum, penalties, decay or clipping are used."""
        if self._velocity is not None or self._changed is not None or self.decay:
            return None
        self._step[...] = self._lr
        return self._step

    def _state(self) -> dict[str, np.ndarray]:
        return {} if self._velocity is None else {"velocity": self._velocity}
