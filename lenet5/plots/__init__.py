"""Plots. Each function returns a Matplotlib figure and displays nothing; `save` writes a figure to a file."""

from .answers import confusion, distortions, images, mistakes, occlusion, robustness, saliency
from .curves import compared, learning_curves, pruned, rejection, training_size
from .stages import architecture, effective_rates, feature_maps, kernels, rbf_codes, weights
from .style import save

__all__ = [
    "architecture",
    "compared",
    "confusion",
    "distortions",
    "effective_rates",
    "feature_maps",
    "images",
    "kernels",
    "learning_curves",
    "mistakes",
    "occlusion",
    "pruned",
    "rbf_codes",
    "rejection",
    "robustness",
    "saliency",
    "save",
    "training_size",
    "weights",
]
