"""Classification metrics, such as error, top-k accuracy, cross-entropy, error after rejection, and significance.

Scores (N, classes) must be larger for likelier classes: pass probabilities, or negated penalties.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import check_labels
from ..errors import ConfigError, ShapeError

__all__ = [
    "accuracy",
    "confusion",
    "cross_entropy",
    "error",
    "interval",
    "mcnemar",
    "rejection_curve",
    "rejection_rate",
    "top_k_accuracy",
]


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix: int64 counts of patterns by true class (row) and predicted class (column).

    Parameters
    ----------
    labels, answers : integer ndarray (N,)
    classes : int
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of misclassified patterns; the largest score decides, and ties go to the first class.

    Parameters
    ----------
    scores : ndarray (N, classes)
    labels : integer ndarray (N,)

    Raises
    ------
    ShapeError
        If the labels are not N integers from 0 to classes - 1, or there are no patterns.
    """
    check_labels(scores, labels)
    return float((scores.argmax(axis=1) != labels).mean())


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of correctly classified patterns, 1 - `error`."""
    return 1.0 - error(scores, labels)


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = 3) -> float:
    """Return the fraction of patterns for which fewer than k other classes score at least as high as the true class.

    Parameters
    ----------
    scores, labels
        As for `error`.
    k : int
        From 1 to the number of classes; 1 gives the accuracy unless scores are tied.

    Raises
    ------
    ConfigError
        If k is out of range.
    ShapeError
        As for `error`.
    """
    check_labels(scores, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ConfigError(f"k of top-k accuracy must be from 1 to {scores.shape[1]}, the number of classes; found {k}.")
    own = scores[np.arange(len(labels)), labels]
    return float(((~(scores < own[:, None])).sum(axis=1) <= k).mean())  # unlike >=, this also counts NaN scores


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log(p), where p is the predicted probability of the label, or 1e-30 if it is smaller.

    Raises
    ------
    ShapeError
        As for `error`.
    """
    check_labels(probabilities, labels)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(own, 1e-30)).mean())


def rejection_rate(scores: np.ndarray, labels: np.ndarray, *, target: float = 0.005) -> float:
    """Return the smallest fraction of patterns to reject so that the error on the rest is at most `target`.

    Patterns whose two largest scores are closest are rejected first, as in the paper's Fig. 10.

    Parameters
    ----------
    scores, labels
        As for `error`, with at least two classes.
    target : float
        Maximum error on the remaining patterns (0.005 in the paper).

    Raises
    ------
    ConfigError
        If there is only one class, or the target is negative.
    ShapeError
        As for `error`.
    """
    if not target >= 0:
        raise ConfigError(f"target, the maximum error on the remaining patterns, must be at least 0; found {target!r}.")
    share, remaining = rejection_curve(scores, labels)
    met = remaining <= target
    return float(share[np.argmax(met)]) if met.any() else 1.0


def rejection_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the error on the remaining patterns for every rejection rate.

    Patterns whose two largest scores are closest are rejected first.

    Parameters
    ----------
    scores, labels
        As for `error`, with at least two classes.

    Returns
    -------
    share, error : ndarray (N,)
        Fractions of rejected patterns, from 0 to (N - 1)/N, and the errors on the remaining ones.

    Raises
    ------
    ConfigError
        If there is only one class.
    ShapeError
        As for `error`.
    """
    check_labels(scores, labels)
    if scores.shape[1] < 2:
        raise ConfigError("rejection compares the two largest scores, so at least two classes are needed; found one.")
    n = len(labels)
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    doubtful_first = np.argsort(first - second, kind="stable")
    wrong = (scores.argmax(axis=1) != labels)[doubtful_first]
    left = wrong.sum() - np.concatenate([[0], np.cumsum(wrong)[:-1]])
    return np.arange(n) / n, left / np.arange(n, 0, -1)


def interval(values: ArrayLike, *, level: float = 0.95) -> float:
    """Return the half-width t s / sqrt(n) of the confidence interval of a mean.

    s is the standard deviation of the n values, and t the quantile of Student's t-distribution with n - 1 degrees of
    freedom.

    Parameters
    ----------
    values : array-like (n,)
        Independent values, such as the test errors of runs with several seeds.
    level : float
        Confidence level.

    Returns
    -------
    float
        Half-width h: the interval mean +- h contains the true mean in a fraction `level` of such samples.

    Raises
    ------
    ShapeError
        If there are fewer than two values.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ShapeError(f"interval needs a vector of at least two values; found shape {values.shape}.")
    from scipy import stats  # SciPy is installed as a dependency of scikit-learn

    return float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def mcnemar(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> float:
    """Return the p-value of McNemar's exact test for two classifiers on the same patterns.

    The null hypothesis is that, if only one of the two classifies a pattern correctly, each of them is equally likely
    to be the correct one. A difference between two errors on the same test set, such as 0.95 % and 1.05 %, is
    significant only if the p-value is small.

    Parameters
    ----------
    one, other, labels : integer ndarray (N,)
        Predicted classes of the two classifiers, and true classes.

    Raises
    ------
    ShapeError
        If the lengths differ.
    """
    if not one.shape == other.shape == labels.shape or labels.ndim != 1:
        raise ShapeError(
            f"Predictions and labels must be vectors of equal length; found {one.shape}, {other.shape}, {labels.shape}."
        )
    right, also = one == labels, other == labels
    fewer, more = sorted((int((right & ~also).sum()), int((also & ~right).sum())))
    tail = sum(math.comb(fewer + more, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2 ** (fewer + more))
