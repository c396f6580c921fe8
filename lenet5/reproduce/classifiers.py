"""The paper's other classifiers (Fig. 9): scikit-learn's, and those of the modules beside this one.

All take flat images of 784 grey levels between 0 and 1.
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
    """Ten linear units, least squares."""
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=1.0)


def pairwise_linear(seed: int, n: int) -> Any:
    """A linear unit for each of the 45 pairs of classes; they vote."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.multiclass import OneVsOneClassifier

    return OneVsOneClassifier(RidgeClassifier(alpha=1.0))


def k_nearest(seed: int, n: int) -> Any:
    """Three nearest neighbours, Euclidean; each votes with the inverse of its distance."""
    return KNearest(3)


def tangent_distance(seed: int, n: int) -> Any:
    """The nearest neighbour by tangent distance, among those that are nearest by Euclidean distance."""
    return TangentNearest(500, sigma=0.9)


def pca_quadratic(seed: int, n: int) -> Any:
    """Forty principal components, their products of two, and ten linear units."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    pca = PCA(40, svd_solver="covariance_eigh")
    return make_pipeline(pca, PolynomialFeatures(2), RidgeClassifier(alpha=1.0))


def rbf_network(seed: int, n: int) -> Any:
    """A thousand radial basis functions (or half as many as images) around centres of k-means, and ten linear units."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    centres = MiniBatchKMeans(min(1000, n // 2), random_state=seed, batch_size=4096, n_init=1, max_iter=20)
    # k-means turns images into distances; a Gaussian of half their typical size follows.
    return make_pipeline(centres, FunctionTransformer(_gaussian), RidgeClassifier(alpha=0.01))


def _gaussian(distances: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(distances / 5.0, dtype=np.float32))


def svm_poly_4(seed: int, n: int) -> Any:
    """A support vector machine with a polynomial kernel of degree 4."""
    return SupportVectors(4, 0.0)


def virtual_svm(seed: int, n: int) -> Any:
    """A support vector machine of degree 9, trained again on its support vectors and their shifts."""
    return SupportVectors(9, 1.0, virtual=True)


def jittered(images: NDArray[Any]) -> NDArray[Any]:
    """Return images (N, H*W), which are square, and behind them their moves by a pixel up, down, left and right.

    What enters at the border is 0.
    """
    side = int(np.sqrt(images.shape[1]))
    padded = np.pad(images.reshape(-1, side, side), [(0, 0), (1, 1), (1, 1)])
    corners = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    moved = [padded[:, top : top + side, left : left + side] for top, left in corners]
    return np.concatenate(moved).reshape(-1, side * side)


class SupportVectors:
    """A support vector machine on images of length 1, with the kernel ((x.y + offset) / (1 + offset))^degree.

    Parameters
    ----------
    degree : int
    offset : float
    c : float
        Penalty of a unit of slack.
    virtual : bool
        Train again on the support vectors and their moves by a pixel (Schoelkopf, Burges and Vapnik 1996).

    Attributes
    ----------
    counts : tuple of int
        Support vectors of each training.
    """

    def __init__(self, degree: int, offset: float, c: float = 2.0, *, virtual: bool = False) -> None:
        self.degree, self.offset, self.c, self.virtual = degree, offset, c, virtual
        self.counts: tuple[int, ...] = ()

    def fit(self, images: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Train on rows (N, H*W), for `virtual` of square images."""
        kept = self._train(images, labels)
        if self.virtual:
            self._train(jittered(images[kept]), np.tile(labels[kept], 5))
        return self

    def _train(self, images: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.integer]:
        """Train once; return the places of the support vectors."""
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
        """Return scores (N, classes): 0 for the class that wins most of its pairs, minus its margin over each other.

        The votes themselves hardly measure doubt: the best two classes mostly win nine and eight pairs.
        """
        from sklearn.preprocessing import normalize

        pairs = self.machine.decision_function(normalize(images))
        classes = len(self.machine.classes_)
        margins = np.zeros((len(images), classes, classes))
        first, second = np.triu_indices(classes, 1)
        margins[:, first, second], margins[:, second, first] = pairs, -pairs
        return -margins[np.arange(len(images)), (margins > 0).sum(axis=2).argmax(axis=1)]

    def predict(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the class of the largest score."""
        return self.machine.classes_[self.decision_function(images).argmax(axis=1)]

    def __repr__(self) -> str:
        options = f"degree={self.degree}, offset={self.offset}, c={self.c}, virtual={self.virtual}"
        return f"SupportVectors({options}; support vectors {self.counts})"


def boosted(seed: int, n: int) -> Any:
    """Three LeNet-4 whose outputs are added."""
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
