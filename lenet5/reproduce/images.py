"""Transformations that some rows of the tables apply to all training and test images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..datasets import deslant, transform
from ..datasets.base import Dataset

__all__ = ["IMAGES", "changed", "cropped", "shrunk"]


def shrunk(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink the digits from 20x20 to 16x16 without changing the image size, as for the paper's LeNet-1."""
    return transform(images, scale=16 / 20)


def cropped(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop images to the central 20x20 pixels, the size of MNIST's digits."""
    height, width = images.shape[1:3]
    top, left = max(height - 20, 0) // 2, max(width - 20, 0) // 2
    return images[:, top : top + 20, left : left + 20]


IMAGES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "16x16": shrunk,
    "deslanted": deslant,
    "20x20 deslanted": lambda images: cropped(deslant(images)),
}


def changed(data: Dataset, name: str) -> Dataset:
    """Return a data set with the named transformation applied, or unchanged if the name is empty."""
    return replace(data, images=IMAGES[name](data.images)) if name else data
