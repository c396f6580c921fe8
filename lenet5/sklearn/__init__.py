"""LeNet-5 as scikit-learn's users know a classifier."""

from .classifier import LeNet5Classifier

__all__ = ["LeNet5Classifier"]
