"""Changes applied to all images, training and test set alike, before a row's classifier or network."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..datasets import deslant, transform
from ..datasets.base import Dataset

__all__ = ["IMAGES", "changed", "cropped", "shrunk"]


def shrunk(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink digits of 20x20 to 16x16 in the middle of the same field: the input of the paper's LeNet-1."""
    return transform(images, scale=16 / 20)


def cropped(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the middle 20x20 pixels, in which MNIST's digits lie before their centre of mass is centred."""
    height, width = images.shape[1:3]
    top, left = max(height - 20, 0) // 2, max(width - 20, 0) // 2
    return images[:, top : top + 20, left : left + 20]


IMAGES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "16x16": shrunk,
    "deslanted": deslant,
    "20x20 deslanted": lambda images: cropped(deslant(images)),
}


def changed(data: Dataset, name: str) -> Dataset:
    """Return a data set with the change of that name, or as it is for an empty name."""
    return replace(data, images=IMAGES[name](data.images)) if name else data
