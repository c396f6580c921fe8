"""Learning-rate schedules: pure functions of the epoch, counted from 0."""

import math
from collections.abc import Callable

from ..errors import ConfigError
from .options import Option, option

__all__ = ["PAPER_ETA", "Schedule", "SCHEDULES", "constant", "cosine", "one_cycle", "paper", "step", "warmup"]

Schedule = Callable[[int], float]

# Global learning rate eta of each epoch (section III-B of the paper). The last entry applies to all later epochs.
PAPER_ETA = (5e-4,) * 2 + (2e-4,) * 3 + (1e-4,) * 3 + (5e-5,) * 4 + (1e-5,)


def paper(lr: float | None = None, *, skip: int = 0) -> Schedule:
    """Use the paper's learning rates: 5e-4 for 2 epochs, 2e-4 for 3, 1e-4 for 3, 5e-5 for 4, then 1e-5.

    The first `skip` epochs are omitted. With `lr`, all rates are scaled so that the first one is `lr`.

    Raises
    ------
    ConfigError
        If `skip` is not an integer from 0 to 12.
    """
    if not 0 <= skip < len(PAPER_ETA):
        raise ConfigError(f"skip, the number of epochs to omit, must be from 0 to {len(PAPER_ETA) - 1}; found {skip}.")
    rates = PAPER_ETA[skip:]
    scale = 1.0 if lr is None else lr / rates[0]
    return lambda epoch: rates[min(epoch, len(rates) - 1)] * scale


def constant(lr: float) -> Schedule:
    """Use the same learning rate in every epoch."""
    return lambda epoch: lr


def step(lr: float, *, every: int, factor: float = 0.1) -> Schedule:
    """Start with the learning rate `lr`, and multiply it by `factor` after every `every` epochs.

    Raises
    ------
    ConfigError
        If `every` is not positive.
    """
    if every < 1:
        raise ConfigError(f"every, the number of epochs between steps, must be at least 1; found {every}.")
    return lambda epoch: lr * factor ** (epoch // every)


def cosine(lr: float, *, epochs: int, final: float = 0.0) -> Schedule:
    """Decrease the learning rate along half a cosine from `lr` in epoch 0 to `final` after the last of `epochs` epochs.

    Raises
    ------
    ConfigError
        If `epochs` is not positive.
    """
    if epochs < 1:
        raise ConfigError(f"epochs of a cosine schedule must be at least 1; found {epochs}.")
    return lambda epoch: final + (lr - final) * _half_cosine(epoch / epochs)


def one_cycle(lr: float, *, epochs: int, start: float = 0.04, final: float | None = None) -> Schedule:
    """Raise the learning rate from `start` * lr to `lr` in the first 30 % of the epochs, then lower it to `final`.

    Both parts are half cosines (Smith 2018). The last epoch uses `final` (default: lr / 1000).

    Raises
    ------
    ConfigError
        If `epochs` is not positive.
    """
    if epochs < 1:
        raise ConfigError(f"epochs of a one-cycle schedule must be at least 1; found {epochs}.")
    top = round(0.3 * (epochs - 1))
    last = max(epochs - 1 - top, 1)
    least = lr / 1000 if final is None else final

    def rate(epoch: int) -> float:
        if epoch < top:
            return lr * (1 - (1 - start) * _half_cosine(epoch / top))
        return least + (lr - least) * _half_cosine((epoch - top) / last)

    return rate


def _half_cosine(share: float) -> float:
    """Return half a cosine wave: 1 at `share` = 0, falling to 0 at `share` = 1, and 0 after that."""
    return (1 + math.cos(math.pi * min(share, 1.0))) / 2


def warmup(schedule: Schedule, *, epochs: int) -> Schedule:
    """Add a linear warm-up to `schedule` in the first `epochs` epochs."""
    return lambda epoch: schedule(epoch) * min(1.0, (epoch + 1) / (epochs + 1))


_FINAL = option(
    None,
    "final learning rate (default: for cosine, 0 after the last epoch; for one-cycle, lr/1000 in the last epoch)",
    least=0.0, below=1e300, kind=float,
)  # fmt: skip
# Name of the schedule -> its factory and options. The factory is called with the initial learning rate, the number of
# epochs and the values of the options.
SCHEDULES: dict[str, tuple[Callable[..., Schedule], dict[str, Option]]] = {
    "paper": (lambda lr, epochs: paper(lr), {}),
    "constant": (lambda lr, epochs: constant(lr), {}),
    "step": (
        lambda lr, epochs, every, factor: step(lr, every=every, factor=factor),
        {
            "every": option(10, "number of epochs between two steps", least=1),
            "factor": option(0.1, "factor by which each step multiplies the learning rate", least=0.0, below=1e300),
        },
    ),
    "cosine": (lambda lr, epochs, final: cosine(lr, epochs=epochs, final=final or 0.0), {"final": _FINAL}),
    "one-cycle": (lambda lr, epochs, final: one_cycle(lr, epochs=epochs, final=final), {"final": _FINAL}),
}
