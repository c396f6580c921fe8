"""Metrics: error, accuracy, top-k accuracy, cross-entropy, and error after rejection.

Scores are (N, classes), larger for likelier classes: probabilities, or penalties with the sign changed.
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
    """Return how often each class (row) got each answer (column): int64 (classes, classes).

    Parameters
    ----------
    labels, answers : integer ndarray (N,)
    classes : int
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of patterns whose largest score is not at their label; the first of equals counts.

    Parameters
    ----------
    scores : ndarray (N, classes)
    labels : integer ndarray (N,)

    Raises
    ------
    ShapeError
        If the labels do not fit the scores.
    """
    check_labels(scores, labels)
    return float((scores.argmax(axis=1) != labels).mean())


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return 1 - `error`."""
    return 1.0 - error(scores, labels)


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = 3) -> float:
    """Return the share of patterns with fewer than k other classes that do not score below their label.

    Parameters
    ----------
    scores, labels
        As for `error`.
    k : int
        From 1, which gives the accuracy unless scores are equal, to the number of classes.

    Raises
    ------
    ConfigError
        If there is no such k.
    ShapeError
        As for `error`.
    """
    check_labels(scores, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ConfigError(f"k of top-k accuracy is 1 to {scores.shape[1]}, the number of classes; found {k}.")
    own = scores[np.arange(len(labels)), labels]
    return float(((~(scores < own[:, None])).sum(axis=1) <= k).mean())  # what is not a number never counts as lower


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log of the probability (N, classes) of the label, none taken as smaller than 1e-30.

    Raises
    ------
    ShapeError
        As for `error`.
    """
    check_labels(probabilities, labels)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(own, 1e-30)).mean())


def rejection_rate(scores: np.ndarray, labels: np.ndarray, *, target: float = 0.005) -> float:
    """Return the smallest share of patterns to reject so that of those left at most `target` are answered wrongly.

    The paper's Fig. 10: rejected are those whose two largest scores lie closest together.

    Parameters
    ----------
    scores, labels
        As for `error`; of at least two classes.
    target : float
        The paper's 0.5 %.

    Raises
    ------
    ConfigError
        If there is one class only, or the target is negative.
    ShapeError
        As for `error`.
    """
    if not target >= 0:
        raise ConfigError(f"the target of rejection is at least 0; found {target!r}.")
    share, remaining = rejection_curve(scores, labels)
    met = remaining <= target
    return float(share[np.argmax(met)]) if met.any() else 1.0


def rejection_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reject more and more patterns, those whose two largest scores lie closest together first.

    Parameters
    ----------
    scores, labels
        As for `error`; of at least two classes.

    Returns
    -------
    share, error : ndarray (N,)
        The share that is rejected, 0 to (N - 1)/N, and the error among those left.

    Raises
    ------
    ConfigError
        If there is one class only.
    ShapeError
        As for `error`.
    """
    check_labels(scores, labels)
    if scores.shape[1] < 2:
        raise ConfigError("rejection compares the two best classes; there is one.")
    n = len(labels)
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    doubtful_first = np.argsort(first - second, kind="stable")
    wrong = (scores.argmax(axis=1) != labels)[doubtful_first]
    left = wrong.sum() - np.concatenate([[0], np.cumsum(wrong)[:-1]])
    return np.arange(n) / n, left / np.arange(n, 0, -1)


def interval(values: ArrayLike, *, level: float = 0.95) -> float:
    """Return the half-width of the confidence interval of a mean: t s / sqrt(n), by Student's t of n - 1.

    Parameters
    ----------
    values : array-like (n,)
        Independent figures, such as the test errors of runs with several seeds.
    level : float
        Of confidence.

    Returns
    -------
    float
        The true mean lies within mean +- this, in that share of such samples.

    Raises
    ------
    ShapeError
        If there are fewer than two values.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ShapeError(f"interval needs two values or more, (n,); found shape {values.shape}.")
    from scipy import stats  # which scikit-learn brings

    return float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def mcnemar(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> float:
    """Return the probability of two answers to the same patterns differing so much, or more, by chance.

    McNemar's exact test: of the n patterns that just one of the two answers rightly, each is as likely to be
    either's. Two errors on one test set, such as 0.95 % and 1.05 %, say little until this is small.

    Parameters
    ----------
    one, other, labels : integer ndarray (N,)
        Predicted classes, and the true ones.

    Raises
    ------
    ShapeError
        If they differ in length.
    """
    if not one.shape == other.shape == labels.shape or labels.ndim != 1:
        raise ShapeError(
            f"Two answers and labels are vectors of one length; found {one.shape}, {other.shape}, {labels.shape}."
        )
    right, also = one == labels, other == labels
    fewer, more = sorted((int((right & ~also).sum()), int((also & ~right).sum())))
    tail = sum(math.comb(fewer + more, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2 ** (fewer + more))
