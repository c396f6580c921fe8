"""Optimal Brain Damage (LeCun, Denker and Solla, 1990): delete the parameters that matter least to the loss."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.base import Dataset
from ..errors import ConfigError
from ..losses import Loss
from ..network import Sequential
from ..training import Callback, Phase, Trainer
from ..training.shards import Shards

__all__ = ["CRITERIA", "Pruning", "delete", "magnitude", "saliency", "without_retraining"]

# (network, loss, training set, rng) -> importance of each parameter, (size,)
Criterion = Callable[[Sequential, Loss, Dataset, np.random.Generator], np.ndarray]
_PATTERNS = 2000


def saliency(
    net: Sequential, loss: Loss, data: Dataset, rng: np.random.Generator | None = None, *, patterns: int = _PATTERNS
) -> np.ndarray:
    """Return s_k = h_kk u_k^2 / 2, the second-order estimate of the increase in loss if parameter u_k is deleted.

    The estimate assumes a minimum of the loss, where the gradient is 0. h_kk is the Gauss-Newton estimate of the second
    derivative (eqs. 23 to 27 of the 1998 paper), which also determines the learning rates of `SDLM`.

    Parameters
    ----------
    net : Sequential
        A trained network.
    loss : Loss
        The loss with which the network was trained.
    data : Dataset
        The training set.
    rng : numpy.random.Generator, optional
        Generator that selects the patterns. Default: a generator with seed 0.
    patterns : int
        Maximum number of patterns over which h_kk is averaged.

    Returns
    -------
    ndarray (size,)
        Saliencies in the order of ``net.theta``; 0 for deleted parameters.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    chosen = rng.choice(len(data), min(patterns, len(data)), replace=False)
    shards = Shards(net, loss)
    try:
        shards.curvature(data.images[chosen], net.relabelled(data).labels[chosen])
    finally:
        shards.close()
    return net.parameters().hess * np.square(net.theta) / 2


def magnitude(
    net: Sequential, loss: Loss | None = None, data: Dataset | None = None, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Return |u_k|, so that the smallest parameters are deleted first."""
    return np.abs(net.theta)


def _random(net: Sequential, loss: Loss, data: Dataset, rng: np.random.Generator) -> np.ndarray:
    """Return random scores, so that parameters are deleted in random order."""
    return rng.random(net.theta.size)


CRITERIA: Mapping[str, Criterion] = {"saliency": saliency, "magnitude": magnitude, "random": _random}


def delete(net: Sequential, scores: np.ndarray, *, keep: int) -> None:
    """Delete the weights and biases with the lowest scores.

    Deleted parameters are set to 0, remain 0 in training with every optimiser, and are recorded in saved files.

    Parameters
    ----------
    net : Sequential
    scores : ndarray (size,)
        Importance of each parameter, such as the result of `saliency`. Parameters deleted earlier stay deleted.
    keep : int
        Number of parameters to keep.

    Raises
    ------
    ConfigError
        If `scores` is not one finite value per parameter, or `keep` is not from 1 to the number of remaining
        parameters.
    """
    params = net.parameters()
    scores = np.asarray(scores, np.float64)
    if scores.shape != params.value.shape or not np.isfinite(scores).all():
        raise ConfigError(
            f"scores must be {params.value.size:,} finite numbers, one per parameter; found shape {scores.shape}."
        )
    left = int(params.kept.sum())
    if not 0 < keep <= left:
        raise ConfigError(f"keep must be from 1 to {left:,}, the number of remaining parameters; found {keep!r}.")
    # The sort is stable, so ties are broken by position. Parameters deleted earlier come first.
    order = np.argsort(np.where(params.kept, scores, -np.inf), kind="stable")
    params.kept[order[: params.kept.size - keep]] = False
    params.hold()


class Pruning(Callback):
    """Delete parameters at the start of chosen epochs; train the remaining ones until the next deletion.

    The history record of each epoch contains ``kept``, the number of remaining parameters.

    Parameters
    ----------
    keep : mapping of int to int
        Maps numbers of completed epochs to the number of parameters to keep from then on, as {20: 30000, 24: 15000}.
    criterion : {"saliency", "magnitude", "random"}
    test : Dataset, optional
        Test set on which the effect of deletion is measured for every value of `keep` before the first deletion (see
        `without_retraining`). The result is stored as ``at_once`` in the record of the epoch before that deletion.

    Raises
    ------
    ConfigError
        If the criterion is unknown, the numbers in `keep` do not decrease, or `test` is given and `keep` contains 0.

    Examples
    --------
    >>> net.fit(train, test, epochs=30, callbacks=[Pruning({20: 30_000, 25: 15_000})])  # doctest: +SKIP
    """

    phase = Phase.PREPARE

    def __init__(self, keep: Mapping[int, int], criterion: str = "saliency", *, test: Dataset | None = None) -> None:
        if criterion not in CRITERIA:
            raise ConfigError(f"criterion must be one of {', '.join(CRITERIA)}; found {criterion!r}.")
        counts = [count for _, count in sorted(keep.items())]
        if not counts or counts != sorted(counts, reverse=True) or min(counts) < 1 or min(keep) < 0:
            raise ConfigError(
                "keep must map epochs to decreasing numbers of parameters, at least 1, such as "
                f"{{20: 30000, 24: 15000}}; found {dict(keep)}."
            )
        if test is not None and 0 in keep:
            raise ConfigError(
                "test needs an epoch before the first deletion, so keep must not start with epoch 0. Start at a later "
                "epoch, or omit test."
            )
        self.keep, self.criterion, self.test = dict(keep), criterion, test

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Delete parameters if `keep` lists this epoch."""
        if trainer.position == 0 and trainer.epoch in self.keep:
            # The seed depends on the epoch, so that a resumed run deletes the same parameters.
            seed = trainer.epoch, len(self.keep)
            known: tuple[Sequential, Loss, Dataset] = (trainer.net, trainer.loss, trainer.train)
            if self.test is not None and trainer.epoch == min(self.keep):
                options: Any = {"criterion": self.criterion, "rng": np.random.default_rng(seed)}
                levels = sorted(self.keep.values(), reverse=True)
                trainer.history[-1]["at_once"] = without_retraining(*known, self.test, keep=levels, **options)
            scores = CRITERIA[self.criterion](*known, np.random.default_rng(seed))
            delete(trainer.net, scores, keep=self.keep[trainer.epoch])

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the number of remaining parameters."""
        trainer.history[-1]["kept"] = int(trainer.net.parameters().kept.sum())


def without_retraining(
    net: Sequential,
    loss: Loss,
    train: Dataset,
    test: Dataset,
    *,
    keep: Sequence[int],
    criterion: str = "saliency",
    rng: np.random.Generator | None = None,
) -> list[dict[str, Any]]:
    """Measure the effect of deletion without retraining; the network is not modified.

    Parameters
    ----------
    net, loss, train
        As for `saliency`; the loss is measured on the first 10,000 training images.
    test : Dataset
    keep : sequence of int
        Numbers of parameters to keep, in decreasing order.
    criterion : str
        A key of `CRITERIA`.
    rng : numpy.random.Generator, optional
        Generator that `criterion` uses. Default: a generator with seed 0.

    Returns
    -------
    list of dict
        ``kept``, ``loss`` (mean per pattern) and ``test_error`` (a fraction) for each value of `keep`.

    Raises
    ------
    ConfigError
        As for `delete`.
    """
    params = net.parameters()
    value, kept = params.value.copy(), params.kept.copy()
    scores = CRITERIA[criterion](net, loss, train, np.random.default_rng(0) if rng is None else rng)
    shards, found = Shards(net, loss), []
    labels, test = net.relabelled(train).labels[:10_000], net.relabelled(test)
    try:
        for count in keep:
            delete(net, scores, keep=count)
            total, _ = shards.evaluate(train.images[:10_000], labels)
            error = shards.evaluate(test.images, test.labels)[1] / len(test)
            found.append({"kept": count, "loss": total / len(labels), "test_error": error})
    finally:
        shards.close()
        params.value[...], params.kept[...] = value, kept
    return found
