"""The boosted LeNet-4: three networks, each trained on what the ones before it find hard (Drucker et al. 1993)."""

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..datasets import DISTORTIONS
from ..datasets.base import Dataset
from ..network import Sequential
from ..run import build, config

__all__ = ["Boosted", "disagreed", "half_wrong", "supply"]

# Patterns that are distorted and answered at a time.
_CHUNK = 5000
Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


def supply(data: Dataset, rng: np.random.Generator, rounds: int) -> Iterator[tuple[Images, Labels]]:
    """Yield distorted images with their labels, in random order and fresh in each round through the data set."""
    for _ in range(rounds):
        order = rng.permutation(len(data))
        for start in range(0, len(data), _CHUNK):
            chosen = order[start : start + _CHUNK]
            yield DISTORTIONS["affine"](data.images[chosen], rng), data.labels[chosen]


def half_wrong(patterns: Iterator[tuple[Images, Labels]], net: Sequential, count: int) -> tuple[Images, Labels]:
    """Return `count` patterns of which the network answers one half rightly and the other wrongly, in random order.

    Fewer, and still half of each, where the supply ends before.
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
    """Return the first `count` patterns that two networks answer differently, or fewer if the supply ends."""
    kept, found = [], 0
    for images, labels in patterns:
        chosen = np.flatnonzero(first.predict(images) != second.predict(images))[: count - found]
        kept.append((images[chosen], labels[chosen]))
        found += len(chosen)
        if found == count:
            break
    return np.concatenate([part[0] for part in kept]), np.concatenate([part[1] for part in kept])


class Boosted:
    """Three LeNet-4 whose outputs are added (section III.C).

    The first learns distorted images, fresh in each epoch. The second learns patterns that are filtered by the first:
    one half it answers wrongly, one half rightly. The third learns patterns on which the first two disagree. Both sets
    are drawn once, from a long supply of distorted images.

    Parameters
    ----------
    seed : int
    count : int
        Patterns that the second and the third learn.
    epochs : int
        Of each network.
    rounds : int
        Limit of the supply, in times the training set.

    Attributes
    ----------
    members : list of Sequential
    counts : list of int
        Patterns that each member was trained on.
    """

    def __init__(self, seed: int, *, count: int, epochs: int = 20, rounds: int = 200) -> None:
        self.seed, self.count, self.epochs, self.rounds = seed, count, epochs, rounds

    def fit(self, images: Any, labels: Any) -> Self:
        """Train on images and labels as `Dataset` takes them."""
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
        """Train one more member."""
        rng = np.random.default_rng([self.seed, len(self.members)])
        options = {"model": "lenet4", "epochs": self.epochs, "threads": 1, **distort}
        settings = config.from_dict(options).resolved()
        trainer = build.make_trainer(settings, data, rng=rng)
        trainer.fit(data, epochs=settings.epochs)
        self.members.append(trainer.net)
        self.counts.append(len(data))

    def decision_function(self, images: Any) -> NDArray[np.float32]:
        """Return the sum of the members' outputs (N, classes)."""
        return np.sum([net.outputs(images) for net in self.members], axis=0)

    def predict(self, images: Any) -> NDArray[np.int64]:
        """Return the class with the largest sum."""
        return self.decision_function(images).argmax(axis=1)

    def __repr__(self) -> str:
        patterns = ", ".join(f"{count:,}" for count in getattr(self, "counts", ()))
        return f"Boosted(seed={self.seed}, count={self.count}, epochs={self.epochs}; trained on {patterns} patterns)"
