import numpy as np

from lenet5.datasets import load


def test_digits():
    train, test = load("digits")
    assert (train.images.shape, test.images.shape) == ((1437, 28, 28), (360, 28, 28))
    assert train.labels[:10].tolist() == list(range(10)) and train.num_classes == test.num_classes == 10
    assert train.provenance["source"].startswith("scikit-learn ")
    assert train.digest() == load("digits")[0].digest()


def test_they_look_like_mnist():
    images = load("digits")[0].images.astype(float)
    assert (images.max(axis=(1, 2)) > 200).all() and images[:, [0, -1]].max() == images[:, :, [0, -1]].max() == 0
    for axis in (1, 2):
        profile = images.sum(axis=axis)
        centres = profile @ np.arange(28) / profile.sum(axis=1)
        assert np.abs(centres - 14).max() < 0.6
    ink = (images.max(axis=1) > 0).sum(axis=1)
    assert ink.max() <= 20


def test_classes_can_be_told_apart():
    """The nearest class mean is correct for most images, so images and labels match."""
    train, test = load("digits")
    means = np.stack([train.images[train.labels == c].mean(axis=0) for c in range(10)])
    distance = ((test.images[:, None] - means) ** 2).sum(axis=(2, 3))
    assert (distance.argmin(axis=1) == test.labels).mean() > 0.8
