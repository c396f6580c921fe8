"""Distortions by name, as used in configurations."""

from .distort import Distort, Distortion, noise, shift
from .lines import Neighbours

__all__ = ["DISTORTIONS"]

DISTORTIONS: dict[str, Distortion] = {
    "shift": shift,
    "affine": Distort(),
    "rotation": Distort(translation=0.0, scale=0.0, squeeze=0.0, shear=0.0, rotation=15.0),
    "elastic": Distort(translation=0.0, scale=0.0, squeeze=0.0, shear=0.0, elastic=34.0),
    "noise": noise,
    "all": Distort(squeeze=0.12, shear=0.2, rotation=12.0, elastic=15.0),
    "neighbours": Neighbours(),
}
