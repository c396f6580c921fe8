"""Validate the input of the classifier as scikit-learn does, and convert it to rows of pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..datasets.rows import image_shape, rows_of
from ..errors import ConfigError, LenetWarning

__all__ = ["Inputs", "value_errors"]


class Inputs(BaseEstimator):
    """Base class of the classifier; validates X, y and weights."""

    class_weight: Any
    image_shape_: tuple[int, ...]
    n_features_in_: int
    range_: tuple[float, float]

    def _checked(self, X: Any, *y: Any, reset: bool) -> Any:
        """Return X as validated rows (n, pixels), and y (n,) if given; if `reset`, store the shape of the images."""
        X = np.asarray(X) if isinstance(X, list | tuple) else X
        shape = getattr(X, "shape", ())[1:]
        if len(shape) > 1:
            X = rows_of(np.asarray(X))
        try:
            checked = validate_data(self, X, *y, reset=reset)
        except OverflowError as error:
            raise ValueError(f"X contains an integer that is too large for a float: {error}.") from error
        if reset or len(shape) > 1:
            found = image_shape(shape if len(shape) > 1 else (self.n_features_in_,))
            if reset:
                self.image_shape_ = found
            elif found != self.image_shape_:
                raise ValueError(f"X: expected images of shape {self.image_shape_}, as in training; found {found}.")
        if not reset and not y:
            self._look(checked)
        return checked

    def _look(self, rows: np.ndarray) -> None:
        """Warn if the range of the pixels differs greatly from that of the training set."""
        low, high = self.range_
        least, most = (float(v) for v in np.quantile(rows[:64], (0, 0.995)))  # ignore a few outliers
        span = high - low
        if span and most > least and (most - low < 0.02 * span or most - low > 20 * span):
            warnings.warn(
                f"The network was fitted on pixels from {low:g} to {high:g}, but these are from {least:g} to {most:g}: "
                "scale them like the training set.",
                LenetWarning,
                stacklevel=4,
            )

    def _weights(self, rows: np.ndarray, labels: np.ndarray, given: ArrayLike | None) -> np.ndarray | None:
        """Return the weight of each pattern, or None if all weights are equal."""
        if given is None and self.class_weight is None:
            return None
        weights = _check_sample_weight(given, rows, dtype=np.float64, ensure_non_negative=True)
        weights = weights * compute_sample_weight(self.class_weight, labels)
        if not weights.any():
            raise ValueError("sample_weight and class_weight exclude all samples: every weight is 0.")
        return weights


@contextmanager
def value_errors() -> Iterator[None]:
    """Convert the library's ConfigError to ValueError, which scikit-learn's users expect."""
    try:
        yield
    except ConfigError as error:
        raise ValueError(str(error)) from error
