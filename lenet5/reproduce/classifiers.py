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

__all__ = ["CLASSIFIERS", "VirtualSVM", "jittered"]


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
    """A support vector machine with a polynomial kernel of degree 4, on images of length 1."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    return make_pipeline(Normalizer(), _svm(4, 2.0))


def virtual_svm(seed: int, n: int) -> Any:
    """A support vector machine of degree 9, trained again on its support vectors and their shifts."""
    return VirtualSVM(9, 2.0)


def _svm(degree: int, c: float) -> Any:
    """Return a machine with the kernel ((x.y + 1) / 2)^degree, which is 1 for two equal images of length 1."""
    from sklearn.svm import SVC

    return SVC(kernel="poly", degree=degree, gamma=0.5, coef0=0.5, C=c, cache_size=1500, break_ties=True)


def jittered(images: NDArray[Any]) -> NDArray[Any]:
    """Return images (N, H*W), which are square, and behind them their moves by a pixel up, down, left and right.

    What enters at the border is 0.
    """
    side = int(np.sqrt(images.shape[1]))
    padded = np.pad(images.reshape(-1, side, side), [(0, 0), (1, 1), (1, 1)])
    corners = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    moved = [padded[:, top : top + side, left : left + side] for top, left in corners]
    return np.concatenate(moved).reshape(-1, side * side)


class VirtualSVM:
    """The virtual support vector machine (Schoelkopf, Burges and Vapnik 1996), on images of length 1.

    Parameters
    ----------
    degree : int
        Of the polynomial kernel.
    c : float
        Penalty of a unit of slack.

    Attributes
    ----------
    counts : tuple of int
        Support vectors of the first machine, and of the one that answers.
    """

    def __init__(self, degree: int, c: float) -> None:
        self.degree, self.c = degree, c

    def fit(self, images: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Train on rows (N, H*W) of square images, then on the support vectors and their moves by a pixel."""
        from sklearn.preprocessing import normalize

        images = normalize(images)
        kept = _svm(self.degree, self.c).fit(images, labels).support_
        virtual = normalize(jittered(images[kept]))
        self.machine = _svm(self.degree, self.c).fit(virtual, np.tile(labels[kept], 5))
        self.counts = len(kept), len(self.machine.support_)
        return self

    def decision_function(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Return scores (N, classes)."""
        from sklearn.preprocessing import normalize

        return self.machine.decision_function(normalize(images))

    def predict(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the class of the largest score."""
        return self.machine.classes_[self.decision_function(images).argmax(axis=1)]

    def __repr__(self) -> str:
        return f"VirtualSVM(degree={self.degree}, c={self.c}; support vectors {getattr(self, 'counts', '')})"


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
