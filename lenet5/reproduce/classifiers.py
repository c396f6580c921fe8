"""Classifiers of the paper's Fig. 9 other than single networks, from scikit-learn and from this package.

All accept flattened images of 784 pixels, scaled to [0, 1].
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .boosting import Boosted
from .neighbours import KNearest
from .tangents import TangentNearest

__all__ = ["CLASSIFIERS", "SupportVectors", "jittered"]


def linear(seed: int, n: int) -> Any:
    """Return a classifier of ten linear units, trained by least squares."""
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=1.0)


def pairwise_linear(seed: int, n: int) -> Any:
    """Return a classifier of 45 linear units that vote, one for each pair of classes."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.multiclass import OneVsOneClassifier

    return OneVsOneClassifier(RidgeClassifier(alpha=1.0))


def k_nearest(seed: int, n: int) -> Any:
    """Return a classifier in which the 3 nearest neighbours by Euclidean distance vote, weighted by 1 / distance."""
    return KNearest(3)


def tangent_distance(seed: int, n: int) -> Any:
    """Return a classifier that finds the nearest by tangent distance among the 500 nearest by Euclidean distance."""
    return TangentNearest(500, sigma=0.9)


def pca_quadratic(seed: int, n: int) -> Any:
    """Return a classifier of ten linear units on 40 principal components and their pairwise products."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    pca = PCA(40, svd_solver="covariance_eigh")
    return make_pipeline(pca, PolynomialFeatures(2), RidgeClassifier(alpha=1.0))


def rbf_network(seed: int, n: int) -> Any:
    """Return a classifier of ten linear units on Gaussian features around min(1000, n // 2) k-means centres."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    centres = MiniBatchKMeans(min(1000, n // 2), random_state=seed, batch_size=4096, n_init=1, max_iter=20)
    # k-means returns distances to the centres; the width of the Gaussians, 5, is about half of them.
    return make_pipeline(centres, FunctionTransformer(_gaussian), RidgeClassifier(alpha=0.01))


def _gaussian(distances: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(distances / 5.0, dtype=np.float32))


def svm_poly_4(seed: int, n: int) -> Any:
    """Return a support vector machine with a polynomial kernel of degree 4."""
    return SupportVectors(4, 0.0)


def virtual_svm(seed: int, n: int) -> Any:
    """Return a polynomial SVM of degree 9, retrained on its support vectors and shifted copies of them."""
    return SupportVectors(9, 1.0, virtual=True)


def jittered(images: NDArray[Any]) -> NDArray[Any]:
    """Return square images (N, H*W), followed by copies shifted by one pixel up, down, left and right.

    Pixels shifted in at the border are 0.
    """
    side = int(np.sqrt(images.shape[1]))
    padded = np.pad(images.reshape(-1, side, side), [(0, 0), (1, 1), (1, 1)])
    corners = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    moved = [padded[:, top : top + side, left : left + side] for top, left in corners]
    return np.concatenate(moved).reshape(-1, side * side)


class SupportVectors:
    """Support vector machine on images scaled to unit norm, with the kernel ((x.y + offset) / (1 + offset))^degree.

    Parameters
    ----------
    degree : int
        Degree of the kernel.
    offset : float
        Offset of the kernel.
    c : float
        Penalty C of the slack variables.
    virtual : bool
        Whether to retrain on the support vectors and copies shifted by a pixel (Schoelkopf, Burges and Vapnik 1996).

    Attributes
    ----------
    counts : tuple of int
        Number of support vectors after each round of training.
    """

    def __init__(self, degree: int, offset: float, c: float = 2.0, *, virtual: bool = False) -> None:
        self.degree, self.offset, self.c, self.virtual = degree, offset, c, virtual
        self.counts: tuple[int, ...] = ()

    def fit(self, images: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Train on flattened images (N, H*W), which must be square if `virtual` is true."""
        kept = self._train(images, labels)
        if self.virtual:
            self._train(jittered(images[kept]), np.tile(labels[kept], 5))
        return self

    def _train(self, images: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.integer]:
        """Train once and return the indices of the support vectors."""
        from sklearn.preprocessing import normalize
        from sklearn.svm import SVC

        gamma = 1 / (1 + self.offset)
        self.machine = SVC(
            kernel="poly", degree=self.degree, gamma=gamma, coef0=gamma * self.offset, C=self.c, cache_size=1500,
            decision_function_shape="ovo",
        ).fit(normalize(images), labels)  # fmt: skip
        self.counts = (*self.counts, len(self.machine.support_))
        return self.machine.support_

    def decision_function(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Return scores (N, classes) from the margins of the class with the most votes over the other classes.

        The score of this class is 0; the score of any other class is minus the margin over it. The votes themselves
        are a poor measure of confidence: the two best classes usually receive nine and eight votes.
        """
        from sklearn.preprocessing import normalize

        pairs = self.machine.decision_function(normalize(images))
        classes = len(self.machine.classes_)
        margins = np.zeros((len(images), classes, classes))
        first, second = np.triu_indices(classes, 1)
        margins[:, first, second], margins[:, second, first] = pairs, -pairs
        return -margins[np.arange(len(images)), (margins > 0).sum(axis=2).argmax(axis=1)]

    def predict(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the class (N,) with the largest score for each image."""
        return self.machine.classes_[self.decision_function(images).argmax(axis=1)]

    def __repr__(self) -> str:
        options = f"degree={self.degree}, offset={self.offset}, c={self.c}, virtual={self.virtual}"
        return f"SupportVectors({options}; support vectors {self.counts})"


def boosted(seed: int, n: int) -> Any:
    """Return a classifier of three boosted LeNet-4 networks whose outputs are added."""
    return Boosted(seed, count=n // 2, epochs=12)


CLASSIFIERS: dict[str, Callable[[int, int], Any]] = {
    "linear": linear,
    "pairwise-linear": pairwise_linear,
    "k-nearest": k_nearest,
    "tangent-distance": tangent_distance,
    "pca-quadratic": pca_quadratic,
    "rbf-network": rbf_network,
    "svm-poly-4": svm_poly_4,
    "virtual-svm": virtual_svm,
    "boosted-lenet4": boosted,
}
