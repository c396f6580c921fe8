"""Nearest neighbours, tangent distance and local learning, compared with independent calculations."""

import numpy as np
import pytest

from lenet5 import datasets
from lenet5.datasets import transform
from lenet5.reproduce.classifiers import CLASSIFIERS
from lenet5.reproduce.neighbours import MEMORIES, KNearest, LocalLinear, features, votes
from lenet5.reproduce.tangents import TangentNearest, smoothed, tangent_bases, tangent_distances, tangents


@pytest.fixture(scope="module")
def digits():
    train, test = datasets.load("digits")
    return train.subset(slice(700)), test.subset(slice(200))


def flat(data):
    return data.images.reshape(len(data), -1).astype(np.float32) / 255


def test_votes_by_hand():
    scores = votes(np.array([[1.0, 4.0, 2.0], [5.0, 5.0, 5.0]]), np.array([[0, 2, 2], [1, 1, 1]]), 3)
    np.testing.assert_allclose(scores, [[1.0, 0.0, 0.75], [0.0, 0.6, 0.0]])


def test_nearest_neighbours_are_those_of_all_distances(digits):
    train, test = digits
    known, asked = flat(train), flat(test)
    distances = np.linalg.norm(asked[:, None] - known, axis=2)
    made = KNearest(3).fit(known, train.labels)
    order = np.argsort(distances, axis=1)[:, :3]
    expected = votes(np.take_along_axis(distances, order, axis=1), train.labels[order], 10)
    np.testing.assert_allclose(made.decision_function(asked), expected, rtol=1e-3)
    assert (KNearest(1).fit(known, train.labels).predict(known) == train.labels).all()


def pair_distances(one, other, sigma=1.0):
    """Return Euclidean and tangent distance of two smoothed images."""
    smooth = smoothed(np.stack([one, other]).astype(np.float32) / 255, sigma)
    bases, rows = tangent_bases(smooth), smooth.reshape(2, -1)
    return np.linalg.norm(rows[0] - rows[1]), tangent_distances(rows[0], bases[0], rows[1:], bases[1:])[0]


@pytest.mark.parametrize(
    "change", [{"rotation": 8}, {"right": 1}, {"down": -1}, {"scale": 1.08}, {"squeeze": 1.08}, {"shear": 0.12}]
)
def test_small_transformations_cost_little(change, digits):
    images = digits[0].images[:12]
    moved = transform(images, **change)
    pairs = [pair_distances(a, b) for a, b in zip(images, moved, strict=True)]
    assert np.mean([tangent / euclidean for euclidean, tangent in pairs]) < 0.4
    # Images of other digits remain distant.
    labels = digits[0].labels
    others = [pair_distances(images[0], images[k]) for k in range(12) if labels[k] != labels[0]]
    assert min(tangent for _, tangent in others) > 3 * pairs[0][1]


def test_thickness_costs_little():
    side = np.mgrid[:28, :28] - 13.5
    stroke = lambda width: 250 / (1 + np.exp(2 * (np.abs(side[1]) - width))) * (np.abs(side[0]) < 9)  # noqa: E731
    euclidean, tangent = pair_distances(stroke(1.5).astype(np.uint8), stroke(2.0).astype(np.uint8))
    assert tangent < 0.4 * euclidean


def test_tangents_are_derivatives_of_the_transformations():
    """Tangents of a paraboloid around (2, -1) equal its known derivatives."""
    y, x = np.mgrid[:9, :9] - 4.0
    image = 50 - (x - 2) ** 2 - 2 * (y + 1) ** 2
    p_x, p_y = -2 * (x - 2), -4 * (y + 1)
    expected = [p_x, p_y, x * p_x + y * p_y, y * p_x - x * p_y, x * p_x - y * p_y, y * p_x + x * p_y, p_x**2 + p_y**2]
    inner = slice(1, -1)
    np.testing.assert_allclose(tangents(image[None])[0][:, inner, inner], np.array(expected)[:, inner, inner])


def test_tangent_distance_is_the_least_squares_of_both_planes(digits):
    """The distance equals that of numpy.linalg.lstsq on the tangents, without orthonormal bases."""
    smooth = smoothed(digits[0].images[:8].astype(np.float32) / 255, 1.0).astype(np.float64)
    rows, bases = smooth.reshape(8, -1), tangent_bases(smooth)
    found = tangent_distances(rows[0], bases[0], rows[1:], bases[1:])
    planes = tangents(smooth).reshape(8, 7, -1)
    for k, distance in enumerate(found, 1):
        both, d = np.concatenate([planes[0], planes[k]]).T, rows[0] - rows[k]
        best = np.linalg.lstsq(both, d, rcond=None)[0]
        assert distance == pytest.approx(np.linalg.norm(d - both @ best), rel=0.01)
    identical = bases @ bases.swapaxes(1, 2)
    np.testing.assert_allclose(identical, np.broadcast_to(np.eye(7), identical.shape), atol=1e-3)
    back = tangent_distances(rows[1], bases[1], rows[:1], bases[:1])[0]
    assert back == pytest.approx(found[0], rel=1e-4)  # symmetric
    assert tangent_distances(rows[0], bases[0], rows[:1], bases[:1])[0] < 1e-6


def test_scores_are_the_nearest_of_each_class(digits):
    train, test = digits
    made = TangentNearest(700, 1.0).fit(flat(train), train.labels)
    smooth = smoothed(test.images[:3].astype(np.float32) / 255, 1.0)
    known = smoothed(train.images.astype(np.float32) / 255, 1.0).reshape(700, -1)
    for image, basis, scores in zip(smooth, tangent_bases(smooth), made.decision_function(flat(test)[:3]), strict=True):
        all_distances = tangent_distances(image.ravel(), basis, known, made._bases)
        expected = [-all_distances[train.labels == c].min() for c in range(10)]
        np.testing.assert_allclose(scores, expected, rtol=1e-4)
    one_class = TangentNearest(2, 1.0).fit(flat(train), train.labels).decision_function(flat(test))
    assert np.isfinite(one_class).all() and (np.ptp(one_class, axis=1) > 0).all()


def test_tangent_distance_helps_with_few_images(digits):
    train, test = digits
    few = train.subset(slice(150))
    tangent = TangentNearest(30, 1.0).fit(flat(few), few.labels).predict(flat(test))
    euclidean = KNearest(1).fit(flat(few), few.labels).predict(flat(test))
    assert (tangent != test.labels).mean() < (euclidean != test.labels).mean()
    empty = np.zeros((1, 784), np.float32)  # an image without tangents
    assert np.isfinite(TangentNearest(5, 1.0).fit(flat(few), few.labels).decision_function(empty)).all()


def test_local_learning_solves_its_least_squares():
    """Scores equal those of numpy.linalg.lstsq, with rows for the decay and the output at the image as bias."""
    rng = np.random.default_rng(0)
    known, labels, asked = rng.normal(size=(30, 4)), rng.integers(3, size=30), rng.normal(size=(5, 4))
    made = LocalLinear(8, 0.3).fit(known, labels)
    for image, scores in zip(asked, made.decision_function(asked), strict=True):
        near = np.argsort(np.linalg.norm(known - image, axis=1))[:8]
        z = known[near] - image
        decay = 0.3 * (z**2).sum(axis=1).mean()
        rows = np.block([[np.ones((8, 1)), z], [np.zeros((4, 1)), np.sqrt(decay) * np.eye(4)]])
        targets = 2.0 * (labels[near][:, None] == np.arange(3)) - 1
        solved = np.linalg.lstsq(rows, np.concatenate([targets, np.zeros((4, 3))]), rcond=None)[0]
        np.testing.assert_allclose(scores, solved[0], atol=1e-9)


def test_local_learning_bends_where_votes_do_not():
    """Close to the border of two classes, a linear fit to all neighbours is right, but their vote is wrong."""
    known = np.linspace(-1, 1, 41)[:, None]
    labels = (known[:, 0] > 0).astype(int)
    asked = np.array([[0.075]])
    linear = LocalLinear(41, 1e-6).fit(known, labels).decision_function(asked)[0]
    vote = LocalLinear(41, 1e9).fit(known, labels).decision_function(asked)[0]
    assert linear.argmax() == 1 and vote.argmax() == 0
    np.testing.assert_allclose(vote, [2 * 21 / 41 - 1, 2 * 20 / 41 - 1], atol=1e-6)


def test_last_layer_of_a_trained_network_replaced():
    import lenet5

    net, (train, test) = lenet5.pretrained(), datasets.load("digits")
    train = train.subset(slice(600))
    states = features(net, test.images)
    assert states.shape == (len(test), 84)  # states of F6
    np.testing.assert_allclose(states[7], net.feature_maps(test.images[7])["F6"], atol=1e-5)
    for name, measure in MEMORIES.items():
        found = measure(net, train, test)
        assert set(found) == {f"{name}_error", f"{name}_rejected"}
        assert found[f"{name}_error"] < 0.1


def test_deterministic_for_every_seed(digits):
    train, test = digits
    for name in ("k-nearest", "tangent-distance"):
        one, other = (CLASSIFIERS[name](seed, 700).fit(flat(train), train.labels) for seed in (0, 1))
        np.testing.assert_array_equal(one.decision_function(flat(test)), other.decision_function(flat(test)))
        assert repr(one) == repr(other) != ""
