"""`LeNet5Classifier`: scikit-learn's estimator checks, and tests with images."""

import copy
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lenet5 import LeNet5Classifier, datasets
from lenet5.datasets.preparation import prepare
from lenet5.datasets.rows import Pictures
from lenet5.datasets.shuffle import often
from lenet5.errors import DivergenceError, LenetWarning
from lenet5.models import CHARACTERS

TRAIN, TEST = datasets.load("digits")
X, Y = TRAIN.images[:200], TRAIN.labels[:200].astype(int)


def small(**options):
    return LeNet5Classifier(**{"epochs": 2, "random_state": 0, **options})


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


@parametrize_with_checks(
    [
        LeNet5Classifier(),
        LeNet5Classifier(subsampling="max", output="softmax", optimizer="adam", batch_size=16, n_jobs=2),
    ],
    # Fails for scikit-learn's SGDClassifier, too: another number of patterns has another random order.
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "a weight of 2 is not bit-identical to a repeated pattern"
    },
)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("options", [{}, {"output": "softmax", "optimizer": "adam"}])
def test_digits(options):
    model = LeNet5Classifier(epochs=4, random_state=0, **options).fit(TRAIN.images, TRAIN.labels)
    assert model.score(TEST.images, TEST.labels) > 0.9
    assert model.n_features_in_ == 784 and model.image_shape_ == (28, 28)
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "images",
    [X.reshape(200, 784), X[:, None], X[..., None], X.tolist(), X.astype(np.int64), X.astype(np.float32), X - 3.5,
     X / 255, X / 1e30],
    ids=["rows", "NCHW", "NHWC", "lists", "int64", "float32", "shifted", "0 to 1", "tiny"],
)  # fmt: skip
def test_kinds_of_images(fitted, images):
    """Pixels are scaled by their smallest and largest values, so the unit does not matter."""
    assert X.min() == 0 and X.max() == 255
    model = small().fit(images, Y)
    np.testing.assert_allclose(model.predict_proba(images), fitted.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize(
    ("rows", "shape"), [(784, (28, 28)), (64, (8, 8)), (1024, (32, 32)), (30, (1, 30)), (1, (1, 1))]
)
def test_rows_are_images(rows, shape):
    assert small(epochs=1).fit(np.arange(2 * rows).reshape(2, rows), [0, 1]).image_shape_ == shape


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (1, 30), (9, 4)])
def test_pixels_are_prepared_as_the_library_does(shape):
    images = np.random.default_rng(0).integers(256, size=(5, *shape), dtype=np.uint8)
    pictures = Pictures(images.reshape(5, -1), shape, 0.0, 255.0)
    np.testing.assert_allclose(pictures[np.array([4, 0])], prepare(images)[[4, 0]], atol=1e-6)
    np.testing.assert_array_equal(pictures.grey_levels(), images)
    beyond = Pictures(images.reshape(5, -1), shape, 100.0, 101.0)
    np.testing.assert_array_equal(beyond.grey_levels(), 255 * (images > 100))


def test_range_is_that_of_the_first_patterns():
    model = small().partial_fit(X / 255, Y, classes=range(10)).partial_fit(X[:9] / 300, Y[:9])
    assert model.range_ == (0, 1)
    assert small().fit(X[:2] // 2, Y[:2]).range_ == (0, 255)  # uint8


def test_constant_images():
    assert np.isfinite(small().fit(np.full((4, 9), 7.0), [0, 1, 0, 1]).predict_proba(np.zeros((2, 9)))).all()


@pytest.mark.parametrize(
    "names",
    [np.array([f"class {k}" for k in range(10)]), np.arange(-5, 5), np.arange(10) / 1.0, np.arange(10).astype(np.int8)],
    ids=["str", "negative", "float", "int8"],
)
def test_labels_are_names(fitted, names):
    model = small().fit(X, names[Y])
    np.testing.assert_array_equal(model.classes_, names)
    np.testing.assert_array_equal(model.predict(X), names[fitted.predict(X)])
    assert model.predict(X).dtype == names.dtype


@pytest.mark.parametrize(
    ("labels", "codes"),
    [("AZ?", "?AZ"), ([7, 3], "37"), ([10, 3], "01"), ([-1, 1], "01"), ([True, False], "01"), (["é", "a"], "01"),
     (["a", "bc"], "01"), ([5], "5"), (range(36), CHARACTERS[:36])],
    ids=repr,
)  # fmt: skip
def test_characters_of_the_rbf_units(labels, codes):
    labels = np.repeat(list(labels), 2)
    model = small(epochs=1).fit(X[: len(labels)], labels)
    assert model.net_.spec["codes"] == codes
    assert set(model.predict(X)) <= set(labels)


def test_more_classes_than_characters():
    labels = np.arange(200) // 2
    for options in ({}, {"output": "softmax"}):
        model = small(epochs=1, **options).fit(X, labels)
        assert model.predict_proba(X[:3]).shape == (3, 100) and model.net_.spec["output"] == "softmax"
    again = copy.deepcopy(model)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("options", [{}, {"optimizer": "adam"}, {"optimizer": "rmsprop", "batch_size": 32}])
def test_partial_fit_goes_on(options):
    """Two calls of `partial_fit` equal two epochs of `fit`, even if the estimator is copied between them."""
    once = small(**options).fit(X, Y)
    twice = small(**options).partial_fit(X, Y, classes=np.arange(10))
    twice = copy.deepcopy(twice).partial_fit(X, Y)
    np.testing.assert_array_equal(twice.net_.theta, once.net_.theta)
    assert twice.history_ == once.history_
    assert not np.array_equal(once.partial_fit(X, Y).net_.theta, twice.net_.theta)


def test_another_optimizer_begins_anew():
    model = small().partial_fit(X, Y, classes=range(10)).set_params(optimizer="adam").partial_fit(X, Y)
    assert model.history_[-1]["train_error"] < model.history_[0]["train_error"]


def test_the_rate_falls_in_fit_alone():
    model = small(epochs=4).fit(X, Y).partial_fit(X, Y)
    assert [record["lr"] for record in model.history_] == [2e-4, 2e-4, 2e-4, 1e-4, 2e-4]


@pytest.mark.parametrize(("first", "second"), [({"n_jobs": 1}, {"n_jobs": 3}), ({"n_jobs": None}, {"n_jobs": -1})])
def test_threads_change_no_bit(first, second):
    one, other = (small(batch_size=100, **options).fit(X, Y) for options in (first, second))
    np.testing.assert_array_equal(one.net_.theta, other.net_.theta)
    np.testing.assert_array_equal(one.predict_proba(TEST.images), other.predict_proba(TEST.images))


@pytest.mark.parametrize("seed", [1, None, "RandomState"])
def test_random_state(fitted, seed):
    make = (lambda: np.random.RandomState(1)) if seed == "RandomState" else (lambda: seed)  # noqa: NPY002
    one, same = (small(random_state=make()).fit(X, Y).predict_proba(X) for _ in range(2))
    assert np.array_equal(one, same) == (seed is not None)
    assert not np.array_equal(one, fitted.predict_proba(X))


def test_an_answer_depends_on_its_image_alone(fitted):
    together = fitted.predict_proba(TEST.images)
    for part in (slice(0, 1), slice(7, 12), slice(3, 40), slice(359, 360)):
        np.testing.assert_array_equal(fitted.predict_proba(TEST.images[part]), together[part])


def test_prediction_in_bounded_memory(fitted):
    images = np.zeros((20_000, 784), np.uint8)
    tracemalloc.start()
    fitted.predict(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # all prepared images would take 82e6


def test_distort():
    seen = []

    def darken(images, rng):
        seen.append((images.dtype, images.shape, images.max(), type(rng)))
        return images // 2

    small(distort=darken).fit(X / 255, Y)
    assert seen == [(np.uint8, (200, 28, 28), 255, np.random.Generator)] * 2
    small(distort=datasets.shift).fit(X, Y)


def test_within_scikit_learn():
    rows = X.reshape(200, -1)
    pipeline = make_pipeline(MinMaxScaler(), small(epochs=8))
    assert cross_val_score(pipeline, rows, Y, cv=2).min() > 0.5
    search = GridSearchCV(small(), {"optimizer": ["sdlm", "sgd"], "epochs": [1, 8]}, cv=2).fit(X, Y)
    assert search.best_params_["epochs"] == 8
    assert not hasattr(clone(search.best_estimator_), "classes_")


def test_verbose(capsys):
    small(verbose=1).fit(X, Y)
    assert capsys.readouterr().out.startswith("epoch  1/2  loss ")
    small().fit(X, Y)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [({"optimizer": "lbfgs"}, "sdlm, sgd, adam"), ({"output": "logits"}, "rbf, softmax"),
     ({"subsampling": "min"}, "trainable, average, max"), ({"epochs": 0}, "epochs must be at least 1"),
     ({"batch_size": 0}, "batch_size"), ({"learning_rate": -1.0}, "lr must be"), ({"n_jobs": 0}, "threads")],
    ids=repr,
)  # fmt: skip
def test_wrong_parameters(options, message):
    model = small(epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize(
    "images", [X.repeat(5, axis=1), X.reshape(100, -1), X[:, None, None], X[:, :3, :3, None].repeat(3, axis=3)]
)
def test_images_that_do_not_fit(images):
    with pytest.raises(ValueError, match=r"up to 128x128.*; found \d+"):
        small().fit(images, Y[: len(images)])


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda m: m.predict(X[:, 1:]), "756 features, but LeNet5Classifier is expecting 784"),
     (lambda m: m.partial_fit(X, Y, classes=[0, 1]), "not the same as on the last call"),
     (lambda m: m.partial_fit(X, Y + 1), r"not among the classes: \[10\]"),
     (lambda m: clone(m).partial_fit(X, Y), "classes must be passed on the first call"),
     (lambda m: clone(m).fit(X, Y[1:]), "inconsistent numbers of samples")],
)  # fmt: skip
def test_wrong_calls(fitted, call, message):
    with pytest.raises(ValueError, match=message):
        call(fitted)


def test_images_of_another_shape():
    """The same number of pixels in another shape is refused."""
    model = small().fit(X[:, :24, :24], Y)
    with pytest.raises(ValueError, match=r"expected images of shape \(24, 24\), .*found \(18, 32\)"):
        model.predict(X[:, :24, :24].reshape(-1, 18, 32))


@pytest.mark.parametrize("shape", [(40, 40), (28, 28, 3), (3, 28, 28), (48, 36, 3)])
def test_larger_images_and_colour(shape):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 80, (30, *shape)), np.arange(30) % 3
    where = {0: (slice(0, 4), slice(0, 4)), 1: (slice(4, 9), slice(0, 4)), 2: (slice(0, 4), slice(5, 9))}
    for image, label in zip(images, labels, strict=True):
        planes = image if shape[0] != 3 else np.moveaxis(image, 0, -1)
        planes[where[label]] = 255
    model = small(optimizer="adam", output="softmax", epochs=12, batch_size=5).fit(images, labels)
    assert model.score(images, labels) > 0.9
    channels = 3 if 3 in shape else 1
    assert model.net_.in_shape == (channels, *[max(32, *(side for side in shape if side != 3))] * 2)
    if channels == 3:  # channels first and last give the same answers
        turned = np.moveaxis(images, 1, -1) if shape[0] == 3 else np.moveaxis(images, -1, 1)
        np.testing.assert_array_equal(model.predict_proba(turned), model.predict_proba(images))


def test_weights_say_how_often_a_pattern_comes():
    """If every image occurs with two labels, the network learns those with non-zero weight."""
    images, truth = np.concatenate([X, X]), np.concatenate([Y, (Y + 1) % 10])
    weights = np.repeat([1.0, 0.0], 200)
    assert small(epochs=8).fit(images, truth, sample_weight=weights).score(X, Y) > 0.9
    assert small(epochs=8).fit(images, truth, sample_weight=1 - weights).score(X, (Y + 1) % 10) > 0.9
    order = often(np.array([0.0, 1, 1, 2]), np.random.default_rng(0))
    assert np.bincount(order, minlength=4).tolist() == [0, 1, 1, 2]
    counts = [np.bincount(often(np.array([0.5, 1.5]), np.random.default_rng(k)), minlength=2)[0] for k in range(400)]
    assert set(counts) == {0, 1} and np.mean(counts) == pytest.approx(0.5, abs=0.1)  # four standard errors
    for bad in (np.zeros(200), -np.ones(200), np.ones(7)):
        with pytest.raises(ValueError, match=r"non-zero|[Nn]egative|shape"):
            small().fit(X, Y, sample_weight=bad)


def test_classes_of_few_patterns_can_count_alike():
    few = np.concatenate([np.flatnonzero(Y != 3), np.flatnonzero(Y == 3)[:3]])
    plain, balanced = (small(epochs=6, class_weight=w).fit(X[few], Y[few]) for w in (None, "balanced"))
    rare = X[Y == 3]
    assert (balanced.predict(rare) == 3).mean() >= (plain.predict(rare) == 3).mean()
    with pytest.raises(ValueError, match="class_weight"):
        small(class_weight="even").fit(X, Y)
    assert (small(epochs=6, class_weight={k: float(k == 3) for k in range(10)}).fit(X, Y).predict(X) == 3).all()


def test_pixels_of_another_unit_are_said(fitted):
    with pytest.warns(LenetWarning, match="fitted on pixels from 0 to 255, but these are from 0 to 1: scale"):
        fitted.predict(X / 255)
    model = small().fit(X / 255, Y)
    with pytest.warns(LenetWarning, match="from 0 to 1, but these are from 0 to 25"):
        model.predict(X)


def test_divergence():
    with pytest.raises(DivergenceError, match="Lower the learning rate, now 1e"):
        small(optimizer="sgd", learning_rate=1e30).fit(X, Y)


def test_default_training_is_robust():
    """Default training is robust for two features; with the paper's initial rates, one training in four fails."""
    images, labels = make_blobs(n_samples=300, random_state=0)
    scores = [LeNet5Classifier(random_state=seed).fit(images, labels).score(images, labels) for seed in range(8)]
    assert min(scores) > 0.85
