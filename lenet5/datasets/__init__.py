"""Data sets: found on disk or downloaded, always verified; and preparation for the network."""

from .base import Dataset
from .distort import DISTORTIONS, Distort, Distortion, noise, shift, transform
from .handwriting import normalise_digit, normalise_line
from .idx import read_idx, write_idx
from .loading import NAMES, load, load_auto
from .mnist import download_mnist, load_idx_pair
from .preparation import BACKGROUND, FOREGROUND, SCALES, one_hot, prepare, prepare_digit

__all__ = [
    "BACKGROUND",
    "DISTORTIONS",
    "FOREGROUND",
    "NAMES",
    "SCALES",
    "Dataset",
    "Distort",
    "Distortion",
    "download_mnist",
    "load",
    "load_auto",
    "load_idx_pair",
    "noise",
    "normalise_digit",
    "normalise_line",
    "one_hot",
    "prepare",
    "prepare_digit",
    "read_idx",
    "shift",
    "transform",
    "write_idx",
]
