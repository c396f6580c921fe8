"""Variants of training: mistakes of mattwang44/LeNet-from-Scratch, noisy training windows, and pruning.

The three mistakes in the second-order training of mattwang44/LeNet-from-Scratch are:

1. All weights and biases of a layer share one learning rate, from the *sum* of h over its weights. The paper uses
   one learning rate per weight.
2. Average pooling multiplies curvatures by 1/4 per connection, instead of by 1/16, the square of 1/4.
3. The loss has a factor of 1/2, which eq. 7 of the paper lacks.

The project multiplies the resulting learning rates, which are far too low, by 100. Its gradients are sums over a batch
of 256; ours are means, so our learning rates have to be 256 times as high. The factor of the loss and the learning
rates are options of the configuration; the first two mistakes are implemented here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..analysis.pruning import CRITERIA, Pruning
from ..datasets import Neighbours
from ..layers import AvgPool2D
from ..optim import SDLM
from ..training.callbacks import Evaluate, SetRate
from ..training.trainer import Trainer

__all__ = ["LEVELS", "PRUNED_FROM", "RETRAINING", "VARIANTS", "pool_quarter", "rate_per_layer"]

# Optimal Brain Damage: number of epochs before the first deletion, numbers of parameters kept, and learning rates of
# the epochs between two deletions, chosen on 10,000 held-out training images.
PRUNED_FROM = 20
LEVELS = (45_000, 30_000, 22_500, 15_000, 10_000, 7_000, 5_000, 3_000)
RETRAINING = (3e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5)


class _SummedSDLM(SDLM):
    """SDLM with a single curvature h per layer, the sum of h over the layer's weights."""

    layers: tuple[tuple[slice, slice], ...] = ()  # slices of the weights and biases of each layer

    def observe(self) -> None:
        """Replace every entry of `hess` with the sum of `hess` over its layer, and update h."""
        for weights, biases in self.layers:
            total = self.params.hess[weights].sum()
            self.params.hess[weights] = self.params.hess[biases] = total
        super().observe()


class _QuarterPool(AvgPool2D):
    """Average pooling that multiplies curvatures by 1/4 instead of 1/16."""

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Return the curvatures hx = hy/4 of every input cell, instead of hy/16."""
        return self.backward(hy, to_input=to_input)


def rate_per_layer(trainer: Trainer) -> None:
    """Make the trainer use one learning rate per layer, from the sum of h over its weights: mattwang44's mistake 1."""
    old = trainer.optimizer
    assert isinstance(old, SDLM)
    options: Any = {"mu": old.mu, "momentum": old.momentum, "rule": old.rule, "patterns": old.curvature_patterns}
    made = _SummedSDLM(trainer.net.parameters(), lr=old.lr, **options)
    parts = trainer.net.parameters().slices()
    weights = [name for name in parts if name.endswith(".weight")]
    made.layers = tuple((parts[name], parts[name.replace(".weight", ".bias")]) for name in weights)
    trainer.optimizer = made


def pool_quarter(trainer: Trainer) -> None:
    """Make average pooling multiply curvatures by 1/4 instead of 1/16: mattwang44's mistake 2.

    The network then uses the NumPy methods of its layers, not compiled code.
    """
    for layer in trainer.net:
        if type(layer) is AvgPool2D:
            layer.__class__ = _QuarterPool


def _both(trainer: Trainer) -> None:
    rate_per_layer(trainer)
    pool_quarter(trainer)


def _noisy(trainer: Trainer) -> None:
    """Invert a tenth of the pixels of the training windows, as in section VII of the paper."""
    assert isinstance(trainer.distort, Neighbours)
    trainer.distort = replace(trainer.distort, noise=0.1)


def _pruning(criterion: str) -> Callable[[Trainer], None]:
    def change(trainer: Trainer) -> None:
        """Delete parameters after the paper's 20 epochs, and retrain the remaining ones."""
        test = next(c.sets["test"] for c in trainer.callbacks if isinstance(c, Evaluate))
        levels = {PRUNED_FROM + len(RETRAINING) * k: count for k, count in enumerate(LEVELS)}
        trainer.callbacks.append(Pruning(levels, criterion, test=test))
        rates = next(c for c in trainer.callbacks if isinstance(c, SetRate))
        before = rates.schedule
        rates.schedule = lambda epoch: (
            before(epoch) if epoch < PRUNED_FROM else RETRAINING[(epoch - PRUNED_FROM) % len(RETRAINING)]
        )

    return change


VARIANTS: dict[str, Callable[[Trainer], None]] = {
    "rate-per-layer": rate_per_layer,
    "pool-quarter": pool_quarter,
    "rate-per-layer, pool-quarter": _both,
    "noisy-windows": _noisy,
    **{f"prune-{criterion}": _pruning(criterion) for criterion in CRITERIA},
}
