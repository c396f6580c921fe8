"""Boosted LeNet-4: three networks, each trained on patterns that the previous ones find hard (Drucker et al. 1993)."""

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..datasets import DISTORTIONS
from ..datasets.base import Dataset
from ..network import Sequential
from ..run import build, config

__all__ = ["Boosted", "disagreed", "half_wrong", "supply"]

# Number of patterns that are distorted and classified at a time.
_CHUNK = 5000
Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


def supply(data: Dataset, rng: np.random.Generator, rounds: int) -> Iterator[tuple[Images, Labels]]:
    """Yield batches of distorted images and labels; each round has a new random order and new distortions."""
    for _ in range(rounds):
        order = rng.permutation(len(data))
        for start in range(0, len(data), _CHUNK):
            chosen = order[start : start + _CHUNK]
            yield DISTORTIONS["affine"](data.images[chosen], rng), data.labels[chosen]


def half_wrong(patterns: Iterator[tuple[Images, Labels]], net: Sequential, count: int) -> tuple[Images, Labels]:
    """Return `count` patterns, half of which the network classifies correctly.

    If `patterns` ends early, fewer patterns are returned, in the same proportion.
    """
    kept: dict[bool, list[tuple[Images, Labels]]] = {True: [], False: []}
    found = {True: 0, False: 0}
    for images, labels in patterns:
        right = net.predict(images) == labels
        for kind in kept:
            chosen = np.flatnonzero(right == kind)[: count // 2 - found[kind]]
            kept[kind].append((images[chosen], labels[chosen]))
            found[kind] += len(chosen)
        if min(found.values()) == count // 2:
            break
    least = min(found.values())
    halves = [[np.concatenate(part)[:least] for part in zip(*kept[kind], strict=True)] for kind in kept]
    return np.concatenate([half[0] for half in halves]), np.concatenate([half[1] for half in halves])


def disagreed(
    patterns: Iterator[tuple[Images, Labels]], first: Sequential, second: Sequential, count: int
) -> tuple[Images, Labels]:
    """Return the first `count` patterns that two networks classify differently, or fewer if `patterns` ends early."""
    kept, found = [], 0
    for images, labels in patterns:
        chosen = np.flatnonzero(first.predict(images) != second.predict(images))[: count - found]
        kept.append((images[chosen], labels[chosen]))
        found += len(chosen)
        if found == count:
            break
    return np.concatenate([part[0] for part in kept]), np.concatenate([part[1] for part in kept])


class Boosted:
    """Three LeNet-4 networks whose outputs are added (section III.C).

    The first network is trained on distorted images, with new distortions in each epoch. The second is trained on
    patterns of which the first classifies one half correctly and the other half wrongly. The third is trained on
    patterns on which the first two disagree. These two training sets are drawn once, from a long stream of distorted
    images.

    Parameters
    ----------
    seed : int
        Seed of the networks and of the stream of distorted images.
    count : int
        Number of training patterns for each of the second and third networks.
    epochs : int
        Number of epochs of each network.
    rounds : int
        Maximum length of the stream, as a multiple of the size of the training set.

    Attributes
    ----------
    members : list of Sequential
        The trained networks.
    counts : list of int
        Number of training patterns of each network.
    """

    def __init__(self, seed: int, *, count: int, epochs: int = 20, rounds: int = 200) -> None:
        self.seed, self.count, self.epochs, self.rounds = seed, count, epochs, rounds

    def fit(self, images: Any, labels: Any) -> Self:
        """Train on images and labels in the formats that `Dataset` accepts."""
        data = Dataset(images, labels)
        rng = np.random.default_rng([self.seed, 2])
        self.members: list[Sequential] = []
        self.counts: list[int] = []
        self._add(data, distort="affine")
        filters: list[Callable[..., tuple[Images, Labels]]] = [half_wrong, disagreed]
        for chosen in filters:
            kept, known = chosen(supply(data, rng, self.rounds), *self.members, count=self.count)
            self._add(Dataset(kept, known, num_classes=data.num_classes))
        return self

    def _add(self, data: Dataset, **distort: str) -> None:
        """Train another network on `data` and add it to `members`."""
        rng = np.random.default_rng([self.seed, len(self.members)])
        options = {"model": "lenet4", "epochs": self.epochs, "threads": 1, **distort}
        settings = config.from_dict(options).resolved()
        trainer = build.make_trainer(settings, data, rng=rng)
        trainer.fit(data, epochs=settings.epochs)
        self.members.append(trainer.net)
        self.counts.append(len(data))

    def decision_function(self, images: Any) -> NDArray[np.float32]:
        """Return the sum of the networks' outputs (N, classes)."""
        return np.sum([net.outputs(images) for net in self.members], axis=0)

    def predict(self, images: Any) -> NDArray[np.int64]:
        """Return the class (N,) with the largest sum of outputs for each image."""
        return self.decision_function(images).argmax(axis=1)

    def __repr__(self) -> str:
        patterns = ", ".join(f"{count:,}" for count in getattr(self, "counts", ()))
        return f"Boosted(seed={self.seed}, count={self.count}, epochs={self.epochs}; trained on {patterns} patterns)"
