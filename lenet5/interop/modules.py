"""PyTorch modules for all layers, including those that PyTorch lacks. Only `to_torch` imports this file."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["KINDS", "RBF", "Copies", "ScaledTanh", "Subsampling", "keep_zeros", "sequence"]


def sequence(made: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return a sequence of named modules."""
    return nn.Sequential(OrderedDict(made))


def keep_zeros(weight: torch.Tensor, table: torch.Tensor) -> None:
    """Zero the gradients of the kernels in a weight tensor (O, C, kh, kw) that the connection table (O, C) excludes."""
    weight.register_hook(lambda gradient: gradient * table[:, :, None, None].to(gradient))


class ScaledTanh(nn.Module):
    """Scaled tanh: y = A tanh(S x) (eq. 6)."""

    def __init__(self, amplitude: float, slope: float) -> None:
        super().__init__()
        self.amplitude, self.slope = amplitude, slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y, with the same shape as x."""
        return self.amplitude * torch.tanh(self.slope * x)


class Subsampling(nn.Module):
    """Trainable sub-sampling: y[c] = coefficient[c] * (sum of each window of x[c]) + bias[c]."""

    def __init__(self, maps: int, size: int, stride: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))
        self.size, self.stride = size, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        sums = nn.functional.avg_pool2d(x, self.size, self.stride) * self.size**2
        return self.coefficient[:, None, None] * sums + self.bias[:, None, None]


class RBF(nn.Module):
    """RBF units: the squared distance of x from each code (eq. 7)."""

    codes: torch.Tensor

    def __init__(self, classes: int, cells: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(classes, cells))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the penalties y (N, classes) for x (N, D) or (N, D, 1, 1)."""
        return (x.flatten(1)[:, None, :] - self.codes).square().sum(dim=2)


class Copies(nn.Module):
    """Repeat every map `copies` times."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y (N, C*copies, H, W) for x (N, C, H, W)."""
        return x.repeat_interleave(self.copies, dim=1)


KINDS: dict[str, type[nn.Module]] = {
    "AvgPool2d": nn.AvgPool2d,
    "BatchNorm1d": nn.BatchNorm1d,
    "BatchNorm2d": nn.BatchNorm2d,
    "Conv2d": nn.Conv2d,
    "Copies": Copies,
    "Dropout": nn.Dropout,
    "ELU": nn.ELU,
    "Flatten": nn.Flatten,
    "LeakyReLU": nn.LeakyReLU,
    "Linear": nn.Linear,
    "MaxPool2d": nn.MaxPool2d,
    "PReLU": nn.PReLU,
    "RBF": RBF,
    "ReLU": nn.ReLU,
    "ScaledTanh": ScaledTanh,
    "Sigmoid": nn.Sigmoid,
    "Subsampling": Subsampling,
    "Tanh": nn.Tanh,
    "ZeroPad2d": nn.ZeroPad2d,
}
