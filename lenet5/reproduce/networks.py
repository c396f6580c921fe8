"""Fully connected networks of the paper's Fig. 9, which no option of `TrainConfig` can select."""

from collections.abc import Callable
from functools import partial

import numpy as np

from ..datasets import prepare
from ..datasets.base import Dataset
from ..layers import Dense, Flatten, Layer, ScaledTanh
from ..network import Sequential

__all__ = ["NETWORKS", "fully_connected"]


def fully_connected(*hidden: int) -> Callable[[Dataset, np.random.Generator], Sequential]:
    """Return a function that builds networks with hidden layers of the given sizes.

    All units have the paper's squashing function. The outputs are meant for `SquaredError`, with targets of ±1.
    """

    def make(train: Dataset, rng: np.random.Generator) -> Sequential:
        layers: list[Layer] = [Flatten()]
        for number, units in enumerate((*hidden, train.num_classes), 1):
            layers += [Dense(units, name=f"F{number}" if number <= len(hidden) else "output"), ScaledTanh()]
        sides = train.images.shape[1:3]
        net = Sequential(layers, prepare=partial(prepare, size=sides))
        net.build((1, *sides), rng=rng)
        return net

    return make


NETWORKS: dict[str, Callable[[Dataset, np.random.Generator], Sequential]] = {
    "300-10": fully_connected(300),
    "1000-10": fully_connected(1000),
    "300-100-10": fully_connected(300, 100),
    "500-150-10": fully_connected(500, 150),
}
