"""`Dataset`: labelled images, read-only, with a record of their origin."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Learned, aligned, labels_of, pictures_of, tones_of
from ..errors import ConfigError, DataError, ShapeError
from ..files import forget, mapped_from

__all__ = ["Dataset", "with_one_order"]

_SCAN = 65_536  # number of images of a memory-mapped data set that are read at a time


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, converted from any supported array.

    Parameters
    ----------
    images : array-like
        Grey levels: integers from 0 to 255, bool, or floats from 0 to 1. 0 is the background, 255 is full ink or full
        brightness. The shape is (N, H, W), (N, H, W, C), (N, C, H, W), or (N, H * W) for flattened square images.
        Tensors and data frames are also accepted.
    labels : array-like (N,), or one-hot (N, classes)
        Integers, strings or bools. Integers that start at 0 are class indices; otherwise, each distinct value is a
        class.
    name : str
        Name of the data set, such as "mnist".
    provenance : dict of str to str
        Origin of the data: "source" is a folder, a mirror or a library version. The other keys are file names, each
        with "sha256:" followed by the hash of the unzipped file.
    num_classes : int
        Number of classes (default: the number found in `labels`).
    classes : sequence, optional
        All classes, in order: the distinct values of `labels` or, if the labels are class indices, the class names.
    fit : str
        How image files were converted to images of equal size; see `fit` in `from_folder`.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Read-only. May be mapped from a file.
    labels : ndarray of uint8, shape (N,)
        Class indices. Read-only.
    classes : tuple of str
        Class names.

    Raises
    ------
    DataError
        If an array is empty or has an unsupported format, or the arrays differ in length.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    name: str = "data"
    provenance: Mapping[str, str] = field(default_factory=dict)
    num_classes: int = 0
    classes: Sequence[Any] = ()
    fit: str = ""

    def __post_init__(self) -> None:
        """Convert the images and labels, and make them read-only."""
        try:
            labels, classes = labels_of(self.labels, self.classes or range(self.num_classes))
            images = pictures_of(self.images, len(labels))
        except ShapeError as error:
            raise DataError(f"data set {self.name}: {error}") from error
        if len(images) != len(labels):
            raise DataError(
                f"data set {self.name}: {len(images)} images but {len(labels)} labels. Pass one label per image."
            )
        if images.size == 0:
            raise DataError(f"data set {self.name}: expected a non-empty array of images, found shape {images.shape}")
        if 0 < self.num_classes < len(classes):
            raise DataError(
                f"data set {self.name}: num_classes is {self.num_classes}, but there are {len(classes)} classes. "
                f"Omit num_classes, or pass {len(classes)} or more."
            )
        classes += tuple(map(str, range(len(classes), self.num_classes)))
        for name, array in (("images", images), ("labels", labels)):
            array = np.ascontiguousarray(array).view()  # a view, so that the caller's array stays writable
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "num_classes", len(classes))
        object.__setattr__(self, "provenance", dict(self.provenance))

    @property
    def learned(self) -> Learned:
        """Properties of the data set that are stored in networks trained on it."""
        return Learned(tuple(self.classes), self.images.shape[1:], *tones_of(self.images), self.fit)

    def relabelled(self, classes: Sequence[str]) -> "Dataset":
        """Return the same images with their labels renumbered for another list of classes.

        Raises
        ------
        DataError
            If `classes` lacks a class that occurs in this data set.
        """
        own, others = tuple(self.classes), tuple(classes)
        if own == others:
            return self
        try:
            labels = aligned(self.labels, own, others, who=f"data set {self.name}")
        except ShapeError as error:
            raise DataError(str(error)) from error
        return replace(self, labels=labels, classes=others, num_classes=len(others))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def mapped(self) -> bool:
        """Whether the images are read from a file on demand."""
        return mapped_from(self.images) is not None

    def __repr__(self) -> str:
        """Return a one-line summary."""
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"Dataset({self.name!r}, {len(self)} images of {shape}, {self.num_classes} classes)"

    def subset(self, indices: ArrayLike | slice) -> "Dataset":
        """Return the images at the given positions, in the given order.

        Parameters
        ----------
        indices : array-like of int or bool, shape (n,), or slice
            Positions, or one bool for each image.

        Returns
        -------
        Dataset

        Raises
        ------
        ShapeError
            If an index is out of range or is not an integer.
        DataError
            If the subset is empty.
        """
        try:
            index = indices if isinstance(indices, slice) else np.asarray(indices).reshape(-1)
            images, labels = self.images[index], self.labels[index]
        except (IndexError, TypeError, ValueError) as error:
            raise ShapeError(f"subset of {len(self)} images: {error}") from error
        return replace(self, images=images, labels=labels)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple["Dataset", "Dataset"]:
        """Split off a random validation set; both parts keep the order of the data set.

        Parameters
        ----------
        fraction : float
            Fraction of the images to put in the validation set, strictly between 0 and 1. The number
            of images is rounded, with at least one image in each part.
        rng : numpy.random.Generator
            Random generator that selects the images.

        Returns
        -------
        train, validation : Dataset

        Raises
        ------
        ConfigError
            If `fraction` is out of range, the data set is too small to split, or `rng` is not a Generator.
        """
        if not isinstance(rng, np.random.Generator):
            raise ConfigError(f"split: rng must be a numpy.random.Generator, not {type(rng).__name__}")
        if not isinstance(fraction, float | np.floating) or not 0 < fraction < 1:
            raise ConfigError(f"split: fraction must be a number between 0 and 1, not {fraction!r}")
        if len(self) < 2:
            raise ConfigError("split: a data set of one image cannot be split")
        held_out = np.zeros(len(self), dtype=bool)
        count = min(max(round(fraction * len(self)), 1), len(self) - 1)
        held_out[rng.permutation(len(self))[:count]] = True
        return self.subset(~held_out), self.subset(held_out)

    def digest(self) -> str:
        """Return the SHA-256 (64 hex digits) of the bytes of the images followed by those of the labels."""
        sha256 = hashlib.sha256()
        for start in range(0, len(self), _SCAN):
            sha256.update(self.images[start : start + _SCAN].data)
            forget(self.images)
        sha256.update(self.labels.data)
        return sha256.hexdigest()


def with_one_order(train: Dataset, test: Dataset) -> tuple[Dataset, Dataset]:
    """Use one list of classes for both sets: those of the training set, then those found only in the test set."""
    names = list(train.classes) + [name for name in test.classes if name not in train.classes]
    return train.relabelled(names), test.relabelled(names)
