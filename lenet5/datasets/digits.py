"""`digits`: 1,797 handwritten digits included in scikit-learn, for machines without access to MNIST."""

import hashlib

import numpy as np

from .base import Dataset
from .handwriting import BOX, centre, resize

__all__ = ["TRAIN_COUNT", "load_digits"]

TRAIN_COUNT = 1437  # 80 % of the digits, in their original order; some writers occur only in the last 360


def load_digits() -> tuple[Dataset, Dataset]:
    """Load scikit-learn's digits in the format of MNIST: scaled to 20x20 pixels and centred by mass in 28x28.

    Returns
    -------
    train, test : Dataset
        The first 1,437 and the last 360 digits.
    """
    import sklearn
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    pictures = bunch.images.astype(np.float32)  # (1797, 8, 8), 0 to 16
    images = np.stack([centre(np.rint(resize(p, (BOX, BOX)) * (255 / 16))) for p in pictures])
    labels = bunch.target.astype(np.uint8)
    source = f"scikit-learn {sklearn.__version__}"
    provenance = {
        "source": source,
        "digits": "sha256:" + hashlib.sha256(pictures.astype(np.uint8).tobytes() + labels.tobytes()).hexdigest(),
    }
    train, test = (
        Dataset(images[part], labels[part], "digits", provenance, 10)
        for part in (slice(0, TRAIN_COUNT), slice(TRAIN_COUNT, None))
    )
    return train, test
