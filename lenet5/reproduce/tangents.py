"""Tangent distance (Simard, LeCun and Denker 1993): a distance that is insensitive to small transformations."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..datasets.distort import gaussian
from .neighbours import Memory

__all__ = ["TangentNearest", "smoothed", "tangent_bases", "tangent_distances", "tangents"]

_CHUNK = 2000
# Ridge that keeps the linear systems solvable if tangents of two images coincide.
_RIDGE = 1e-3
Floats = NDArray[np.floating[Any]]


def smoothed(images: Floats, sigma: float) -> NDArray[np.float32]:
    """Return images (N, H, W) smoothed with a Gaussian of `sigma` pixels; pixels outside the image count as 0."""
    rows, columns = (gaussian(side, sigma) for side in images.shape[1:])
    return rows @ np.asarray(images, np.float32) @ columns.T


def tangents(images: Floats) -> NDArray[np.float32]:
    """Return the derivatives (N, 7, H, W) of smooth images (N, H, W) with respect to seven transformations.

    Let p_x and p_y be the derivatives of the image, and x and y the coordinates relative to its centre. The tangents
    are: translations p_x and p_y; scaling x p_x + y p_y; rotation y p_x - x p_y; hyperbolic transformations
    x p_x - y p_y and y p_x + x p_y; thickness p_x^2 + p_y^2.
    """
    height, width = images.shape[1:]
    p_y, p_x = np.gradient(np.asarray(images, np.float32), axis=(1, 2))
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None]
    x = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    along = [p_x, p_y, x * p_x + y * p_y, y * p_x - x * p_y, x * p_x - y * p_y, y * p_x + x * p_y, p_x**2 + p_y**2]
    return np.stack(along, axis=1).astype(np.float32)


def tangent_bases(images: Floats) -> NDArray[np.float32]:
    """Return orthonormal bases (N, 7, H*W) of the spaces spanned by the tangents of smooth images (N, H, W)."""
    bases = np.empty((len(images), 7, images[0].size), np.float32)
    for start in range(0, len(images), _CHUNK):
        t = tangents(images[start : start + _CHUNK]).reshape(-1, 7, images[0].size).astype(np.float64)
        t /= np.linalg.norm(t, axis=2, keepdims=True) + 1e-12
        gram = t @ t.swapaxes(1, 2) + 1e-9 * np.eye(7)
        bases[start : start + _CHUNK] = np.linalg.solve(np.linalg.cholesky(gram), t)
    return bases


def tangent_distances(image: Floats, basis: Floats, others: Floats, bases: Floats) -> NDArray[np.float64]:
    """Return the two-sided tangent distances (K,) between an image and K others.

    The distance is measured between the tangent planes p + P^T a of the image p and q + Q^T b of another image q: it is
    the minimum of |d + P^T a - Q^T b| with d = p - q and a small ridge on a and b. As P and Q are orthonormal, the
    squared distance is |d|^2 - r^T A^-1 r with r = (P d, Q d), A = [[1 + ridge, M], [M^T, 1 + ridge]] and M = P Q^T.

    Parameters
    ----------
    image, basis : ndarray (D,), (7, D)
        The image and its tangent basis.
    others, bases : ndarray (K, D), (K, 7, D)
        The other images and their tangent bases.
    """
    d = image - others
    r = np.concatenate([d @ basis.T, (bases @ d[:, :, None])[..., 0]], axis=1).astype(np.float64)
    m = (bases @ basis.T).swapaxes(1, 2)
    system = np.zeros((len(others), 14, 14))
    system[:, np.arange(14), np.arange(14)] = 1 + _RIDGE
    system[:, :7, 7:], system[:, 7:, :7] = m, m.swapaxes(1, 2)
    inner = (r * np.linalg.solve(system, r[..., None])[..., 0]).sum(axis=1)
    return np.sqrt(np.maximum(np.square(d, dtype=np.float64).sum(axis=1) - inner, 0))


class TangentNearest(Memory):
    """Nearest-neighbour classifier that compares the tangent distances of the candidates nearest in Euclidean distance.

    The score of a class is minus the tangent distance of its nearest candidate. For a class without candidates, it is
    minus the largest distance of all candidates. The difference between the two best scores measures the confidence.

    Parameters
    ----------
    neighbours : int
        Number of candidates, for which tangent distances are computed.
    sigma : float
        Standard deviation of the Gaussian that smooths the images, in pixels.
    """

    def __init__(self, neighbours: int, sigma: float) -> None:
        super().__init__(neighbours)
        self.sigma = sigma

    def fit(self, images: Floats, labels: NDArray[Any]) -> Self:
        """Smooth square, flattened images (N, H*W), and store them with their tangent bases and labels (N,)."""
        smooth = self._smoothed(images)
        self._bases = tangent_bases(smooth)
        return super().fit(smooth.reshape(len(images), -1), labels)

    def _smoothed(self, images: Floats) -> NDArray[np.float32]:
        side = int(np.sqrt(images.shape[1]))
        return smoothed(images.reshape(-1, side, side), self.sigma)

    def decision_function(self, images: Floats) -> NDArray[np.float64]:
        """Return scores (N, classes) for images in the format of `fit`."""
        return super().decision_function(self._smoothed(images).reshape(len(images), -1))

    def _scores(self, images: Floats, distances: Floats, places: NDArray[np.int64]) -> NDArray[np.float64]:
        side = int(np.sqrt(images.shape[1]))
        bases = tangent_bases(images.reshape(-1, side, side))
        scores = np.empty((len(images), self.classes))
        for image, basis, near, score in zip(images, bases, places, scores, strict=True):
            found = tangent_distances(image, basis, self.known[near], self._bases[near])
            score[...] = -found.max()
            np.maximum.at(score, self.labels[near], -found)
        return scores
