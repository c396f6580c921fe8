"""Classifiers that store the training set: Euclidean nearest neighbours, and local learning.

scikit-learn finds the nearest neighbours of an image. They vote, or a classifier for this image is
trained on them.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..analysis import metrics
from ..datasets.base import Dataset
from ..network import Sequential

__all__ = ["MEMORIES", "KNearest", "LocalLinear", "Memory", "features", "votes"]

_CHUNK = 250
Floats = NDArray[np.floating[Any]]


def votes(distances: Floats, labels: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return scores (N, classes): sums of the inverse distances of the neighbours of each class.

    The scores are not normalised, so the two best scores of an image far from all its neighbours are close together,
    and such an image is among the first that `metrics.rejection_rate` rejects.

    Parameters
    ----------
    distances : ndarray (N, K)
        Distances of the K neighbours of each image.
    labels : integer ndarray (N, K)
        Labels of these neighbours, from 0 to classes - 1.
    classes : int
        Number of classes.
    """
    scores, rows = np.zeros((len(labels), classes)), np.arange(len(labels))
    for k in range(labels.shape[1]):
        scores[rows, labels[:, k]] += 1 / np.maximum(distances[:, k], 1e-9)
    return scores


class Memory:
    """Base class of classifiers that store the training set; subclasses compute scores from nearest neighbours."""

    def __init__(self, neighbours: int) -> None:
        self.neighbours = neighbours

    def fit(self, images: Floats, labels: NDArray[Any]) -> Self:
        """Store vectors (N, D) and their labels (N,)."""
        from sklearn.neighbors import NearestNeighbors

        self.known, self.labels, self.classes = images, labels, int(labels.max()) + 1
        self._finder = NearestNeighbors(n_neighbors=min(self.neighbours, len(images)), algorithm="brute").fit(images)
        return self

    def decision_function(self, images: Floats) -> NDArray[np.float64]:
        """Return scores (N, classes) for vectors (N, D)."""
        parts = []
        for start in range(0, len(images), _CHUNK):
            chunk = images[start : start + _CHUNK]
            parts.append(self._scores(chunk, *self._finder.kneighbors(chunk)))
        return np.concatenate(parts)

    def predict(self, images: Floats) -> NDArray[np.int64]:
        """Return the class (N,) with the largest score for each vector."""
        return self.decision_function(images).argmax(axis=1)

    def _scores(self, images: Floats, distances: Floats, places: NDArray[np.int64]) -> NDArray[np.float64]:
        raise NotImplementedError

    def __repr__(self) -> str:
        own = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in own.items())})"


class KNearest(Memory):
    """Classifier in which the K nearest neighbours vote, weighted by 1 / distance."""

    def _scores(self, images: Floats, distances: Floats, places: NDArray[np.int64]) -> NDArray[np.float64]:
        return votes(distances, self.labels[places], self.classes)


class LocalLinear(Memory):
    """Local learning: for each image, a linear classifier trained only on its neighbours (Bottou and Vapnik 1992).

    Let z_k be the neighbours minus the image, and t_k their targets of ±1. The classifier minimises
    sum_k |b + W z_k - t_k|^2 + decay |W|^2. The score of a class is b, the output for the image itself. With
    a = (Z Z^T + decay I)^-1 1, b = sum_k a_k t_k / sum_k a_k, so W is not computed.

    Parameters
    ----------
    neighbours : int
        Number of neighbours, K.
    decay : float
        Weight decay, in units of the neighbours' mean squared distance. For large values, all neighbours count equally.
    """

    def __init__(self, neighbours: int, decay: float) -> None:
        super().__init__(neighbours)
        self.decay = decay

    def _scores(self, images: Floats, distances: Floats, places: NDArray[np.int64]) -> NDArray[np.float64]:
        z = self.known[places].astype(np.float64) - images[:, None]
        gram = z @ z.swapaxes(1, 2)
        k = np.arange(places.shape[1])
        gram[:, k, k] += self.decay * np.maximum(np.square(distances).mean(axis=1), 1e-12)[:, None]
        a = np.linalg.solve(gram, np.ones((*places.shape, 1)))
        targets = 2.0 * (self.labels[places][..., None] == np.arange(self.classes)) - 1
        return (a * targets).sum(axis=1) / a.sum(axis=1)


def features(net: Sequential, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the outputs (N, D) of the last stage before a network's output layer."""
    parts = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        maps = list(net.feature_maps(chunk).values())
        parts.append(maps[-2].reshape(len(chunk), -1))
    return np.concatenate(parts)


def _in_place_of_outputs(name: str, make: Callable[[], Memory]) -> Callable[..., dict[str, float]]:
    """Return a function that evaluates a network with a classifier from `make` in place of its output layer."""

    def measure(net: Sequential, train: Dataset, test: Dataset) -> dict[str, float]:
        train, test = net.relabelled(train), net.relabelled(test)
        memory = make().fit(features(net, train.images), train.labels)
        scores = memory.decision_function(features(net, test.images))
        return {
            f"{name}_error": metrics.error(scores, test.labels),
            f"{name}_rejected": metrics.rejection_rate(scores, test.labels),
        }

    return measure


# The numbers of neighbours and the decay were chosen on 10,000 held-out training images.
MEMORIES: dict[str, Callable[[Sequential, Dataset, Dataset], dict[str, float]]] = {
    "nearest": _in_place_of_outputs("nearest", lambda: KNearest(5)),
    "local": _in_place_of_outputs("local", lambda: LocalLinear(150, 1.0)),
}
