"""`fit`: train a network in one call."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..datasets.base import Dataset
from ..errors import ConfigError
from ..models import MODELS
from ..network import Sequential
from ..training.callbacks import Clock
from ..training.hooks import Callback
from ..training.record import History
from ..training.reports import Progress, Report, say
from . import build, config
from .config import TrainConfig

__all__ = ["fit"]

Data = Dataset | tuple[Any, Any]


def fit(
    net: Sequential,
    train: Data,
    test: Data | None = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    validation_split: float = 0.0,
    distort: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = True,
) -> History:
    """Train a network with its default recipe, and print a line and a progress bar per epoch.

    The paper's networks are trained as in the paper: eq. 9 (or the loss that suits their outputs), stochastic diagonal
    Levenberg-Marquardt, one pattern per update, and the paper's schedule. All other networks are trained with Adam at
    a learning rate of 1e-3, in batches of 128, on cross-entropy (or eq. 9 if their outputs are RBF units). Training
    starts from the current weights, so another call continues it, but the optimiser and the schedule restart.

    Parameters
    ----------
    net : Sequential
        Network to train. If it has not been built, it is built for the images of `train`.
    train : Dataset or (images, labels)
        Training set. Images and labels can be in any format that `Dataset` accepts.
    test : Dataset or (images, labels), optional
        Test set, which is evaluated after each epoch.
    epochs : int, optional
        Number of epochs (default: 20, as in the paper).
    batch_size, lr, optimizer, distort
        Options that replace those of the recipe. `optimizer` and `distort` are keys of `optim.OPTIMIZERS` and
        `datasets.DISTORTIONS`.
    validation_split : float
        Fraction of `train` to hold out as a validation set, which is evaluated after each epoch.
    threads : int, optional
        Number of threads (default: one per CPU core). It does not change the results.
    seed : int
        Seed for the choice of the validation set, the order of the patterns, all other random draws and, if the network
        is built here, its weights.
    callbacks : iterable of Callback
        Additional callbacks, called after those of the recipe.
    verbose : bool
        Whether to print progress.

    Returns
    -------
    History
        One record per epoch. It prints as a table; ``history["test_error"]`` is a column, ``history.plot()`` a figure.

    Raises
    ------
    LenetError
        If data, network and options are incompatible, or if training diverges.

    Examples
    --------
    >>> train, test = lenet5.datasets.load("mnist")       # doctest: +SKIP
    >>> history = lenet5.fit(net, train, test, epochs=10)  # doctest: +SKIP
    """
    train = Dataset(*train) if isinstance(train, tuple) else train
    test = Dataset(*test) if isinstance(test, tuple) else test
    if not isinstance(net, Sequential) or not isinstance(train, Dataset):
        if isinstance(net, Sequential) and test is not None:
            raise ConfigError(
                "fit takes images and labels as pairs: lenet5.fit(net, (images, labels), (test_images, test_labels))."
            )
        raise ConfigError(
            "fit takes a network and a data set, such as lenet5.fit(lenet5.lenet5(), *lenet5.datasets.load('mnist')); "
            f"found {type(net).__name__} and {type(train).__name__}."
        )
    rng = np.random.default_rng(seed)
    if not net.in_shape:
        height, width, *channels = train.images.shape[1:]
        net.build((*(channels or [1]), height, width), rng=rng)
    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "threads": threads,
        "distort": {"name": distort},
    }
    settings = _recipe(net, {name: value for name, value in options.items() if value is not None}, optimizer, lr)
    validation = None
    if validation_split:
        train, validation = train.split(validation_split, np.random.default_rng([seed, 1]))
    hooks = [Clock(), *([Report(say), Progress()] if verbose else [])]
    trainer = build.make_trainer(
        settings, train, net=net, rng=rng, validation=validation, test=test, hooks=[*hooks, *callbacks]
    )
    trainer.history.data, trainer.history.net = train.name, (net.spec or {}).get("name", "")
    trainer.fit(train, epochs=settings.epochs)
    return trainer.history


def _recipe(net: Sequential, options: dict[str, Any], optimizer: str | None, lr: float | None) -> TrainConfig:
    """Return the configuration for training a network."""
    spec = net.spec or {}
    own: dict[str, Any] = {"name": spec.get("name")}
    if own["name"] not in MODELS:  # a custom network: its outputs determine the loss
        own = {"name": "lenet5", "output": "rbf"} if net.outputs_penalties else {"name": "d2l"}
        optimizer, options = optimizer or "adam", {"batch_size": 128} | options
    elif own["name"] == "lenet5":
        own["output"] = spec.get("output")
    choice = {name: value for name, value in (("name", optimizer), ("lr", lr)) if value is not None}
    return config.from_dict({"model": own, "optimizer": choice, **options}, where="fit").resolved()
