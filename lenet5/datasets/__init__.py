"""Data sets: found on disk or downloaded, always verified; and preparation for the network."""

from .base import Dataset
from .distort import Distortion, shift
from .handwriting import normalise_digit
from .idx import read_idx, write_idx
from .loading import NAMES, load, load_auto
from .mnist import download_mnist, load_idx_pair
from .transforms import BACKGROUND, FOREGROUND, prepare, prepare_digit

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "NAMES",
    "Dataset",
    "Distortion",
    "download_mnist",
    "load",
    "load_auto",
    "load_idx_pair",
    "normalise_digit",
    "prepare",
    "prepare_digit",
    "read_idx",
    "shift",
    "write_idx",
]
