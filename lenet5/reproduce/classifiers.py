"""The paper's other classifiers (Fig. 9), as scikit-learn has them: flat images of 784 grey levels between 0 and 1."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["CLASSIFIERS"]


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
    """Three nearest neighbours, Euclidean."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(3, algorithm="brute")


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
    from sklearn.svm import SVC

    return SVC(kernel="poly", degree=4, gamma=0.02, coef0=1.0, C=1.0, cache_size=1000)


def _fully_connected(*hidden: int) -> Callable[[int, int], Any]:
    def make(seed: int, n: int) -> Any:
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(
            hidden, activation="tanh", batch_size=100, max_iter=15, n_iter_no_change=15, random_state=seed
        )

    return make


CLASSIFIERS: dict[str, Callable[[int, int], Any]] = {
    "linear": linear,
    "pairwise-linear": pairwise_linear,
    "k-nearest": k_nearest,
    "pca-quadratic": pca_quadratic,
    "rbf-network": rbf_network,
    "svm-poly-4": svm_poly_4,
    "300": _fully_connected(300),
    "1000": _fully_connected(1000),
    "300-100": _fully_connected(300, 100),
    "500-150": _fully_connected(500, 150),
}
