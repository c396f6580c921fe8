"""`Dataset`: labelled pictures, read-only, that know where they came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, DataError, ShapeError
from ..files import forget, mapped_from

__all__ = ["Dataset"]

_SCAN = 65_536  # images of a mapped set that are in memory at a time


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled pictures.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        0 is background (paper), 255 full ink or full light. Read-only. May be mapped from a file.
    labels : ndarray of uint8, shape (N,)
        Read-only.
    name : str
        Name of the set, e.g. "mnist".
    provenance : dict of str to str
        "source" gives a folder, a mirror or a library version; every other key is a file, with the
        "sha256:..." of its unzipped content.
    num_classes : int
        Number of classes; left out (or 0) it is the largest label plus one.

    Raises
    ------
    DataError
        The arrays are not of the kinds above, their counts differ, or they are empty.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    name: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    num_classes: int = 0

    def __post_init__(self) -> None:
        """Check the arrays and put read-only views of them in place."""
        for field_name, dimensions in (("images", (3, 4)), ("labels", (1,))):
            array = getattr(self, field_name)
            if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim not in dimensions:
                wanted = " or ".join(map(str, dimensions))
                raise DataError(
                    f"data set {self.name}: {field_name}: expected a uint8 array of {wanted} dimensions, "
                    f"found {_describe(array)}"
                )
            array = np.ascontiguousarray(array).view()  # a view: the caller's own array stays writable
            array.setflags(write=False)
            object.__setattr__(self, field_name, array)
        if len(self.images) != len(self.labels):
            raise DataError(
                f"data set {self.name}: {len(self.images)} images but {len(self.labels)} labels; "
                "the two files do not belong together"
            )
        if self.images.size == 0:
            raise DataError(f"data set {self.name}: no pixels: images have shape {self.images.shape}")
        largest = int(self.labels.max())
        classes = self.num_classes or largest + 1
        if largest >= classes:
            raise DataError(f"data set {self.name}: label {largest} found, but there are {classes} classes")
        object.__setattr__(self, "num_classes", classes)
        object.__setattr__(self, "provenance", dict(self.provenance))

    def __len__(self) -> int:
        """Return the number of patterns."""
        return len(self.labels)

    @property
    def mapped(self) -> bool:
        """Whether the images are left in a file, and read as they are needed."""
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
        return Dataset(images, labels, self.name, self.provenance, self.num_classes)

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


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
