"""The named architectures, and how a saved description becomes a network again."""

from collections.abc import Callable
from typing import Any

from ..errors import ConfigError, shown
from ..network import Sequential
from .build import one_of
from .later import caffe, cifar10, d2l, mattwang44, tensorflow_tutorial
from .paper import lenet1, lenet4, lenet5

__all__ = ["MODELS", "from_spec"]

MODELS: dict[str, Callable[..., Sequential]] = {
    "lenet5": lenet5,
    "lenet4": lenet4,
    "lenet1": lenet1,
    "lenet5-mattwang44": mattwang44,
    "caffe": caffe,
    "tensorflow-tutorial": tensorflow_tutorial,
    "d2l": d2l,
    "lenet5-cifar10": cifar10,
}


def from_spec(spec: dict[str, Any], **more: Any) -> Sequential:
    """Build the network that a `Sequential.spec` describes.

    Parameters
    ----------
    spec : dict
        ``name``, a key of `MODELS`, and the options of that builder.
    **more
        Further options, such as ``seed``.

    Raises
    ------
    ConfigError
        If there is no such network or option.
    """
    options = dict(spec)
    name = options.pop("name", None)
    one_of("name of the network", name, tuple(MODELS))
    try:
        return MODELS[name](**options, **more)
    except (ArithmeticError, TypeError, ValueError) as error:
        why = str(error).rstrip(".")
        raise ConfigError(f"The network {name!r} cannot be built from {shown(options)}: {why}.") from error
