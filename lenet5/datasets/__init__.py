"""Data sets: find or download them, verify them by hash, and prepare them for the network."""

from .base import Dataset
from .distort import Distort, Distortion, noise, shift, transform
from .distortions import DISTORTIONS
from .folder import from_folder
from .handwriting import normalise_digit, normalise_line
from .idx import read_idx, write_idx
from .idx_sets import load_idx_pair
from .lines import Neighbours, line_of, line_sets
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
    "Neighbours",
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
    "line_of",
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
    "line_sets",
    "write_idx",
]
