"""Committees: several networks that answer together."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..datasets.base import Dataset
from ..errors import ConfigError
from ..network import Sequential

__all__ = ["Committee"]


class Committee:
    """Networks whose probabilities are averaged: the same methods as one network has for answers.

    Averaging cancels part of what training by chance got wrong, as the paper's boosted LeNet-4 does with three networks
    (section III.C); here every member was trained by itself.

    Parameters
    ----------
    members : iterable of Sequential
        With the same classes, in any order. Their layers, sizes and preparations may differ.

    Attributes
    ----------
    members : tuple of Sequential
    classes : ndarray (classes,)
        Names, in the order of the first member.

    Raises
    ------
    ConfigError
        If there is no member, or their classes differ.
    """

    outputs_penalties = False

    def __init__(self, members: Iterable[Sequential]) -> None:
        self.members = tuple(members)
        if not self.members:
            raise ConfigError("A committee has at least one network.")
        self.classes = self.members[0].classes
        names, self._orders = self.classes.tolist(), []
        for k, net in enumerate(self.members):
            own = net.classes.tolist()
            if sorted(own) != sorted(names):
                raise ConfigError(
                    "The networks of a committee need the same classes: the first knows "
                    f"{', '.join(names[:12])}; number {k + 1} knows {', '.join(own[:12])}."
                )
            self._orders.append([own.index(name) for name in names])

    @property
    def out_shape(self) -> tuple[int, ...]:
        """(classes,)."""
        return (len(self.classes),)

    def relabelled(self, data: Dataset) -> Dataset:
        """Return a data set whose labels are numbers of `classes`; see `Sequential.relabelled`."""
        return self.members[0].relabelled(data)

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Return the mean of the members' probabilities (N, classes) for images as `Sequential.predict` takes them."""
        return self.mean([net.predict_proba(images) for net in self.members])

    def mean(self, shares: Iterable[np.ndarray]) -> np.ndarray:
        """Return the mean (N, classes) of the members' shares, reordered to `classes`."""
        ordered: list[Any] = [each[:, order] for each, order in zip(shares, self._orders, strict=True)]
        return np.mean(ordered, axis=0)

    outputs = predict_proba

    def predict(self, images: ArrayLike) -> np.ndarray:
        """Return the likeliest class (N,) of each image."""
        return self.predict_proba(images).argmax(axis=1)
