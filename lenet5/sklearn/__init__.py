"""LeNet-5 as a scikit-learn classifier."""

from .classifier import LeNet5Classifier

__all__ = ["LeNet5Classifier"]
