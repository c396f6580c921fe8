"""Exchange weights with PyTorch and Keras 3. The frameworks are imported only on demand."""

from .from_keras import from_keras
from .from_torch import from_torch
from .to_keras import to_keras
from .to_torch import TorchNetwork, to_torch

__all__ = ["TorchNetwork", "from_keras", "from_torch", "to_keras", "to_torch"]
