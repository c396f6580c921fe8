"""Initial weights: functions (shape, fan_in, fan_out, rng) -> float64 array.

Weights are drawn in float64 and rounded by the layer, so float32 and float64 networks with the same seed start from
the same weights, up to rounding. By default, biases start at 0, because the paper's rule covers only weights.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from .errors import ConfigError, shown

__all__ = [
    "INITIALIZERS", "Initializer", "fan_in_uniform", "gaussian", "he", "he_uniform", "named", "paper",
    "truncated_normal", "xavier", "xavier_normal",
]  # fmt: skip

Initializer = Callable[[tuple[int, ...], int, int, np.random.Generator], np.ndarray]


def paper(
    shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator, *, scale: float = 2.4
) -> np.ndarray:
    """Draw from the uniform distribution on [-scale/F, scale/F], where F is the fan-in, as in appendix A of the paper.

    At the paper's learning rates, a network initialised in this way does not train: every curvature is about 0, so
    every learning rate is eta/mu, and the units saturate immediately. See `fan_in_uniform`.
    """
    return rng.uniform(-scale / fan_in, scale / fan_in, shape)


def fan_in_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator, *, scale: float = 1.0
) -> np.ndarray:
    """Draw from the uniform distribution on [-scale/sqrt(F), scale/sqrt(F)], where F is the fan-in.

    This is the default and reproduces the paper's results. It departs from appendix A, whose bound 2.4/F has
    no square root.
    """
    bound = scale / np.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape)


def gaussian(
    shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator, *, std: float = 0.1
) -> np.ndarray:
    """Draw from a normal distribution with mean 0 and standard deviation `std`, independent of the fan-in."""
    return rng.normal(0.0, std, shape)


def truncated_normal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator, *, std: float = 0.1
) -> np.ndarray:
    """Draw from a normal distribution with mean 0 and standard deviation `std`, truncated at 2 std."""
    drawn = rng.normal(0.0, std, shape)
    while (beyond := np.abs(drawn) > 2 * std).any():
        drawn[beyond] = rng.normal(0.0, std, int(beyond.sum()))
    return drawn


def xavier(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the uniform distribution on [-b, b] with b = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


def xavier_normal(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal distribution with standard deviation sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return rng.normal(0.0, np.sqrt(2.0 / (fan_in + fan_out)), shape)


def he(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal distribution with standard deviation sqrt(2 / fan_in), for ReLU (He et al. 2015)."""
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)


def he_uniform(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the uniform distribution on [-b, b] with b = sqrt(6 / fan_in), for ReLU (He et al. 2015)."""
    bound = np.sqrt(6.0 / fan_in)
    return rng.uniform(-bound, bound, shape)


INITIALIZERS: dict[str, Initializer] = {
    "fan-in": fan_in_uniform,
    "fan-in-2.4": partial(fan_in_uniform, scale=2.4),
    "gaussian": gaussian,
    "he": he,
    "he-uniform": he_uniform,
    "paper": paper,
    "truncated-normal": truncated_normal,
    "xavier": xavier,
    "xavier-normal": xavier_normal,
}


def named(init: Initializer | str) -> Initializer:
    """Return the initialiser with a name from `INITIALIZERS`; return a function unchanged.

    Raises
    ------
    ConfigError
        If the name is unknown, or the value is not a function.
    """
    if callable(init):
        return init
    if not isinstance(init, str) or init not in INITIALIZERS:
        raise ConfigError(f"init must be a function or one of {', '.join(INITIALIZERS)}; found {shown(init)}.")
    return INITIALIZERS[init]
