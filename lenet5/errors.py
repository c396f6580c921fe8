"""Exceptions. Each message says what was wrong, where, and what to do."""

import reprlib

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "DownloadError",
    "ImageError",
    "LenetError",
    "LenetWarning",
    "ShapeError",
    "shown",
]


class LenetError(Exception):
    """Base class of every error that this library raises on purpose.

    Attributes
    ----------
    exit_code : int
        Exit status of a command that ends with this error.
    """

    exit_code = 1


class LenetWarning(UserWarning):
    """A problem that the library could handle; the message says how."""


class ConfigError(LenetError):
    """An option, a configuration file or a constructor argument is wrong."""

    exit_code = 2


class DataError(LenetError):
    """A data set or data file is missing, damaged, or not in the format that its name implies."""

    exit_code = 3


class DownloadError(DataError):
    """No mirror delivered a verified file; the message lists the failure of each mirror."""


class ImageError(DataError):
    """An image cannot be read, or contains nothing to recognise."""


class CheckpointError(LenetError):
    """A checkpoint or weights file is damaged, incomplete, or belongs to another network."""

    exit_code = 4


class DivergenceError(LenetError):
    """Training diverged: a value is not finite, or the loss or the training error rose sharply."""

    exit_code = 5


class ShapeError(LenetError, ValueError):
    """An array has a shape, dtype or value range that a layer, loss or network does not accept."""


def shown(value: object) -> str:
    """Return the `repr` of a value for a message, truncated if it is long."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    try:
        return short.repr(value)
    except Exception:  # an integer with more digits than Python prints, or an object with a failing __repr__
        return f"a value of type {type(value).__name__}"
