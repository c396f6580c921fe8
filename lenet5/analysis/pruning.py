"""Optimal Brain Damage (LeCun, Denker and Solla, 1990): delete the parameters that the loss needs least."""

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

# (network, loss, training set, rng) -> how much each number counts, (size,)
Criterion = Callable[[Sequential, Loss, Dataset, np.random.Generator], np.ndarray]
_PATTERNS = 2000


def saliency(
    net: Sequential, loss: Loss, data: Dataset, rng: np.random.Generator | None = None, *, patterns: int = _PATTERNS
) -> np.ndarray:
    """s_k = h_kk u_k^2 / 2: by how much the loss grows, to second order, when parameter u_k is deleted.

    At a minimum of the loss its gradient is 0, and the diagonal of its second derivatives is h_kk as eqs. 23 to 27 of
    the 1998 paper give it, by the Gauss-Newton approximation: that by which `SDLM` divides its rates.

    Parameters
    ----------
    net : Sequential
        Trained.
    loss : Loss
        That which it was trained with.
    data : Dataset
        Its training set.
    rng : numpy.random.Generator, optional
        Draws the patterns; default seed 0.
    patterns : int
        Over which h_kk is averaged, at most.

    Returns
    -------
    ndarray (size,)
        In the order of ``net.theta``. 0 for what has been deleted.
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
    """Return |u_k|: the smallest numbers are deleted first."""
    return np.abs(net.theta)


def _random(net: Sequential, loss: Loss, data: Dataset, rng: np.random.Generator) -> np.ndarray:
    """Any order."""
    return rng.random(net.theta.size)


CRITERIA: Mapping[str, Criterion] = {"saliency": saliency, "magnitude": magnitude, "random": _random}


def delete(net: Sequential, scores: np.ndarray, *, keep: int) -> None:
    """Delete the parameters with the lowest scores; of weights and biases alike, as the authors do.

    They are 0 from now on: training keeps them so with every optimiser, and files remember them.

    Parameters
    ----------
    net : Sequential
    scores : ndarray (size,)
        Such as `saliency`. Parameters that were deleted before stay deleted, for any score.
    keep : int
        Parameters that are left.

    Raises
    ------
    ConfigError
        If the scores are not one finite number for each parameter, or there are not as many left.
    """
    params = net.parameters()
    scores = np.asarray(scores, np.float64)
    if scores.shape != params.value.shape or not np.isfinite(scores).all():
        raise ConfigError(f"scores are a finite number for each of {params.value.size:,}; found shape {scores.shape}.")
    left = int(params.kept.sum())
    if not 0 < keep <= left:
        raise ConfigError(f"keep is at least 1, and at most the {left:,} parameters that are left; found {keep!r}.")
    # Those of equal scores in their order; what is gone comes first.
    order = np.argsort(np.where(params.kept, scores, -np.inf), kind="stable")
    params.kept[order[: params.kept.size - keep]] = False
    params.hold()


class Pruning(Callback):
    """Delete parameters before given epochs; the epochs until the next deletion retrain the remaining ones.

    Records ``kept``, the number of parameters that there were in an epoch.

    Parameters
    ----------
    keep : mapping of int to int
        Epochs that are complete -> parameters that are kept from then on: {20: 30000, 24: 15000}.
    criterion : {"saliency", "magnitude", "random"}
    test : Dataset, optional
        Before the first deletion all numbers of `keep` are tried on it without retraining: `without_retraining`, as
        ``at_once`` in the record of the epoch before.

    Raises
    ------
    ConfigError
        If there is no such criterion, `keep` does not fall, or with `test` it begins at epoch 0.

    Examples
    --------
    >>> net.fit(train, test, epochs=30, callbacks=[Pruning({20: 30_000, 25: 15_000})])  # doctest: +SKIP
    """

    phase = Phase.PREPARE

    def __init__(self, keep: Mapping[int, int], criterion: str = "saliency", *, test: Dataset | None = None) -> None:
        if criterion not in CRITERIA:
            raise ConfigError(f"criterion is one of {', '.join(CRITERIA)}; found {criterion!r}.")
        counts = [count for _, count in sorted(keep.items())]
        if not counts or counts != sorted(counts, reverse=True) or min(counts) < 1 or min(keep) < 0:
            raise ConfigError(
                "keep gives fewer and fewer parameters, at least 1, after numbers of epochs, such as "
                f"{{20: 30000, 24: 15000}}; found {dict(keep)}."
            )
        if test is not None and 0 in keep:
            raise ConfigError("test is tried before the first deletion, after an epoch at least: keep begins with 0.")
        self.keep, self.criterion, self.test = dict(keep), criterion, test

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Delete parameters if this epoch is listed."""
        if trainer.position == 0 and trainer.epoch in self.keep:
            # By the epoch's number, so that a resumed run deletes the same.
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
    """Measure the effect of deletion without retraining; the network itself is unchanged.

    Parameters
    ----------
    net, loss, train
        As for `saliency`; the loss is measured on the first 10,000 of the training images.
    test : Dataset
    keep : sequence of int
        Numbers of parameters, falling.
    criterion : str
        Key of `CRITERIA`.
    rng : numpy.random.Generator, optional
        Default seed 0.

    Returns
    -------
    list of dict
        ``kept``, ``loss`` (mean per pattern) and ``test_error`` (a fraction) for each number.

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
