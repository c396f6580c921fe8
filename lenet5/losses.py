"""Training criteria: eq. 8, eq. 9, softmax cross-entropy and squared error.

Every loss has `forward(y, labels)` -> mean loss, `backward()` -> dE/dy, `bbprop()` -> the
diagonal of d2E/dy2, and `predict(y)` -> labels. The losses include the factor 1/N of the mean; layers do not apply it.
"""

from typing import Any

import numpy as np

from .arrays import check_labels
from .engine import call as eng
from .engine.jit import loss_function
from .engine.row import Criterion
from .errors import ConfigError, ShapeError

__all__ = ["MAP", "MLE", "Loss", "SoftmaxCrossEntropy", "SquaredError"]


class Loss:
    """Base class of losses, which are computed from penalties or scores y (N, classes).

    Parameters
    ----------
    scale : float
        Factor that multiplies the whole loss. With SDLM, a factor of 1/2 is equivalent to doubling mu.

    Raises
    ------
    ConfigError
        If `scale` is not positive and finite.
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        if not 0 < scale < np.inf:
            raise ConfigError(f"scale of a loss must be positive and finite; found {scale!r}.")
        self.scale = float(scale)

    def forward(self, y: np.ndarray, labels: np.ndarray) -> float:
        """Return the mean loss of a batch.

        Parameters
        ----------
        y : ndarray (N, classes)
            Penalties (eqs. 8 and 9) or scores (softmax).
        labels : integer ndarray (N,)

        Raises
        ------
        ShapeError
            If y is not (N, classes), or the labels are not N integers from 0 to classes - 1.
        """
        check_labels(y, labels)
        self._y, self._labels = y, labels
        self._at_label = (np.arange(len(y)), labels)
        self._factor = self.scale / len(y)
        return float(self._forward(y)) * self._factor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in ("_y", "_off", "_share", "_factor", "_at_label"):
            raise AttributeError(name)
        raise ShapeError(f"{type(self).__name__}: call forward() first, then backward() or bbprop().")

    def _forward(self, y: np.ndarray) -> float:
        raise NotImplementedError

    def backward(self) -> np.ndarray:
        """Return dE/dy (N, classes) for the last `forward`."""
        raise NotImplementedError

    def bbprop(self) -> np.ndarray:
        """Return the diagonal of d2E/dy2 (N, classes) for the last `forward`."""
        raise NotImplementedError

    @staticmethod
    def predict(y: np.ndarray) -> np.ndarray:
        """Return the class with the smallest penalty for each pattern (N,); ties go to the first class."""
        return y.argmin(axis=1)

    def compiled(self) -> Criterion | None:
        """Return the compiled version of the loss's methods, or None if it has none."""
        return None


class MLE(Loss):
    """Eq. 8 (maximum likelihood): E = mean of y_D, the penalty of the correct class D."""

    def _forward(self, y: np.ndarray) -> float:
        return y[self._at_label].sum()

    def backward(self) -> np.ndarray:
        """Return 1/N for the correct class and 0 for the others."""
        dy = np.zeros_like(self._y)
        dy[self._at_label] = self._factor
        return dy

    def bbprop(self) -> np.ndarray:
        """Return zeros, because the loss is linear in y."""
        return np.zeros_like(self._y)

    def compiled(self) -> Criterion | None:
        """Return the compiled version of the loss, which processes one pattern."""
        return Criterion(_mle, _mle_curvature, largest=False)


@loss_function
def _mle(call):  # type: ignore[no-untyped-def]
    for i in range(call.classes):
        call.v[i] = 0
    call.v[call.label] = call.factor
    return call.factor * call.y[call.label]


@loss_function
def _mle_curvature(call):  # type: ignore[no-untyped-def]
    for i in range(call.classes):
        call.v[i] = 0
    return call.factor


class MAP(Loss):
    """Eq. 9 (maximum a posteriori): E = mean of y_D + log(exp(-j) + sum_i exp(-y_i)).

    Minimising E lowers the penalty of the correct class and raises the other penalties. A rubbish class with the
    constant penalty j limits how far they are raised.

    Parameters
    ----------
    j : float
        Positive penalty of the rubbish class. The paper gives no value; validation errors at 0.1 and 1 were equal.

    Raises
    ------
    ConfigError
        If `j` is not positive and finite.
    """

    def __init__(self, j: float = 0.1, *, scale: float = 1.0) -> None:
        super().__init__(scale=scale)
        if not 0 < j < np.inf:
            raise ConfigError(f"j of eq. 9 must be positive and finite; found {j!r}.")
        self.j = float(j)

    def _forward(self, y: np.ndarray) -> float:
        # Subtract the smallest penalty m, so that the sum is between 1 and classes + 1.
        m = np.minimum(y.min(axis=1, keepdims=True), self.j)
        share = np.exp(m - y)
        total = share.sum(axis=1, keepdims=True) + np.exp(m - self.j)
        share /= total
        self._share = share
        return y[self._at_label].sum() + (np.log(total) - m).sum()

    def backward(self) -> np.ndarray:
        """Return ([i = D] - p_i)/N, where p_i is exp(-y_i) divided by the sum in eq. 9."""
        dy = self._share * -self._factor
        dy[self._at_label] += self._factor
        return dy

    def bbprop(self) -> np.ndarray:
        """Return p_i (1 - p_i)/N."""
        return self._share * (1.0 - self._share) * self._factor

    def compiled(self) -> Criterion | None:
        """Return the compiled version of the loss, which processes one pattern."""
        return Criterion(_map, _map_curvature, largest=False, numbers=(self.j,))


@loss_function
def _map(call):  # type: ignore[no-untyped-def]
    y, v, j = call.y, call.v, call.numbers[0]
    low = j  # subtracting the smallest penalty keeps the sum at least 1
    for i in range(call.classes):
        low = min(low, y[i])
    total = np.exp(low - j)
    for i in range(call.classes):
        v[i] = np.exp(low - y[i])
        total += v[i]
    scale = -call.factor / total
    for i in range(call.classes):
        v[i] *= scale
    v[call.label] += call.factor
    return call.factor * (y[call.label] - low + np.log(total))


@loss_function
def _map_curvature(call):  # type: ignore[no-untyped-def]
    for i in range(call.classes):
        share = abs(call.v[i]) / call.factor  # p_i, or 1 - p_i for the label: the product p_i (1 - p_i) is the same
        call.v[i] = call.factor * share * (eng.cast(1, call.v) - share)
    return call.factor


class _Scores(Loss):
    """Base class of losses that are computed from scores; the class with the largest score wins."""

    @staticmethod
    def predict(y: np.ndarray) -> np.ndarray:
        """Return the class with the largest score for each pattern (N,); ties go to the first class."""
        return y.argmax(axis=1)


class SoftmaxCrossEntropy(_Scores):
    """E = mean of -sum_i q_i log softmax(y)_i, with q_D = 1 - s + s/C for the label D, and q_i = s/C otherwise.

    Parameters
    ----------
    smoothing : float
        Label smoothing s (Szegedy et al. 2016): fraction of the target distributed evenly over all C classes.

    Raises
    ------
    ConfigError
        If `smoothing` is negative, or is 1 or more.
    """

    def __init__(self, smoothing: float = 0.0, *, scale: float = 1.0) -> None:
        super().__init__(scale=scale)
        if not 0 <= smoothing < 1:
            raise ConfigError(f"label smoothing must be at least 0 and below 1; found {smoothing!r}.")
        self.smoothing = float(smoothing)

    def _forward(self, y: np.ndarray) -> float:
        shifted = y - y.max(axis=1, keepdims=True)
        share = np.exp(shifted)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        self._share = share
        target = (1 - self.smoothing) * shifted[self._at_label] + self.smoothing * shifted.mean(axis=1)
        return (np.log(total[:, 0]) - target).sum()

    def backward(self) -> np.ndarray:
        """Return (p_i - q_i)/N."""
        dy = (self._share - self.smoothing / self._share.shape[1]) * self._factor
        dy[self._at_label] -= self._factor * (1 - self.smoothing)
        return dy

    def bbprop(self) -> np.ndarray:
        """Return p_i (1 - p_i)/N."""
        return self._share * (1.0 - self._share) * self._factor

    def compiled(self) -> Criterion | None:
        """Return the compiled version of the loss, which processes one pattern."""
        return Criterion(_cross_entropy, _cross_entropy_curvature, largest=True, numbers=(self.smoothing,))


@loss_function
def _cross_entropy(call):  # type: ignore[no-untyped-def]
    y, v, label, factor, smoothing = call.y, call.v, call.label, call.factor, call.numbers[0]
    high = y[0]
    for i in range(call.classes):
        high = max(high, y[i])
    total = eng.zero(y)
    for i in range(call.classes):
        v[i] = np.exp(y[i] - high)
        total += v[i]
    scale = factor / total
    for i in range(call.classes):
        v[i] *= scale
    v[label] -= factor
    right = -y[label]
    if smoothing > 0:
        each, all_scores = smoothing / eng.cast(call.classes, y), eng.zero(y)
        for i in range(call.classes):
            v[i] -= factor * each
            all_scores -= y[i]
        v[label] += factor * smoothing
        right += each * all_scores - smoothing * right
    return factor * (right + high + np.log(total))


@loss_function
def _cross_entropy_curvature(call):  # type: ignore[no-untyped-def]
    v, smoothing = call.v, call.numbers[0]
    for i in range(call.classes):
        share = v[i] / call.factor + smoothing / eng.cast(call.classes, v)
        if i == call.label:
            share += eng.cast(1, v) - smoothing
        v[i] = call.factor * share * (eng.cast(1, v) - share)
    return call.factor


class SquaredError(_Scores):
    """E = mean of 1/2 sum_i (y_i - t_i)^2, with target 1 for the correct class and -1 for the others.

    Section II.B of the paper advises against this "place code", because every unit must be off most of the time.
    """

    def _forward(self, y: np.ndarray) -> float:
        self._off = y + 1
        self._off[self._at_label] -= 2
        return 0.5 * np.square(self._off, dtype=np.float64).sum()

    def backward(self) -> np.ndarray:
        """Return (y_i - t_i)/N."""
        return self._off * self._factor

    def bbprop(self) -> np.ndarray:
        """Return 1/N for every output."""
        return np.full_like(self._off, self._factor)

    def compiled(self) -> Criterion | None:
        """Return the compiled version of the loss, which processes one pattern."""
        return Criterion(_squared, _squared_curvature, largest=True)


@loss_function
def _squared(call):  # type: ignore[no-untyped-def]
    total = eng.zero(call.y)
    for i in range(call.classes):
        off = call.y[i] + eng.cast(-1 if i == call.label else 1, call.y)
        call.v[i] = call.factor * off
        total += off * off
    return call.factor * total / eng.cast(2, call.y)


@loss_function
def _squared_curvature(call):  # type: ignore[no-untyped-def]
    for i in range(call.classes):
        call.v[i] = call.factor
    return call.factor
