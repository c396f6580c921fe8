"""Build networks of the paper and of other projects by name; save and load networks."""

from .build import CHARACTERS
from .later import caffe, cifar10, d2l, mattwang44, tensorflow_tutorial
from .paper import lenet1, lenet4, lenet5
from .registry import MODELS, from_spec
from .summary import summary
from .weights import load, pretrained, save

__all__ = [
    "CHARACTERS",
    "MODELS",
    "caffe",
    "cifar10",
    "d2l",
    "from_spec",
    "lenet1",
    "lenet4",
    "lenet5",
    "load",
    "mattwang44",
    "pretrained",
    "save",
    "summary",
    "tensorflow_tutorial",
]
