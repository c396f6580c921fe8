"""The paper's stochastic diagonal Levenberg-Marquardt method: one learning rate per weight."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from ..parameter import Parameter
from .base import Optimizer
from .options import option

__all__ = ["SDLM"]

Rule = Literal["maximum", "average", "latest"]


class SDLM(Optimizer):
    """Stochastic diagonal Levenberg-Marquardt: value_k -= eps_k grad_k with eps_k = lr / (mu + h_kk) (eq. 21).

    h_kk is the Gauss-Newton estimate of d2E/dvalue_k^2 (eq. 23). `observe` updates it from the
    parameters' `hess`, a mean over sampled patterns, before each epoch; it is constant within an epoch.

    The default rule departs from the paper, which replaces h before each epoch. After the first epoch, units saturate,
    the h of their weights falls towards 0, and the learning rates rise towards lr/mu: on MNIST, the test error rises
    from 3.6 to 9.8 % in epoch 2. The running maximum prevents this; the rest of the method is the paper's.

    Parameters
    ----------
    params, lr
        As for `Optimizer`; lr is the paper's global eta.
    mu : float
        Positive constant that limits the learning rates to lr/mu if the curvature is small.
    momentum : float
        Momentum, in [0, 1); 0 in the paper. If positive, v = momentum v + eps grad; value -= v.
    rule : {"maximum", "average", "latest"}
        How each estimate updates h: max(h, estimate), 0.7 h + 0.3 estimate, or the estimate, as in the paper.
    patterns : int
        Number of patterns on which the trainer estimates h before each epoch (500 in the paper).

    Raises
    ------
    ConfigError
        If an option is out of range.
    """

    curvature_patterns = 500
    options = {
        "lr": option(5e-4, Optimizer.options["lr"].help, least=0.0, below=1e300),
        "mu": option(0.02, "mu of eq. 21, which limits the learning rates", least=1e-12, below=1e300),
        "rule": option(
            "maximum",
            "curvature h to use: maximum of all estimates, average (0.7 old + 0.3 new), or latest, as in the paper",
            kind=Rule,
        ),
        "patterns": option(500, "number of patterns on which the curvature h is estimated before each epoch", least=1),
        "momentum": option(0.0, "momentum", least=0.0, below=1.0),
    }

    def __init__(
        self,
        params: Iterable[Parameter],
        *,
        lr: float,
        mu: float = 0.02,
        momentum: float = 0.0,
        rule: Rule = "maximum",
        patterns: int = 500,
    ) -> None:
        self.curvature_patterns = self._option("patterns", patterns)
        self.mu, self.momentum = self._option("mu", mu), self._option("momentum", momentum)
        self.rule: Rule = self._option("rule", rule)
        super().__init__(params, lr=lr)
        self._h = np.zeros_like(self.params.value)
        self._observed = np.zeros(1, dtype=np.int64)
        self._velocity = np.zeros_like(self.params.value) if momentum else None
        self._rates = np.empty_like(self.params.value)
        self._set_rates()

    @property
    def lr(self) -> float:
        """Global learning rate eta. Setting it changes the learning rate of every weight."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = self._option("lr", value)
        if hasattr(self, "_rates"):
            self._set_rates()

    @property
    def rates(self) -> np.ndarray:
        """Learning rate eps_k of every parameter (size,), in the order of the flat parameter vector; read-only."""
        return self._rates

    @property
    def curvature(self) -> np.ndarray:
        """Current curvature estimates h_kk (size,); read-only."""
        return self._h

    def observe(self) -> None:
        """Update h and the learning rates from the parameters' `hess`, a new curvature estimate."""
        new = self.params.hess
        if self.rule == "maximum":
            np.maximum(self._h, new, out=self._h)
        elif self.rule == "latest" or not self._observed[0]:
            self._h[...] = new
        else:
            self._h *= 0.7
            self._h += 0.3 * new
        self._observed += 1
        self._set_rates()

    def step(self) -> None:
        """Update every parameter from its gradient."""
        step = np.multiply(self._rates, self.params.grad, out=self._step)
        if self._velocity is not None:
            self._velocity *= self.momentum
            self._velocity += step
            step = self._velocity
        self._move(step)

    def rates_of_plain_step(self) -> np.ndarray | None:
        """Return the learning rates, or None if momentum is used."""
        return self._rates if self._velocity is None else None

    def _set_rates(self) -> None:
        np.add(self._h, self.mu, out=self._rates)
        np.divide(self._lr, self._rates, out=self._rates)

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restore a state returned by `state_dict`."""
        super().load_state_dict(state)
        self._set_rates()

    def _state(self) -> dict[str, np.ndarray]:
        state = {"curvature": self._h, "observed": self._observed}
        return state if self._velocity is None else state | {"velocity": self._velocity}
