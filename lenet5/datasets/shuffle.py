"""Shuffling: the patterns of an epoch in random order, in memory or in blocks from disk.

A set in memory is distorted and shuffled as a whole. Of a set that is mapped from a file, blocks of 1,024
consecutive images are put in random order. Groups of 64 of them, 65,536 images, are read by a thread while the group
before is trained on, and are distorted and shuffled in memory. A set of no more than one group is read as a whole, and
gives the very bits of the same set in memory.

How random is that? Every block is as likely to come in any place, and within a group every order of its images is as
likely as any other; so every image is as likely to come at any time, exactly so if the blocks and groups are all
full. What it is not: the images of one block always come in the same group, so neighbours in the file are never more
than 65,535 patterns apart, and images of two blocks are in the same group of B blocks in all with the probability
63 / (B - 1). Even of a file that is sorted by class, though, a group is a sample of 64 blocks: of ten equal
classes, each makes up 10 % of it, with a standard deviation of 3.7 points.

All follows from one number that is drawn at the beginning of an epoch, so a resumed epoch begins at its group at once.
"""

import dataclasses
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import forget, mapped_from
from .base import Dataset
from .distort import Distortion

__all__ = ["BLOCK", "GROUP", "Blocks", "Patterns", "patterns_of"]

BLOCK = 1024  # images that are read in one go
GROUP = 64  # blocks that are shuffled into one another

Pairs = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images and their labels


def often(weights: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int_]:
    """Draw n rows of n in proportion to their weights: n w / sum(w) times each, randomly rounded up or down."""
    share = np.cumsum(weights, dtype=np.float64)
    return np.searchsorted(share, (np.arange(len(weights)) + rng.random()) * share[-1] / len(weights), side="right")


class Patterns:
    """The patterns of a set in memory, epoch by epoch.

    Parameters
    ----------
    data : Dataset
        Or what has ``weights`` (n,) besides: how often each pattern is to come, by and large; an epoch keeps its
        length.
    distort : Distortion, optional
        Applied to all images before each epoch.
    """

    def __init__(self, data: Dataset, distort: Distortion | None = None) -> None:
        self.data, self.distort = data, distort
        self.images, self.labels = data.images, data.labels

    def begin(self, rng: np.random.Generator, position: int = 0) -> None:
        """Draw the distortions and the order of an epoch, whose first patterns up to `position` are not asked for."""
        if self.distort:
            self.images = self.distort(self.data.images, rng)
        weights = getattr(self.data, "weights", None)
        self._order = rng.permutation(len(self.labels) if weights is None else often(weights, rng))

    def take(self, start: int, stop: int) -> Pairs:
        """Return the patterns in places `start` to `stop`, or the end, of the order; places are asked for in turn."""
        rows = self._order[start:stop]
        return self.images[rows], self.labels[rows]

    def sample(self, rows: NDArray[np.integer]) -> Pairs:
        """Return patterns by their place in the set, distorted and weighted as those of the epoch are."""
        if getattr(self.data, "weights", None) is not None:
            rows = self._order[rows]
        return self.images[rows], self.labels[rows]

    def close(self) -> None:
        """Let go of threads and files."""


class Blocks(Patterns):
    """The patterns of a mapped set: two groups of blocks in memory, the one trained on and the next.

    Raises
    ------
    DataError
        From `take` and `sample`, if the file cannot be read any more.
    """

    def __init__(self, data: Dataset, distort: Distortion | None = None) -> None:
        super().__init__(data, distort)
        found = mapped_from(data.images)
        assert found is not None
        self._path, self._offset = found
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._room = np.empty((2, GROUP * BLOCK, *data.images.shape[1:]), np.uint8)

    def begin(self, rng: np.random.Generator, position: int = 0) -> None:
        """Draw the order of the blocks, and begin to read the group of `position`."""
        self._seed = int(rng.integers(1 << 63))
        blocks = self._rng(0).permutation(-(-len(self.data) // BLOCK))
        self._groups = [np.sort(blocks[k : k + GROUP]) for k in range(0, len(blocks), GROUP)]
        sizes = [sum(stop - start for start, stop in self._spans(group)) for group in self._groups]
        self._ends = np.cumsum(sizes)
        self._end = self._first = 0  # the places in the order that the group in memory has
        self._ahead = self._read_ahead(int(np.searchsorted(self._ends, position, side="right")))

    def take(self, start: int, stop: int) -> Pairs:
        """Return the patterns in places `start` to `stop`, or the end, of the order; places are asked for in turn."""
        if start >= self._end and self._ahead is not None:
            k, future = self._ahead
            self.images, self._labels, self._order = future.result()
            self._first, self._end = self._ends[k] - len(self._order), self._ends[k]
            self._ahead = self._read_ahead(k + 1)
        rows = self._order[start - self._first : stop - self._first]
        images, labels = self.images[rows], self._labels[rows]
        if stop <= self._end or self._ahead is None:
            return images, labels
        more_images, more_labels = self.take(self._end, stop)
        return np.concatenate([images, more_images]), np.concatenate([labels, more_labels])

    def sample(self, rows: NDArray[np.integer]) -> Pairs:
        """Return patterns by their place in the set, distorted as those of the epoch are."""
        images = np.empty((len(rows), *self.data.images.shape[1:]), np.uint8)
        self._read(((int(row), int(row) + 1) for row in rows), images)
        return self.distort(images, self._rng(1)) if self.distort else images, self.labels[rows]

    def close(self) -> None:
        """Wait for the thread, which may be reading."""
        self._reader.shutdown(cancel_futures=True)

    def _rng(self, k: int) -> np.random.Generator:
        """0 orders the blocks, 1 distorts samples, 2 and so on shuffle and distort the groups."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(k,)))

    def _spans(self, blocks: NDArray[np.integer]) -> list[tuple[int, int]]:
        return [(int(b) * BLOCK, min((int(b) + 1) * BLOCK, len(self.data))) for b in blocks]

    def _read_ahead(self, k: int) -> tuple[int, "Future[tuple[NDArray, NDArray, NDArray]]"] | None:
        return (k, self._reader.submit(self._group, k)) if k < len(self._groups) else None

    def _group(self, k: int) -> tuple[NDArray, NDArray, NDArray]:
        """Return images and labels of a group as they lie in the file, and their order."""
        spans, rng = self._spans(self._groups[k]), self._rng(2 + k)
        labels = np.concatenate([self.labels[slice(*span)] for span in spans])
        images, order = self._room[k % 2, : len(labels)], rng.permutation(len(labels))
        self._read(spans, images)
        if self.distort:
            images = self.distort(images, rng)
        return images, labels, order

    def _read(self, spans: Iterable[tuple[int, int]], out: NDArray[np.uint8]) -> None:
        """Fill `out` with images start to stop of each span."""
        size, filled = out[0].nbytes, 0
        try:
            with open(self._path, "rb", buffering=0) as file:
                for start, stop in spans:
                    part = out[filled : filled + stop - start]
                    file.seek(self._offset + start * size)
                    if file.readinto(part.data) != part.nbytes:
                        raise DataError(f"{self._path}: the file has become shorter while it was read")
                    filled += stop - start
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read: {error.strerror or error}") from error


def patterns_of(data: Dataset, distort: Distortion | None = None) -> Patterns:
    """Return the object that yields the patterns of a set, epoch by epoch."""
    if not data.mapped:
        return Patterns(data, distort)
    if len(data) > GROUP * BLOCK:
        return Blocks(data, distort)
    images = np.array(data.images)
    forget(data.images)
    return Patterns(dataclasses.replace(data, images=images), distort)
