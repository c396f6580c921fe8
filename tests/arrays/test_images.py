"""Images in all common layouts and types give the same answers, or an error that names the problem."""

import warnings

import numpy as np
import pytest

import lenet5
from lenet5 import Dataset, datasets
from lenet5.errors import LenetWarning, ShapeError


class Tensor:
    """Stands for the tensors of PyTorch and TensorFlow, which NumPy can convert to arrays."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


def framed(images):
    return np.pad(images, ((0, 0), (2, 2), (2, 2)))


# Name -> function that converts images x, uint8 (N, 28, 28), to another layout or type.
SAME = {
    "rows": lambda x: x.reshape(len(x), 784),
    "rows of the field": lambda x: framed(x).reshape(len(x), 1024),
    "rows, float shares": lambda x: x.reshape(len(x), 784) / 255,
    "rows in Fortran order": lambda x: np.asfortranarray(x.reshape(len(x), 784)),
    "channel behind": lambda x: x[..., None],
    "channel in front": lambda x: x[:, None],
    "tensor of shares": lambda x: (x / np.float32(255))[:, None],
    "tensor of shares of the field": lambda x: (framed(x) / np.float32(255))[:, None],
    "tensor object": lambda x: Tensor((x / np.float32(255))[:, None]),
    "tensor of levels": lambda x: x.astype(np.float32)[:, None],
    "tensor of levels of the field": lambda x: framed(x).astype(np.float32)[:, None],
    "shares": lambda x: x / 255,
    "shares, float32": lambda x: x / np.float32(255),
    "shares, float16": lambda x: (x / 255).astype(np.float16),
    "shares, longdouble": lambda x: x.astype(np.longdouble) / 255,
    "shares, big-endian": lambda x: (x / 255).astype(">f8"),
    "shares, channel behind": lambda x: (x / 255)[..., None],
    "levels as floats": lambda x: x.astype(float),
    "levels as float16": lambda x: x.astype(np.float16),
    "int64": lambda x: x.astype(np.int64),
    "int16": lambda x: x.astype(np.int16),
    "uint32, big-endian": lambda x: x.astype(">u4"),
    "lists": lambda x: x.tolist(),
    "lists of arrays": lambda x: list(x),
    "objects": lambda x: x.astype(object),
    "read-only": lambda x: np.frombuffer(x.tobytes(), np.uint8).reshape(x.shape),
    "every second of twice as many": lambda x: np.repeat(x, 2, axis=0)[::2],
    "mirrored twice": lambda x: x[:, :, ::-1].copy()[:, :, ::-1],
    "transposed twice": lambda x: np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1),
    "cut out": lambda x: np.pad(x, ((0, 0), (3, 3), (5, 5)))[:, 3:-3, 5:-5],
    "framed to the field": framed,
    "a subclass": lambda x: x.view(np.ma.MaskedArray),
    "prepared": lambda x: datasets.prepare(x),
    "prepared, float64": lambda x: datasets.prepare(x, dtype=np.float64),
    "prepared, big-endian": lambda x: datasets.prepare(x).astype(">f4"),
}
# Name -> function that returns images to be refused, and part of the message.
REFUSED = {
    "standardised": (lambda x: (x / 255 - 0.1307) / 0.3081, "integers from 0 to 255"),
    "standardised tensor": (lambda x: ((x / 255 - 0.1307) / 0.3081)[:, None], "integers from 0 to 255"),
    "levels above 255": (lambda x: x.astype(np.int64) * 2, "0 to 510"),
    "negative levels": (lambda x: x.astype(np.int64) - 1, "-1 to 254"),
    "0 and 1 in whole numbers": (lambda x: (x > 127).astype(np.uint8), "Multiply them by 255"),
    "0 and 1 in int64": (lambda x: (x > 127).astype(np.int64), "Multiply them by 255"),
    "NaN": (lambda x: np.where(x > 250, np.nan, x / 255), "nan"),
    "levels and fractions": (lambda x: x + 0.5, "integers from 0 to 255"),
    "complex": (lambda x: x.astype(complex), "complex128"),
    "text": (lambda x: x[:5].astype(str), "array of numbers"),
    "colour": (lambda x: np.repeat(x[..., None], 3, axis=3), "grey"),
    "one in colour": (lambda x: np.repeat(x[0][..., None], 3, axis=2), "grey"),
    "wide": (lambda x: np.concatenate([x, x], axis=2), "net.sweep"),
    "a line": (lambda x: x[:3].transpose(1, 0, 2).reshape(28, 84), "net.sweep"),
    "rows of no known size": (lambda x: x[:, :20, :20].reshape(len(x), 400), "20x20"),
    "rows of no square": (lambda x: x[:, :20, :].reshape(len(x), 560), "cannot be used"),
    "two axes too many": (lambda x: x[:, None, None], "cannot be used"),
    "a number": (lambda x: 3, "cannot be used"),
    "a path": (lambda x: "seven.png", "prepare_digit"),
}


@pytest.fixture(scope="module")
def net():
    return lenet5.pretrained()


@pytest.fixture(scope="module")
def images():
    try:
        return datasets.load("mnist", download=False)[1].images[:1000]
    except lenet5.LenetError:
        return datasets.load("digits")[1].images


@pytest.fixture(scope="module")
def expected(net, images):
    return net.outputs(images)


@pytest.mark.parametrize("name", SAME)
def test_every_layout_and_type_gives_the_same_answers(net, images, expected, name):
    given = SAME[name](images)
    np.testing.assert_array_equal(net.predict(given), expected.argmin(axis=1))
    if name != "prepared, float64":  # not yet rounded to float32
        np.testing.assert_array_equal(net.outputs(given), expected)
    maps = net.feature_maps(given if name != "lists" else given[:3])["input"]
    np.testing.assert_allclose(maps, net.prepared(images)[: len(maps)], rtol=0, atol=2e-7)  # rounding error of 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_nothing_of_the_kind_is_named(net, images, name):
    make, word = REFUSED[name]
    for ask in (net.predict, net.predict_proba, net.outputs, net.feature_maps):
        with pytest.raises(ShapeError) as error:
            ask(make(images))
        assert word in str(error.value)


def test_bools_are_black_and_white(net, images):
    np.testing.assert_array_equal(net.outputs(images > 127), net.outputs((images > 127) * np.uint8(255)))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x: 255 - x, "dark on light"),
        (lambda x: (255 - framed(x)) / 255, "dark on light"),
        (lambda x: 1.075 - datasets.prepare(x), "dark on light"),
        (lambda x: x // 8, "almost black"),
        (lambda x: ((framed(x) / 255 - 0.1307) / 0.3081)[:, None], "standardised"),
    ],
)
def test_what_cannot_be_ink_as_it_was_learned_is_said_once(net, images, change, word):
    given = change(images)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            net.predict(given)
    assert [word in str(w.message) for w in caught] == [True] and caught[0].filename == __file__
    with pytest.warns(LenetWarning, match=word):
        net.predict(given[:1])


def test_one_picture_in_every_form(net, images):
    one, expected = images[4], net.outputs(images[4:5])
    for given in (one, one / 255, one.tolist(), one[..., None], one[None], one.ravel(), one.ravel() / 255):
        np.testing.assert_array_equal(net.outputs(given), expected)
    for given in (one, one[..., None], one.ravel(), datasets.prepare(one)[0]):
        assert net.feature_maps(given)["C1"].shape == (6, 28, 28)
    assert net.feature_maps(one[None])["C1"].shape == (1, 6, 28, 28)


def test_rows_of_what_it_was_trained_on():
    """Rows of 64 pixels are read as 8x8 only by a network trained on such images."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 200, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    net = lenet5.models.d2l(classes=3)
    with pytest.raises(ShapeError, match="8x8"):
        net.predict(images.reshape(60, 64))
    lenet5.fit(net, (images, labels), epochs=1, verbose=False)
    np.testing.assert_array_equal(net.predict(images.reshape(60, 64)), net.predict(images))


def test_dark_on_light_is_no_news_to_a_network_that_learned_it():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 50, (60, 28, 28), dtype=np.uint8), np.arange(60) % 3
    net = lenet5.models.d2l(classes=3)
    lenet5.fit(net, (255 - images, labels), epochs=1, verbose=False)
    net.predict(255 - images)
    with pytest.warns(LenetWarning, match="light on dark, but the training images were dark on light"):
        net.predict(images)


def test_colour_in_every_form():
    net = lenet5.models.cifar10()
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    expected = net.outputs(images)
    for given in (
        images / 255, images.transpose(0, 3, 1, 2), images.transpose(0, 3, 1, 2) / np.float32(255), images.tolist(),
        images.astype(np.int64), net.prepared(images),
    ):  # fmt: skip
        np.testing.assert_array_equal(net.outputs(given), expected)
    np.testing.assert_array_equal(net.outputs(images[0]), net.outputs(images[:1]))
    for given in (
        images[..., 0],
        images[0, ..., 0],
        images.reshape(5, -1),
        images[:, :3, :, :],
        np.zeros((2, 3, 40, 40)),
    ):
        with pytest.raises(ShapeError):
            net.predict(given)


def test_a_network_without_a_preparation_takes_grey_levels():
    net = lenet5.Sequential([lenet5.Conv2D(2, 5), lenet5.ReLU(), lenet5.Flatten(), lenet5.Dense(3)])
    with pytest.raises(ShapeError, match="not built"):
        net.predict(np.zeros((28, 28), np.uint8))
    net.build((1, 12, 10))
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 10), dtype=np.uint8)
    np.testing.assert_array_equal(net.outputs(images), net.outputs((images / np.float32(255))[:, None]))
    np.testing.assert_array_equal(net.outputs(images / 255), net.outputs(images))
    np.testing.assert_array_equal(
        net.outputs(images[:, :6]), net.outputs(np.pad(images[:, :6], ((0, 0), (3, 3), (0, 0))))
    )


@pytest.mark.parametrize("name", [name for name in SAME if not name.startswith("prepared") and "field" not in name])
def test_a_data_set_takes_them_too(images, name):
    labels = np.arange(len(images)) % 10
    data = Dataset(SAME[name](images), labels)
    np.testing.assert_array_equal(data.images, images)
    assert data.digest() == Dataset(images, labels).digest()


def test_what_a_data_set_refuses(images):
    for given, word in (
        ((images / 255 - 0.13) / 0.31, "standardisation"), (images[:, :20].reshape(len(images), 560), "560"),
        (np.stack([images[..., None]] * 3), "Images must be integers"), (np.zeros((4, 3, 5, 3)), "two axes"),
    ):  # fmt: skip
        with pytest.raises(lenet5.errors.DataError, match=word):
            Dataset(given, np.arange(len(given)) % 3)
