"""Data sets: found on disk or downloaded, always verified; and preparation for the network."""

from .base import Dataset
from .distort import DISTORTIONS, Distort, Distortion, noise, shift, transform
from .folder import from_folder
from .handwriting import normalise_digit, normalise_line
from .idx import read_idx, write_idx
from .idx_sets import load_idx_pair
from .loading import NAMES, load, load_auto
from .mnist import download_mnist
from .moments import deslant
from .preparation import BACKGROUND, FOREGROUND, SCALES, one_hot, prepare, prepare_digit
from .table import from_arrays, from_csv, from_npz

__all__ = [
    "BACKGROUND",
    "DISTORTIONS",
    "FOREGROUND",
    "NAMES",
    "SCALES",
    "Dataset",
    "Distort",
    "Distortion",
    "deslant",
    "download_mnist",
    "from_arrays",
    "from_csv",
    "from_folder",
    "from_npz",
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
