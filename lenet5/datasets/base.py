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

_SCAN = 65_536  # images of a mapped set that are in memory at a time


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled pictures, from arrays of any kind.

    Parameters
    ----------
    images : array-like
        Grey levels, 0 for the ground and 255 for full ink or light: whole numbers from 0 to 255, bool, or floats from 0
        to 1. (N, H, W), (N, H, W, C), (N, C, H, W), or rows (N, H * W) of square pictures; also tensors and data
        frames.
    labels : array-like (N,), or one-hot (N, classes)
        Whole numbers, texts, bools. Numbers from 0 up are the classes; of others, each that occurs is one.
    name : str
        Name of the set, e.g. "mnist".
    provenance : dict of str to str
        "source" gives a folder, a mirror or a library version; every other key is a file, with the
        "sha256:..." of its unzipped content.
    num_classes : int
        Number of classes; left out (or 0) as many as there are in `labels`.
    classes : sequence, optional
        The classes in order, as they are in `labels`, or the names of the classes 0, 1, ...
    fit : str
        How the images were made from pictures in files: see `from_folder`.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Read-only. May be mapped from a file.
    labels : ndarray of uint8, shape (N,)
        Numbers of classes. Read-only.
    classes : tuple of str
        Their names.

    Raises
    ------
    DataError
        The arrays are not of the kinds above, their counts differ, or they are empty.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    name: str = "data"
    provenance: Mapping[str, str] = field(default_factory=dict)
    num_classes: int = 0
    classes: Sequence[Any] = ()
    fit: str = ""

    def __post_init__(self) -> None:
        """Read the arrays, and put read-only ones in place."""
        try:
            labels, classes = labels_of(self.labels, self.classes or range(self.num_classes))
            images = pictures_of(self.images, len(labels))
        except ShapeError as error:
            raise DataError(f"data set {self.name}: {error}") from error
        if len(images) != len(labels):
            raise DataError(
                f"data set {self.name}: {len(images)} images but {len(labels)} labels; the two do not belong together"
            )
        if images.size == 0:
            raise DataError(f"data set {self.name}: no pixels: images have shape {images.shape}")
        if 0 < self.num_classes < len(classes):
            raise DataError(f"data set {self.name}: {len(classes)} names of classes, but {self.num_classes} classes")
        classes += tuple(map(str, range(len(classes), self.num_classes)))
        for name, array in (("images", images), ("labels", labels)):
            array = np.ascontiguousarray(array).view()  # a view: the caller's own array stays writable
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "num_classes", len(classes))
        object.__setattr__(self, "provenance", dict(self.provenance))

    @property
    def learned(self) -> Learned:
        """Record that a network trained on this set keeps."""
        return Learned(tuple(self.classes), self.images.shape[1:], *tones_of(self.images), self.fit)

    def relabelled(self, classes: Sequence[str]) -> "Dataset":
        """Return the same pictures with labels that are numbers of other classes of the same names; see `classes`.

        Raises
        ------
        DataError
            If a class of this set is not among them.
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
        """Return the number of patterns."""
        return len(self.labels)

    @property
    def mapped(self) -> bool:
        """Whether the images stay in a file and are read on demand."""
        return mapped_from(self.images) is not None

    def __repr__(self) -> str:
        """Return one line without the arrays."""
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"Dataset({self.name!r}, {len(self)} images of {shape}, {self.num_classes} classes)"

    def subset(self, indices: ArrayLike | slice) -> "Dataset":
        """Pick patterns by position, in the order given.

        Parameters
        ----------
        indices : array-like of int or bool, shape (n,), or slice
            Positions, or one truth value per pattern.

        Returns
        -------
        Dataset

        Raises
        ------
        ShapeError
            An index is out of range, or not a whole number.
        DataError
            Nothing is picked.
        """
        try:
            index = indices if isinstance(indices, slice) else np.asarray(indices).reshape(-1)
            images, labels = self.images[index], self.labels[index]
        except (IndexError, TypeError, ValueError) as error:
            raise ShapeError(f"subset of {len(self)} patterns: {error}") from error
        return replace(self, images=images, labels=labels)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple["Dataset", "Dataset"]:
        """Draw a validation set out of this one; the two parts are disjoint and keep the order of the set.

        Parameters
        ----------
        fraction : float
            Share of the patterns that goes to validation, between 0 and 1 (both excluded); rounded to whole
            patterns, at least one on each side.
        rng : numpy.random.Generator
            Decides which patterns.

        Returns
        -------
        train, validation : Dataset

        Raises
        ------
        ConfigError
            `fraction` is not such a number, or the set is too small to split; `rng` is not a Generator.
        """
        if not isinstance(rng, np.random.Generator):
            raise ConfigError(f"split: rng must be a numpy.random.Generator, not {type(rng).__name__}")
        if not isinstance(fraction, float | np.floating) or not 0 < fraction < 1:
            raise ConfigError(f"split: fraction must be a number between 0 and 1, not {fraction!r}")
        if len(self) < 2:
            raise ConfigError("split: a data set of one pattern cannot be split")
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
    """Give two sets the same classes: those of the training set, then those that only the test set has."""
    names = list(train.classes) + [name for name in test.classes if name not in train.classes]
    return train.relabelled(names), test.relabelled(names)
