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
    """Train a network by its own recipe, with a line and a progress bar per epoch.

    The recipe of the paper's networks is the paper's: eq. 9 (or what their outputs are for), stochastic diagonal
    Levenberg-Marquardt, one pattern per update, the paper's schedule. That of all others is cross-entropy and Adam at
    1e-3 in batches of 128. Training starts from the present weights, so another call continues; optimiser and schedule
    start anew.

    Parameters
    ----------
    net : Sequential
        One that is not built yet is built for the images of `train`.
    train : Dataset, or (images, labels) of any kind that `Dataset` takes
    test : Dataset or (images, labels), optional
        Measured after each epoch, and never trained on.
    epochs : int, optional
        Default 20, as in the paper.
    batch_size, lr, optimizer, distort
        In place of the recipe's; the last two by their names in `optim.OPTIMIZERS` and `datasets.DISTORTIONS`.
    validation_split : float
        Share of `train` that is held out, chosen by `seed`, and measured after each epoch.
    threads : int, optional
        Default all processors; the results are the same for any number.
    seed : int
        Of order, samples and, where the network is built here, its weights.
    callbacks : iterable of Callback
        Called after those of the recipe.
    verbose : bool
        False prints nothing.

    Returns
    -------
    History
        One record per epoch: prints as a table, ``history["test_error"]`` is a column, ``history.plot()`` draws it.

    Raises
    ------
    LenetError
        If data, network and options do not go together, or the training diverges.

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
                "fit takes images and labels as one: lenet5.fit(net, (images, labels), (test_images, ...))."
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
    """Return the configuration that a network is trained by."""
    spec = net.spec or {}
    own: dict[str, Any] = {"name": spec.get("name")}
    if own["name"] not in MODELS:  # layers of the user's own: what their outputs are decides the loss
        own = {"name": "lenet5", "output": "rbf"} if net.outputs_penalties else {"name": "d2l"}
        optimizer, options = optimizer or "adam", {"batch_size": 128} | options
    elif own["name"] == "lenet5":
        own["output"] = spec.get("output")
    choice = {name: value for name, value in (("name", optimizer), ("lr", lr)) if value is not None}
    return config.from_dict({"model": own, "optimizer": choice, **options}, where="fit").resolved()
