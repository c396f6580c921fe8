"""Random distortions of training images, different in each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

__all__ = ["Distort", "Distortion", "gaussian", "noise", "shift", "transform"]

# Function of images (uint8, (N, H, W) or (N, H, W, C)) and rng; returns distorted images of the same shape and type
Distortion = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]

# Number of images distorted at a time, chosen so that their displacement fields fit into the CPU cache.
_CHUNK = 256


def shift(images: NDArray[np.uint8], rng: np.random.Generator, *, pixels: int = 1) -> NDArray[np.uint8]:
    """Shift every image by a random integer number of pixels along each axis.

    Translation is one of the paper's planar affine distortions (section III-B). The paper gives no ranges.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Not modified. The area outside an image counts as background (0).
    rng : numpy.random.Generator
    pixels : int
        Largest shift along each axis; all shifts from -pixels to pixels are equally likely.

    Returns
    -------
    ndarray of uint8, of the same shape

    Raises
    ------
    ConfigError
        If `pixels` is negative.
    """
    if pixels < 0:
        raise ConfigError(f"shift: pixels must be at least 0; found {pixels}.")
    n, height, width = images.shape[:3]
    border = [(0, 0), (pixels, pixels), (pixels, pixels), (0, 0)][: images.ndim]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, border), (height, width), axis=(1, 2))
    down, right = rng.integers(2 * pixels + 1, size=(2, n))
    moved = windows[np.arange(n), down, right]  # (N, H, W), or (N, C, H, W) for colour
    return np.ascontiguousarray(moved if images.ndim == 3 else np.moveaxis(moved, 1, 3))


def noise(images: NDArray[np.uint8], rng: np.random.Generator, *, share: float = 0.1) -> NDArray[np.uint8]:
    """Invert pixels at random: the salt-and-pepper noise of Fig. 13 (10 % in the paper's training).

    Parameters
    ----------
    images : ndarray of uint8
        Images of any shape. Not modified.
    rng : numpy.random.Generator
    share : float
        Fraction of the pixels to invert.

    Returns
    -------
    ndarray of uint8, of the same shape

    Raises
    ------
    ConfigError
        If `share` is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"noise: share must be between 0 and 1; found {share!r}.")
    out = np.array(images)
    for start in range(0, len(out), _CHUNK):
        chunk = out[start : start + _CHUNK]
        chunk ^= np.where(
            rng.random(chunk.shape, np.float32) < share, np.uint8(255), np.uint8(0)
        )  # XOR with 255 inverts a pixel: 255 - x
    return out


@dataclass(frozen=True)
class Distort:
    """Planar affine distortions of the paper (section III-B), rotation, and elastic deformation (Simard et al. 2003).

    For each image, the amounts are drawn uniformly between minus and plus the limits below. The paper names
    translation, scaling, squeezing ("simultaneous horizontal compression and vertical elongation, or the reverse") and
    horizontal shearing. The paper does not rotate images and gives no ranges; the defaults are ours.

    Parameters
    ----------
    translation : float
        Largest shift along each axis, in pixels.
    scale, squeeze : float
        Largest relative changes, at most 0.9. Height and width are multiplied by up to 1 ± scale; then the height is
        multiplied, and the width divided, by up to 1 ± squeeze.
    shear : float
        Largest shear, in columns per row.
    rotation : float
        Largest rotation, in degrees.
    elastic : float
        Simard's alpha, in pixels. It scales a displacement field that is drawn uniformly from [-1, 1] and smoothed
        with a Gaussian. With the published values, alpha 34 and sigma 4, the displacements along each axis have a
        standard deviation of 1.4 pixels.
    sigma : float
        Standard deviation of the smoothing Gaussian, in pixels.
    share : float
        Fraction of the images to distort; the others stay unchanged.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    translation: float = 2.0
    scale: float = 0.12
    squeeze: float = 0.10
    shear: float = 0.25
    rotation: float = 0.0
    elastic: float = 0.0
    sigma: float = 4.0
    share: float = 0.9

    def __post_init__(self) -> None:
        for field in fields(Distort):
            value = getattr(self, field.name)
            most = {"scale": 0.9, "squeeze": 0.9, "share": 1.0}.get(field.name, 1e6)
            least = 0.1 if field.name == "sigma" else 0.0
            if not least <= value <= most:
                raise ConfigError(f"distort: {field.name} must be from {least:g} to {most:g}; found {value!r}.")

    def __call__(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Distort every image at random.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
            Not modified. The area outside an image counts as background (0).
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of uint8, of the same shape
        """
        from .. import engine  # imported here, because this import loads the compiler

        out = np.empty(images.shape, np.uint8)
        n, height, width = images.shape[:3]
        smooth = [gaussian(side, self.sigma) for side in (height, width)]
        for start in range(0, n, _CHUNK):
            part = slice(start, min(start + _CHUNK, n))
            chunk = np.array(images[part]).reshape(part.stop - start, height, width, -1)
            matrices = self._matrices(rng, len(chunk), height, width)
            field = np.empty((0, 2, height, width), np.float32)
            if self.elastic:
                noise = rng.random((2 * len(chunk), height, width), np.float32)
                noise -= np.float32(0.5)
                rows = (noise.reshape(-1, width) @ smooth[1]).reshape(noise.shape)
                field = np.matmul(smooth[0], rows, out=noise).reshape(-1, 2, height, width)
            changed = rng.random(len(chunk)) < self.share
            matrices[~changed] = np.eye(2, 3)
            if self.elastic:
                field[~changed] = 0
            # The noise is uniform on [-1/2, 1/2), not [-1, 1), hence the factor 2.
            engine.warp(chunk, matrices, field, np.float32(2 * self.elastic), out[part].reshape(chunk.shape))
        return out

    def scaled(self, factor: float) -> "Distort":
        """Return a copy of the distortions with all strengths multiplied by `factor`."""
        sizes = ("translation", "scale", "squeeze", "shear", "rotation", "elastic")
        return replace(self, **{name: factor * getattr(self, name) for name in sizes})

    def _matrices(self, rng: np.random.Generator, n: int, height: int, width: int) -> NDArray[np.float32]:
        size, squeeze, shear, angle, down, right = rng.uniform(-1.0, 1.0, (6, n))
        sizes = [1 + self.scale * size, 1 + self.squeeze * squeeze]
        moves = [self.translation * down, self.translation * right]
        return _look_up([*sizes, self.shear * shear, self.rotation * angle, *moves], (height, width))


def transform(
    images: NDArray[np.uint8],
    *,
    scale: float = 1.0,
    squeeze: float = 1.0,
    shear: float = 0.0,
    rotation: float = 0.0,
    down: float = 0.0,
    right: float = 0.0,
) -> NDArray[np.uint8]:
    """Apply the same affine transformation to all images.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Not modified. The area outside an image counts as background (0).
    scale : float
        Factor by which the size is multiplied.
    squeeze : float
        Factor by which the height is multiplied and the width is divided.
    shear : float
        Shear, in columns per row.
    rotation : float
        Rotation in degrees, counter-clockwise.
    down, right : float
        Shift in pixels.

    Returns
    -------
    ndarray of uint8, of the same shape

    Raises
    ------
    ConfigError
        If scale or squeeze is not positive.
    """
    from .. import engine

    if not (scale > 0 and squeeze > 0):
        raise ConfigError(f"transform: scale and squeeze must be positive; found {scale!r} and {squeeze!r}.")
    n, height, width = images.shape[:3]
    numbers = [np.full(n, value) for value in (scale, squeeze, shear, rotation, down, right)]
    matrices, none = _look_up(numbers, (height, width)), np.empty((0, 2, height, width), np.float32)
    out = np.empty((n, height, width, images[..., None].shape[3]), np.uint8)
    engine.warp(np.array(images).reshape(out.shape), matrices, none, np.float32(0), out)
    return out.reshape(images.shape)


def _look_up(numbers: Sequence[NDArray[np.float64]], field: tuple[int, int]) -> NDArray[np.float32]:
    """Return matrices (N, 2, 3) that map (row, column, 1) of distorted images to positions in the originals."""
    size, squeeze, shear, degrees, down, right = numbers
    # Images are scaled by diag(size * squeeze, size / squeeze), sheared and rotated. The matrices undo these steps.
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrices = np.zeros((len(size), 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = cos, sin
    matrices[:, 1, 0], matrices[:, 1, 1] = -sin - shear * cos, cos - shear * sin
    matrices[:, 0] /= (size * squeeze)[:, None]
    matrices[:, 1] *= (squeeze / size)[:, None]
    centre = np.array([(side - 1) / 2 for side in field])
    moved = centre + np.stack([down, right], axis=1)
    matrices[:, :, 2] = centre - np.einsum("nij,nj->ni", matrices[:, :, :2], moved)
    return matrices.astype(np.float32)


def gaussian(side: int, sigma: float) -> NDArray[np.float32]:
    """Return the matrix (side, side) that smooths noise along an axis; its rows are truncated Gaussians."""
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    return (np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))).astype(np.float32)
