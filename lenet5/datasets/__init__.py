"""Data sets: found on disk or downloaded, always verified; and preparation for the network."""

from lenet5.datasets.base import Dataset
from lenet5.datasets.handwriting import normalise_digit
from lenet5.datasets.idx import read_idx, write_idx
from lenet5.datasets.loading import NAMES, load, load_auto
from lenet5.datasets.mnist import download_mnist, load_idx_pair
from lenet5.datasets.transforms import BACKGROUND, FOREGROUND, prepare, prepare_digit

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "NAMES",
    "Dataset",
    "download_mnist",
    "load",
    "load_auto",
    "load_idx_pair",
    "normalise_digit",
    "prepare",
    "prepare_digit",
    "read_idx",
    "write_idx",
]
