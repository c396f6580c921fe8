"""The boosted LeNet-4: selection of training images, and the sum of three networks."""

import numpy as np
import pytest

from lenet5 import datasets
from lenet5.datasets import Dataset
from lenet5.reproduce.boosting import Boosted, disagreed, half_wrong, supply


class Rule:
    """Stands for a network; its answer depends on the first pixel of the image."""

    def __init__(self, answers):
        self.answers = np.array(answers)

    def predict(self, images):
        return self.answers[images[:, 0, 0]]


@pytest.fixture
def numbered():
    """Function that yields 200 images in lots of 20; the first pixel, 0 to 9, is the label."""
    pixels = np.arange(200, dtype=np.uint8) % 10
    images = np.repeat(pixels, 4).reshape(200, 2, 2)
    return lambda: iter([(images[start : start + 20], pixels[start : start + 20]) for start in range(0, 200, 20)])


def test_half_of_what_the_second_learns_the_first_gets_wrong(numbered):
    first = Rule([0, 1, 2, 3, 4, 5, 6, 7, 0, 0])  # wrong for 8 and 9, a fifth of the images
    images, labels = half_wrong(numbered(), first, 40)
    wrong = first.predict(images) != labels
    assert len(labels) == 40 and wrong.sum() == 20 and set(labels[wrong]) == {8, 9}
    assert set(labels[~wrong]) <= set(range(8))
    np.testing.assert_array_equal(images[:, 0, 0], labels)  # images match their labels
    images, labels = half_wrong(numbered(), first, 1000)  # only 40 images are misclassified
    assert len(labels) == 80 and (first.predict(images) != labels).sum() == 40


def test_the_third_learns_what_the_two_disagree_on(numbered):
    first, second = Rule(range(10)), Rule([0, 1, 2, 9, 4, 5, 9, 7, 8, 9])
    images, labels = disagreed(numbered(), first, second, 30)
    assert len(labels) == 30 and set(labels) == {3, 6}
    assert (first.predict(images) != second.predict(images)).all()
    assert len(disagreed(numbered(), first, second, 1000)[1]) == 40


def test_the_supply_is_distorted_and_fresh():
    data = datasets.load("digits")[0].subset(slice(50))
    lots = list(supply(data, np.random.default_rng(0), 2))
    assert [len(labels) for _, labels in lots] == [50, 50]
    for images, labels in lots:
        np.testing.assert_array_equal(np.bincount(labels), np.bincount(data.labels))
        same = [(image == data.images).all((1, 2)).any() for image in images]
        assert np.mean(same) < 0.4  # about a tenth is undistorted
    assert (lots[0][0] != lots[1][0]).any()


def test_three_networks_are_added():
    train, test = datasets.load("digits")
    images = train.images.reshape(len(train), -1)[:600] / np.float32(255)
    made = Boosted(0, count=200, epochs=2, rounds=3).fit(images, train.labels[:600])
    assert made.counts[0] == 600 and all(20 <= count <= 200 for count in made.counts[1:])
    rows = test.images.reshape(len(test), -1) / np.float32(255)
    outputs = [net.outputs(test.images) for net in made.members]
    assert len(outputs) == 3 and not np.array_equal(outputs[0], outputs[1])
    np.testing.assert_allclose(made.decision_function(rows), outputs[0] + outputs[1] + outputs[2], rtol=1e-5)
    np.testing.assert_array_equal(made.predict(rows), sum(outputs).argmax(axis=1))
    assert (made.predict(rows) != test.labels).mean() < 0.2
    again = Boosted(0, count=200, epochs=2, rounds=3).fit(
        Dataset(train.images[:600], train.labels[:600]).images, train.labels[:600]
    )
    np.testing.assert_array_equal(again.decision_function(rows), made.decision_function(rows))  # reproducible
