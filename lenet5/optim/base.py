"""Base class of optimisers: it owns the state and updates the flat vector of parameters."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict, Unpack

import numpy as np

from ..errors import CheckpointError
from ..parameter import Parameter, ParameterList
from .options import Option, checked, option

__all__ = ["Optimizer", "Penalties"]


class Penalties(TypedDict, total=False):
    """Options that every first-order optimiser has besides its own; SDLM has none of them."""

    l2: float
    l1: float
    decay: float
    clip: float


_PENALTIES = {
    "l2": option(0.0, "L2 penalty", least=0.0, below=1e300),
    "l1": option(0.0, "L1 penalty", least=0.0, below=1e300),
    "decay": option(0.0, "decoupled weight decay, as in AdamW", least=0.0, below=1e300),
    "clip": option(None, "clip the gradient to this norm", least=1e-300, below=1e300, kind=float),
}


class Optimizer:
    """Steps parameters in place, without allocation.

    A subclass declares the options of its constructor in `options`; under a name in `lenet5.optim.OPTIMIZERS` it then
    is a choice of the command line, of configuration files and of the estimator, with these options.

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

    options: ClassVar[Mapping[str, Option]] = {
        "lr": option(1e-3, "initial learning rate, the paper's eta", least=0.0, below=1e300),
        **_PENALTIES,
    }

    def __init__(self, params: Iterable[Parameter], *, lr: float, **penalties: Unpack[Penalties]) -> None:
        self.params = params if isinstance(params, ParameterList) else ParameterList(params)
        self.lr = lr
        if penalties.get("clip") in (None, np.inf):
            penalties.pop("clip", None)
        unknown = sorted(penalties.keys() - self.options.keys())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(unknown)}")
        given: dict[str, Any] = {name: self._option(name, value) for name, value in penalties.items()}
        self.l2, self.l1, self.decay = (given.get(name, 0.0) for name in ("l2", "l1", "decay"))
        self.clip = given.get("clip", np.inf)
        self._step = np.zeros_like(self.params.value)
        changed = self.l2 or self.l1 or self.clip < np.inf
        self._changed = np.zeros_like(self.params.value) if changed else None

    @property
    def lr(self) -> float:
        """Learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = self._option("lr", value)

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
        if self.clip < np.inf:
            g *= self.params.kept  # deleted numbers do not count
            norm = float(np.sqrt(np.dot(g, g)))
            if norm > self.clip:
                g *= self.clip / norm
        return g

    def _move(self, step: np.ndarray) -> None:
        """value -= lr decay value + step; deleted numbers stay 0."""
        if self.decay:
            self.params.value *= 1 - self._lr * self.decay
        self.params.value -= step
        self.params.hold()

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
        """Restore a state that `state_dict` returned.

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

    def _option(self, name: str, value: Any) -> Any:
        """Return the value of an option, checked against the limits that `options` declares."""
        return checked(type(self).__name__, self.options, name, value)

    def _state(self) -> dict[str, np.ndarray]:
        return {}
