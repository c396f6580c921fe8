"""What an optimiser is: it owns its state and steps the flat vector of parameters."""

from collections.abc import Iterable
from typing import TypedDict, Unpack

import numpy as np

from ..errors import CheckpointError, ConfigError
from ..parameter import Parameter, ParameterList

__all__ = ["Optimizer", "Penalties"]


class Penalties(TypedDict, total=False):
    """What every first-order optimiser may be given besides its own options; SDLM takes none of it."""

    l2: float
    l1: float
    decay: float
    clip: float


class Optimizer:
    """Steps parameters in place, without allocation.

    Parameters
    ----------
    params : ParameterList or iterable of Parameter
        What to step, for example ``net.parameters()``.
    lr : float
        Learning rate eta, positive; may be set between steps, as a schedule does.
    l2, l1 : float
        Penalties on all parameters, biases included: the gradient of l2/2 |value|^2 + l1 |value| is added to `grad`.
    decay : float
        Decoupled decay (Loshchilov and Hutter 2019): value -= lr decay value, apart from the gradient.
    clip : float
        Largest norm of the gradient, penalties included; a longer one is shortened to it. Positive, default none.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    def __init__(self, params: Iterable[Parameter], *, lr: float, **penalties: Unpack[Penalties]) -> None:
        self.params = params if isinstance(params, ParameterList) else ParameterList(params)
        self.lr = lr
        unknown = sorted(penalties.keys() - Penalties.__annotations__.keys())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(unknown)}")
        self.l2 = float(in_range("l2", penalties.get("l2", 0.0), 0.0, np.inf))
        self.l1 = float(in_range("l1", penalties.get("l1", 0.0), 0.0, np.inf))
        self.decay = float(in_range("decay", penalties.get("decay", 0.0), 0.0, np.inf))
        clip = penalties.get("clip", np.inf)
        self.clip = np.inf if clip == np.inf else float(in_range("clip", clip, 1e-300, np.inf))
        self._step = np.zeros_like(self.params.value)
        changed = self.l2 or self.l1 or self.clip < np.inf
        self._changed = np.zeros_like(self.params.value) if changed else None

    @property
    def lr(self) -> float:
        """Learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = float(in_range("lr", value, 0.0, np.inf))

    def step(self) -> None:
        """Change every value by its `grad`."""
        raise NotImplementedError

    def _gradient(self) -> np.ndarray:
        """Return grad + l1 sign(value) + l2 value, clipped, for `step` to read; `grad` itself is not touched."""
        g = self._changed
        if g is None:
            return self.params.grad
        np.sign(self.params.value, out=g)
        g *= self.l1
        g += self.params.grad
        g += np.multiply(self.params.value, self.l2, out=self._step)
        norm = float(np.sqrt(np.dot(g, g)))
        if norm > self.clip:
            g *= self.clip / norm
        return g

    def _move(self, step: np.ndarray) -> None:
        """value -= lr decay value + step."""
        if self.decay:
            self.params.value *= 1 - self._lr * self.decay
        self.params.value -= step

    # Patterns whose mean `hess` the optimiser wants to `observe` before each epoch; 0 if it needs none.
    curvature_patterns = 0

    def observe(self) -> None:
        """Take the parameters' `hess`, which the trainer has estimated on `curvature_patterns` patterns."""

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of every number (size,), in the order of the flat vector; do not write to it."""
        return np.broadcast_to(self.params.value.dtype.type(self._lr), self.params.value.shape)

    def rates_of_plain_step(self) -> np.ndarray | None:
        """Return r (size,) if `step` is value -= r * grad and nothing else, or None."""
        return None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays that a resumed run needs (not `lr`, which the schedule gives)."""
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state_dict` returned.

        Raises
        ------
        CheckpointError
            If an array is missing, unknown or of another shape.
        """
        own = self._state()
        if own.keys() != state.keys() or any(own[k].shape != np.shape(state[k]) for k in own):
            expected = {k: v.shape for k, v in own.items()}
            found = {k: np.shape(v) for k, v in state.items()}
            raise CheckpointError(f"State of {type(self).__name__}: expected {expected}, found {found}.")
        for name, array in own.items():
            array[...] = state[name]

    def _state(self) -> dict[str, np.ndarray]:
        return {}


def in_range(name: str, value: float, least: float, below: float) -> float:
    """Return `value` if least <= value < below, else raise ConfigError."""
    if not least <= value < below:
        raise ConfigError(f"{name} must be at least {least:g} and below {below:g}; found {value!r}.")
    return value
