"""Optimisers that scale each step by past gradients: Adagrad, RMSprop and Adam."""

from collections.abc import Iterable
from typing import Unpack

import numpy as np

from ..parameter import Parameter
from .base import Optimizer, Penalties
from .options import Option, option

__all__ = ["Adagrad", "Adam", "RMSprop"]


def _eps(default: float) -> Option:
    return option(default, "small constant added to the denominator", least=1e-300, below=1e300)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): s += g^2; value -= lr g / (sqrt(s) + eps) for the gradient g.

    Parameters
    ----------
    params, lr, l2, l1, decay, clip
        As for `Optimizer`.
    eps : float
        Small positive constant added to the denominator.

    Raises
    ------
    ConfigError
        If an option is out of range.
    """

    options = {
        **Optimizer.options,
        "lr": option(1e-2, Optimizer.options["lr"].help, least=0.0, below=1e300),
        "eps": _eps(1e-10),
    }

    def __init__(
        self,
        params: Iterable[Parameter],
        *,
        lr: float = 0.01,
        eps: float = 1e-10,
        **penalties: Unpack[Penalties],
    ) -> None:
        super().__init__(params, lr=lr, **penalties)
        self.eps = self._option("eps", eps)
        self._square = np.zeros_like(self.params.value)
        self._scaled = np.zeros_like(self.params.value)

    def step(self) -> None:
        """Update every parameter from its gradient."""
        g = self._gradient()
        self._square += np.multiply(g, g, out=self._scaled)
        _divided(g, self._square, self.eps, self._lr, self._scaled, self._step)
        self._move(self._step)

    def _state(self) -> dict[str, np.ndarray]:
        return {"square": self._square}


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): s = rho s + (1 - rho) g^2; value -= lr g / (sqrt(s) + eps).

    Parameters
    ----------
    params, lr, l2, l1, decay, clip
        As for `Optimizer`.
    rho : float
        Decay rate of the mean of squared gradients, in [0, 1).
    momentum : float
        Momentum, in [0, 1). If positive, v = momentum v + g / (sqrt(s) + eps); value -= lr v.
    eps : float
        Small positive constant added to the denominator.

    Raises
    ------
    ConfigError
        If an option is out of range.
    """

    options = {
        **Optimizer.options,
        "rho": option(0.99, "decay rate of the mean of squared gradients", least=0.0, below=1.0),
        "momentum": option(0.0, "momentum", least=0.0, below=1.0),
        "eps": _eps(1e-8),
    }

    def __init__(
        self,
        params: Iterable[Parameter],
        *,
        lr: float = 1e-3,
        rho: float = 0.99,
        momentum: float = 0.0,
        eps: float = 1e-8,
        **penalties: Unpack[Penalties],
    ) -> None:
        super().__init__(params, lr=lr, **penalties)
        self.rho = self._option("rho", rho)
        self.momentum = self._option("momentum", momentum)
        self.eps = self._option("eps", eps)
        self._square = np.zeros_like(self.params.value)
        self._scaled = np.zeros_like(self.params.value)
        self._velocity = np.zeros_like(self.params.value) if momentum else None

    def step(self) -> None:
        """Update every parameter from its gradient."""
        g = self._gradient()
        _average(self._square, np.multiply(g, g, out=self._scaled), self.rho)
        if self._velocity is None:
            _divided(g, self._square, self.eps, self._lr, self._scaled, self._step)
        else:
            _divided(g, self._square, self.eps, 1.0, self._scaled, self._step)
            self._velocity *= self.momentum
            self._velocity += self._step
            np.multiply(self._velocity, self._lr, out=self._step)
        self._move(self._step)

    def _state(self) -> dict[str, np.ndarray]:
        state = {"square": self._square}
        return state if self._velocity is None else state | {"velocity": self._velocity}


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), which divides the mean of gradients by the root of the mean of their squares.

    m = b1 m + (1 - b1) g; s = b2 s + (1 - b2) g^2; value -= lr m' / (sqrt(s') + eps). After t steps,
    m' = m / (1 - b1^t) and s' = s / (1 - b2^t). With `amsgrad`, s is replaced by its maximum so far (Reddi et al.
    2018). With `decay`, this is AdamW.

    Parameters
    ----------
    params, lr, l2, l1, decay, clip
        As for `Optimizer`.
    beta1, beta2 : float
        Decay rates b1 and b2 of the means of gradients and of squared gradients, in [0, 1).
    eps : float
        Small positive constant added to the denominator.
    amsgrad : bool
        Whether to divide by the maximum of s so far.

    Raises
    ------
    ConfigError
        If an option is out of range.
    """

    options = {
        **Optimizer.options,
        "beta1": option(0.9, "decay rate of the mean of gradients", least=0.0, below=1.0),
        "beta2": option(0.999, "decay rate of the mean of squared gradients", least=0.0, below=1.0),
        "eps": _eps(1e-8),
        "amsgrad": option(False, "divide by the largest mean of squared gradients so far"),
    }

    def __init__(
        self,
        params: Iterable[Parameter],
        *,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        amsgrad: bool = False,
        **penalties: Unpack[Penalties],
    ) -> None:
        super().__init__(params, lr=lr, **penalties)
        self.beta1 = self._option("beta1", beta1)
        self.beta2 = self._option("beta2", beta2)
        self.eps = self._option("eps", eps)
        self.amsgrad = bool(amsgrad)
        self._mean, self._square = np.zeros_like(self.params.value), np.zeros_like(self.params.value)
        self._largest = np.zeros_like(self.params.value) if amsgrad else None
        self._scaled = np.zeros_like(self.params.value)
        self._steps = np.zeros(1, dtype=np.int64)

    def step(self) -> None:
        """Update every parameter from its gradient."""
        g = self._gradient()
        self._steps += 1
        t = int(self._steps[0])
        _average(self._square, np.multiply(g, g, out=self._scaled), self.beta2)
        _average(self._mean, np.multiply(g, 1.0, out=self._scaled), self.beta1)
        square = self._square
        if self._largest is not None:
            square = np.maximum(self._largest, square, out=self._largest)
        # lr m' / (sqrt(s') + eps), with the bias corrections as scalar factors
        root = (1 - self.beta2**t) ** 0.5
        rate = self._lr * root / (1 - self.beta1**t)
        _divided(self._mean, square, self.eps * root, rate, self._scaled, self._step)
        self._move(self._step)

    def _state(self) -> dict[str, np.ndarray]:
        state = {"mean": self._mean, "square": self._square, "steps": self._steps}
        return state if self._largest is None else state | {"largest": self._largest}


def _average(mean: np.ndarray, new: np.ndarray, keep: float) -> None:
    """Update a running mean: mean = keep mean + (1 - keep) new. `new` is overwritten."""
    mean *= keep
    new *= 1 - keep
    mean += new


def _divided(g: np.ndarray, square: np.ndarray, eps: float, lr: float, room: np.ndarray, out: np.ndarray) -> None:
    """Compute out = lr g / (sqrt(square) + eps)."""
    np.sqrt(square, out=room)
    room += eps
    np.divide(g, room, out=out)
    out *= lr
