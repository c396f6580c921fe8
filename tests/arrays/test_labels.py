"""Labels of all types, and errors for wrong ones."""

import numpy as np
import pytest

from lenet5 import Dataset
from lenet5.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
TURNED = np.array([2, 0, 1, 2, 0, 1])


class Series:
    """Stands for a pandas column, which NumPy converts to an array of objects."""

    def __array__(self, dtype=None, copy=None):
        return np.array(["c", "a", "b", "c", "a", "b"], object)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (TURNED, "012"),
        (TURNED.tolist(), "012"),
        (TURNED.astype(float), "012"),
        (TURNED.astype(">u2"), "012"),
        (TURNED[:, None], "012"),
        (np.eye(3)[TURNED], "012"),
        (np.eye(3, dtype=bool)[TURNED], "012"),
        (TURNED + 1, "123"),
        (TURNED * 2 + 3, "357"),
        (["c", "a", "b", "c", "a", "b"], "abc"),
        (np.array([b"c", b"a", b"b", b"c", b"a", b"b"]), "abc"),
        (Series(), "abc"),
    ],
)
def test_labels_of_every_kind(labels, classes):
    data = Dataset(IMAGES, labels)
    assert data.labels.tolist() == TURNED.tolist() and data.labels.dtype == np.uint8
    assert data.classes == tuple(classes) and data.num_classes == 3 and data.name == "data"


def test_names_and_numbers():
    assert Dataset(IMAGES, [10, 9, 2] * 2).classes == ("2", "9", "10")
    assert Dataset(IMAGES, ["10", "9", "2"] * 2).classes == ("2", "9", "10")
    assert Dataset(IMAGES, [True, False] * 3).classes == ("False", "True")
    assert Dataset(IMAGES, TURNED, classes=["cat", "dog", "cow"]).classes == ("cat", "dog", "cow")
    assert Dataset(IMAGES, ["dog", "cat"] * 3, classes=["dog", "cat", "cow"]).labels.tolist() == [0, 1] * 3
    assert Dataset(IMAGES, [3] * 6, num_classes=10).labels.tolist() == [3] * 6
    assert Dataset(IMAGES, np.eye(4)[TURNED]).num_classes == 4  # includes a class without images
    subset = Dataset(IMAGES, ["c", "a", "b"] * 2).subset([0, 3])
    assert subset.classes == ("a", "b", "c") and subset.labels.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ([0.5] * 6, "0.5"),
        ([np.nan] * 6, "nan"),
        ([None] * 6, "NoneType"),
        (np.array([1, "a"] * 3, object), "several types"),
        (np.full((6, 3), 1 / 3), "one-hot"),
        (np.ones((6, 3)), "one-hot"),
        (np.zeros((6, 2, 2)), "one label per image"),
        (range(5), "6 images but 5 labels"),
        ([300] * 5 + [0], "301 classes"),
        (object(), "labels"),
        ([[1], [2, 3]], "labels"),
    ],
)
def test_what_is_no_label_is_named(labels, word):
    with pytest.raises(DataError, match=word):
        Dataset(IMAGES, labels)


def test_classes_are_matched_by_their_names():
    part = Dataset(IMAGES, [7, 8, 9] * 2)
    assert part.labels.tolist() == [0, 1, 2] * 2
    whole = part.relabelled([str(k) for k in range(10)])
    assert whole.labels.tolist() == [7, 8, 9] * 2 and whole.num_classes == 10
    with pytest.raises(DataError, match="'9' are not among"):
        part.relabelled([str(k) for k in range(9)])
    assert part.subset([0]).relabelled(["6", "7"]).labels.tolist() == [1]
