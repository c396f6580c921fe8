"""Base class of optimisers, which hold state and update the flat vector of parameters."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict, Unpack

import numpy as np

from ..errors import CheckpointError
from ..parameter import Parameter, ParameterList
from .options import Option, checked, option

__all__ = ["Optimizer", "Penalties"]


class Penalties(TypedDict, total=False):
    """Options that all first-order optimisers share; SDLM has none of them."""

    l2: float
    l1: float
    decay: float
    clip: float


_PENALTIES = {
    "l2": option(0.0, "L2 penalty", least=0.0, below=1e300),
    "l1": option(0.0, "L1 penalty", least=0.0, below=1e300),
    "decay": option(0.0, "decoupled weight decay, as in AdamW", least=0.0, below=1e300),
    "clip": option(None, "maximum norm of the gradient", least=1e-300, below=1e300, kind=float),
}


class Optimizer:
    """Base class of optimisers, which update parameters in place without allocating memory.

    A subclass declares its constructor's options in `options`. If it is registered under a name in
    `lenet5.optim.OPTIMIZERS`, the command line, configuration files and the estimator offer it with these options.

    Parameters
    ----------
    params : ParameterList or iterable of Parameter
        Parameters to update, for example ``net.parameters()``.
    lr : float
        Positive learning rate eta. It can be changed between steps, for example by a schedule.
    l2, l1 : float
        Penalties on all parameters, biases included: the gradient of l2/2 |value|^2 + l1 |value| is added to `grad`.
    decay : float
        Decoupled weight decay (Loshchilov and Hutter 2019): value -= lr decay value, independent of the gradient.
    clip : float
        Positive maximum norm of the gradient including penalties; larger gradients are scaled down. Default: no limit.

    Raises
    ------
    ConfigError
        If an option is out of range.
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
        """Update every parameter from its gradient."""
        raise NotImplementedError

    def _gradient(self) -> np.ndarray:
        """Return the gradient with penalties, grad + l1 sign(value) + l2 value, clipped; `grad` is not modified."""
        g = self._changed
        if g is None:
            return self.params.grad
        np.sign(self.params.value, out=g)
        g *= self.l1
        g += self.params.grad
        g += np.multiply(self.params.value, self.l2, out=self._step)
        if self.clip < np.inf:
            g *= self.params.kept  # pruned parameters do not count towards the norm
            norm = float(np.sqrt(np.dot(g, g)))
            if norm > self.clip:
                g *= self.clip / norm
        return g

    def _move(self, step: np.ndarray) -> None:
        """Apply weight decay and `step`: value -= lr decay value + step. Pruned values stay 0."""
        if self.decay:
            self.params.value *= 1 - self._lr * self.decay
        self.params.value -= step
        self.params.hold()

    # Number of patterns on which the trainer estimates `hess` for `observe` before each epoch; 0 for none.
    curvature_patterns = 0

    def observe(self) -> None:
        """Update the state from the parameters' `hess`, which the trainer computes on `curvature_patterns` patterns."""

    @property
    def rates(self) -> np.ndarray:
        """Learning rate of every parameter (size,), in the order of the flat parameter vector; read-only."""
        return np.broadcast_to(self.params.value.dtype.type(self._lr), self.params.value.shape)

    def rates_of_plain_step(self) -> np.ndarray | None:
        """Return the learning rates r (size,) if `step` is exactly value -= r * grad, else None."""
        return None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays that a resumed run needs, except `lr`, which the schedule sets."""
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restore a state returned by `state_dict`.

        Raises
        ------
        CheckpointError
            If an array is missing or unknown, or has another shape.
        """
        own = self._state()
        if own.keys() != state.keys() or any(own[k].shape != np.shape(state[k]) for k in own):
            expected = {k: v.shape for k, v in own.items()}
            found = {k: np.shape(v) for k, v in state.items()}
            raise CheckpointError(f"State of {type(self).__name__}: expected array shapes {expected}; found {found}.")
        for name, array in own.items():
            array[...] = state[name]

    def _option(self, name: str, value: Any) -> Any:
        """Return the value of an option, checked against its limits in `options`."""
        return checked(type(self).__name__, self.options, name, value)

    def _state(self) -> dict[str, np.ndarray]:
        return {}
