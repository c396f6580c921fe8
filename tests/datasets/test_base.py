import hashlib

import numpy as np
import pytest

from lenet5.datasets import Dataset
from lenet5.errors import ConfigError, DataError, LenetError, ShapeError


@pytest.fixture
def data():
    images = np.arange(10 * 6, dtype=np.uint8).reshape(10, 2, 3)
    return Dataset(images, np.arange(10, dtype=np.uint8), "toy", {"source": "here"})


def test_a_data_set_is_read_only_and_its_source_is_not(data):
    images = np.zeros((2, 3, 3), np.uint8)
    toy = Dataset(images, np.zeros(2, np.uint8), "toy")
    images[0] = 1
    with pytest.raises(ValueError):
        toy.images[0] = 2
    with pytest.raises(ValueError):
        toy.labels[0] = 2
    with pytest.raises(AttributeError):
        toy.name = "other"


def test_what_it_says_of_itself(data):
    assert len(data) == 10 and data.num_classes == 10
    assert repr(data) == "Dataset('toy', 10 images of 2x3, 10 classes)"
    assert data.digest() == hashlib.sha256(data.images.tobytes() + data.labels.tobytes()).hexdigest()
    assert data.digest() != data.subset([0, 1]).digest()


def test_strided_images_are_digested_in_order():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    turned = Dataset(images.transpose(0, 2, 1), np.zeros(2, np.uint8), "toy")
    assert turned.digest() == Dataset(turned.images.copy(), np.zeros(2, np.uint8), "toy").digest()


U8 = np.uint8


@pytest.mark.parametrize(
    "images, labels",
    [
        (np.zeros((2, 3, 3)) - 0.1, np.zeros(2, U8)),
        (np.zeros((2, 3, 3), U8), np.full(2, 0.5)),
        (np.zeros((2, 3), U8), np.zeros(2, U8)),
        (np.zeros((2, 3, 3), U8), np.zeros((2, 2), U8)),
        (np.zeros((2, 3, 3), U8), np.zeros(3, U8)),
        (np.zeros((0, 3, 3), U8), np.zeros(0, U8)),
        (np.zeros((2, 0, 3), U8), np.zeros(2, U8)),
        ([[[1]]], np.zeros(1, U8)),
    ],
)
def test_other_arrays_are_refused(images, labels):
    with pytest.raises(DataError, match="data set toy"):
        Dataset(images, labels, "toy")


def test_labels_fit_the_classes():
    with pytest.raises(DataError, match="label 7"):
        Dataset(np.zeros((1, 2, 2), U8), np.full(1, 7, U8), "toy", {}, 5)


def test_subset(data):
    assert data.subset([3, 1]).labels.tolist() == [3, 1]
    assert data.subset(data.labels > 7).labels.tolist() == [8, 9]
    assert data.subset(slice(2)).num_classes == 10
    assert data.subset(np.array(4)).labels.tolist() == [4]
    assert data.subset([1]).provenance == data.provenance
    for wrong in ([10], [0.5], ["a"], [True]):
        with pytest.raises(ShapeError):
            data.subset(wrong)
    with pytest.raises(LenetError):
        data.subset([])


def test_split_is_disjoint_complete_and_seeded(data):
    train, validation = data.split(0.3, np.random.default_rng(1))
    again = data.split(0.3, np.random.default_rng(1))
    assert len(train) == 7 and len(validation) == 3
    assert sorted([*train.labels, *validation.labels]) == list(range(10))
    assert train.digest() == again[0].digest() and validation.digest() == again[1].digest()
    other = data.split(0.3, np.random.default_rng(2))
    assert other[1].digest() != validation.digest()
    assert [len(part) for part in data.split(0.001, np.random.default_rng(0))] == [9, 1]
    assert [len(part) for part in data.split(0.999, np.random.default_rng(0))] == [1, 9]


@pytest.mark.parametrize("fraction", [0, 1, 0.0, 1.0, -0.1, 2.5, float("nan"), "0.1", None, True])
def test_split_refuses_other_fractions(data, fraction):
    with pytest.raises(ConfigError, match="fraction"):
        data.split(fraction, np.random.default_rng(0))


def test_split_refuses_other_generators_and_single_patterns(data):
    with pytest.raises(ConfigError, match="Generator"):
        data.split(0.5, 0)
    with pytest.raises(ConfigError, match="one image"):
        data.subset([0]).split(0.5, np.random.default_rng(0))
