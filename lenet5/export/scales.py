"""Scales of quantised values, and the multipliers and shifts that convert between scales."""

from typing import NamedTuple

import numpy as np

__all__ = ["Scale", "least_scale", "rounded", "scale_of", "shift_of"]

_BITS = 20  # number of bits of the largest multiplier


class Scale(NamedTuple):
    """Scale and zero point of int8 values q, which represent x = scale * (q - zero)."""

    scale: float
    zero: int


def scale_of(values: tuple[float, float]) -> Scale:
    """Return the scale for a range of values that includes 0."""
    low, high = min(values[0], 0.0), max(values[1], 0.0)
    scale = (high - low) / 255 or 1.0
    return Scale(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def rounded(values: np.ndarray, at: Scale) -> np.ndarray:
    """Quantise values to int8 with the given scale."""
    return np.clip(np.rint(values / at.scale) + at.zero, -128, 127).astype(np.int8)


def least_scale(scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return the smallest scale per output map for a multiplier of at least 10 bits and a bias of at most 30."""
    return np.maximum(scale.max() / (1 << 10), np.abs(shift) / (1 << 30))


def shift_of(factors: np.ndarray) -> int:
    """Return the shift for which the largest factor has `_BITS` bits."""
    largest = float(np.abs(factors).max()) or 1.0
    return int(np.clip(_BITS - 1 - np.floor(np.log2(largest)), 16, 45))
