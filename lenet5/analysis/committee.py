"""Committees of networks, whose predicted probabilities are averaged."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..datasets.base import Dataset
from ..errors import ConfigError
from ..network import Sequential

__all__ = ["Committee"]


class Committee:
    """Committee of networks that averages their class probabilities and has the inference methods of a single network.

    Averaging partly cancels the members' random errors. The paper's boosted LeNet-4 (section III.C) combines
    three networks trained one after another; here the members are trained independently.

    Parameters
    ----------
    members : iterable of Sequential
        Networks with the same classes, possibly in different orders. Their layers, input sizes and image preparations
        may differ.

    Attributes
    ----------
    members : tuple of Sequential
    classes : ndarray (classes,)
        Class names, in the first member's order.

    Raises
    ------
    ConfigError
        If there are no members, or their classes differ.
    """

    outputs_penalties = False

    def __init__(self, members: Iterable[Sequential]) -> None:
        self.members = tuple(members)
        if not self.members:
            raise ConfigError("A committee needs at least one network; found none.")
        self.classes = self.members[0].classes
        names, self._orders = self.classes.tolist(), []
        for k, net in enumerate(self.members):
            own = net.classes.tolist()
            if sorted(own) != sorted(names):
                raise ConfigError(
                    "The networks of a committee need the same classes. Network 1 has "
                    f"{', '.join(names[:12])}; network {k + 1} has {', '.join(own[:12])}."
                )
            self._orders.append([own.index(name) for name in names])

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the outputs for one image, (classes,)."""
        return (len(self.classes),)

    def relabelled(self, data: Dataset) -> Dataset:
        """Return the data set with its labels renumbered to match `classes`; see `Sequential.relabelled`."""
        return self.members[0].relabelled(data)

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Return the members' mean probabilities (N, classes) for images as accepted by `Sequential.predict`."""
        return self.mean([net.predict_proba(images) for net in self.members])

    def mean(self, shares: Iterable[np.ndarray]) -> np.ndarray:
        """Average one array of probabilities (N, classes) per member; the columns of the result follow `classes`."""
        ordered: list[Any] = [each[:, order] for each, order in zip(shares, self._orders, strict=True)]
        return np.mean(ordered, axis=0)

    outputs = predict_proba

    def predict(self, images: ArrayLike) -> np.ndarray:
        """Return the index (N,) of the most probable class of each image."""
        return self.predict_proba(images).argmax(axis=1)
