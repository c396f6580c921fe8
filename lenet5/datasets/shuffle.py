"""Shuffle the training patterns of an epoch, in memory or in blocks from disk.

A data set in memory is distorted and shuffled as a whole. A data set mapped from a file is split into blocks of 1,024
consecutive images, which are put in random order. A thread reads groups of 64 blocks, or 65,536 images, while the
previous group is used for training; each group is distorted and shuffled in memory. A mapped data set of at most one
group is read as a whole, with results bit-identical to those of a data set in memory.

How random is this order? Each block is equally likely to be at any position, and within a group all orders of the
images are equally likely. So each image is equally likely to be at any position; this holds exactly if all blocks and
groups are full. The order differs from a full shuffle in that the images of a block are always in the same group, and
therefore never more than 65,535 positions apart. If there are B blocks, the images of two blocks are in the same group
with probability 63 / (B - 1). But even if the file is sorted by class, a group is a sample of 64 blocks: each of ten
equal classes makes up 10 % of it, with a standard deviation of 3.7 percentage points.

One random seed drawn at the start of an epoch determines its order, so a resumed epoch starts directly at the group
that it had reached.
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

BLOCK = 1024  # number of consecutive images in a block
GROUP = 64  # number of blocks that are shuffled together

Pairs = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images and their labels


def often(weights: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int_]:
    """Draw n indices in proportion to their n weights: one of weight w occurs n w / sum(w) times, rounded at random."""
    share = np.cumsum(weights, dtype=np.float64)
    return np.searchsorted(share, (np.arange(len(weights)) + rng.random()) * share[-1] / len(weights), side="right")


class Patterns:
    """Training patterns of a data set in memory, epoch by epoch.

    Parameters
    ----------
    data : Dataset
        Training set. It can have an attribute ``weights`` (n,), the approximate relative frequency of each pattern. The
        length of an epoch does not depend on the weights.
    distort : Distortion, optional
        Distortion applied to all images before each epoch.
    """

    def __init__(self, data: Dataset, distort: Distortion | None = None) -> None:
        self.data, self.distort = data, distort
        self.images, self.labels = data.images, data.labels

    def begin(self, rng: np.random.Generator, position: int = 0) -> None:
        """Draw the distortions and the order of an epoch that starts or resumes at `position`."""
        if self.distort:
            self.images = self.distort(self.data.images, rng)
        weights = getattr(self.data, "weights", None)
        self._order = rng.permutation(len(self.labels) if weights is None else often(weights, rng))

    def take(self, start: int, stop: int) -> Pairs:
        """Return the patterns from position `start` up to `stop` or the end; `start` must be the previous `stop`."""
        rows = self._order[start:stop]
        return self.images[rows], self.labels[rows]

    def sample(self, rows: NDArray[np.integer]) -> Pairs:
        """Return the patterns with the given indices, distorted as in the epoch.

        If the data set has weights, the indices are positions in the weighted order of the epoch.
        """
        if getattr(self.data, "weights", None) is not None:
            rows = self._order[rows]
        return self.images[rows], self.labels[rows]

    def close(self) -> None:
        """Release threads and files."""


class Blocks(Patterns):
    """Training patterns of a mapped data set; the current and the next group of blocks are in memory.

    Raises
    ------
    DataError
        If `take` or `sample` can no longer read the file.
    """

    def __init__(self, data: Dataset, distort: Distortion | None = None) -> None:
        super().__init__(data, distort)
        found = mapped_from(data.images)
        assert found is not None
        self._path, self._offset = found
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._room = np.empty((2, GROUP * BLOCK, *data.images.shape[1:]), np.uint8)

    def begin(self, rng: np.random.Generator, position: int = 0) -> None:
        """Draw the order of the blocks, and start to read the group that contains `position`."""
        self._seed = int(rng.integers(1 << 63))
        blocks = self._rng(0).permutation(-(-len(self.data) // BLOCK))
        self._groups = [np.sort(blocks[k : k + GROUP]) for k in range(0, len(blocks), GROUP)]
        sizes = [sum(stop - start for start, stop in self._spans(group)) for group in self._groups]
        self._ends = np.cumsum(sizes)
        self._end = self._first = 0  # positions in the epoch where the group in memory starts and ends
        self._ahead = self._read_ahead(int(np.searchsorted(self._ends, position, side="right")))

    def take(self, start: int, stop: int) -> Pairs:
        """Return the patterns from position `start` up to `stop` or the end; `start` must be the previous `stop`."""
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
        """Return patterns by their index in the data set, distorted as in the epoch."""
        images = np.empty((len(rows), *self.data.images.shape[1:]), np.uint8)
        self._read(((int(row), int(row) + 1) for row in rows), images)
        return self.distort(images, self._rng(1)) if self.distort else images, self.labels[rows]

    def close(self) -> None:
        """Stop the reader thread."""
        self._reader.shutdown(cancel_futures=True)

    def _rng(self, k: int) -> np.random.Generator:
        """Return random generator k: 0 orders the blocks, 1 distorts samples, 2 + i shuffles and distorts group i."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(k,)))

    def _spans(self, blocks: NDArray[np.integer]) -> list[tuple[int, int]]:
        return [(int(b) * BLOCK, min((int(b) + 1) * BLOCK, len(self.data))) for b in blocks]

    def _read_ahead(self, k: int) -> tuple[int, "Future[tuple[NDArray, NDArray, NDArray]]"] | None:
        return (k, self._reader.submit(self._group, k)) if k < len(self._groups) else None

    def _group(self, k: int) -> tuple[NDArray, NDArray, NDArray]:
        """Return images and labels of group k in the order of the file, and a random permutation of their indices."""
        spans, rng = self._spans(self._groups[k]), self._rng(2 + k)
        labels = np.concatenate([self.labels[slice(*span)] for span in spans])
        images, order = self._room[k % 2, : len(labels)], rng.permutation(len(labels))
        self._read(spans, images)
        if self.distort:
            images = self.distort(images, rng)
        return images, labels, order

    def _read(self, spans: Iterable[tuple[int, int]], out: NDArray[np.uint8]) -> None:
        """Fill `out` with the images of all spans (start, stop), in order."""
        size, filled = out[0].nbytes, 0
        try:
            with open(self._path, "rb", buffering=0) as file:
                for start, stop in spans:
                    part = out[filled : filled + stop - start]
                    file.seek(self._offset + start * size)
                    if file.readinto(part.data) != part.nbytes:
                        raise DataError(f"{self._path}: the file was truncated while it was being read")
                    filled += stop - start
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read: {error.strerror or error}") from error


def patterns_of(data: Dataset, distort: Distortion | None = None) -> Patterns:
    """Return the training patterns of a data set: `Blocks` if it is mapped and larger than a group, else `Patterns`."""
    if not data.mapped:
        return Patterns(data, distort)
    if len(data) > GROUP * BLOCK:
        return Blocks(data, distort)
    images = np.array(data.images)
    forget(data.images)
    return Patterns(dataclasses.replace(data, images=images), distort)
