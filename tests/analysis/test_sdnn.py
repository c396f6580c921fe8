"""Receptive fields, and reading lines by sweeping the network across them."""

import itertools

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, models
from lenet5.analysis import sdnn
from lenet5.analysis.receptive_fields import receptive_fields
from lenet5.errors import ConfigError, ImageError, ShapeError


@pytest.mark.filterwarnings("ignore:Prepared images")  # values beyond the usual range change all maxima
@pytest.mark.parametrize("build", [models.lenet5, models.lenet1, models.d2l, models.caffe], ids=lambda f: f.__name__)
def test_fields_are_the_pixels_that_matter(build):
    """A unit changes with the pixels of its receptive field and with no others."""
    net = build(seed=0, dtype=np.float64)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, *net.in_shape))
    fields, maps = receptive_fields(net), net.feature_maps(x)
    assert list(fields) == list(maps)
    side = net.in_shape[1]
    # Copies of x, each with one row or one column changed.
    changed = np.repeat(x, 2 * side, axis=0)
    for k in range(side):
        changed[k, :, k, :] += 1.0
        changed[side + k, :, :, k] += 1.0
    moved = net.feature_maps(changed)
    for name, field in fields.items():
        if maps[name].ndim == 4 and maps[name].shape[2] > 1:
            height, width = maps[name].shape[2:]
            row, column = int(rng.integers(height)), int(rng.integers(width))
            differs = (moved[name] != maps[name])[:, :, row, column].any(axis=1)
        else:
            row = column = 0
            differs = (moved[name] != maps[name]).reshape(2 * side, -1).any(axis=1)
        for axis, place, found in ((0, row, differs[:side]), (1, column, differs[side:])):
            first = field.start[axis] + place * field.step[axis]
            expected = np.zeros(side, bool)
            expected[max(0, first) : first + field.size[axis]] = True
            assert (found == expected).all(), (name, axis, place, np.flatnonzero(found))


def test_the_papers_fields():
    fields = receptive_fields(lenet5.lenet5())
    assert [f"{name} {field.size[0]}/{field.step[0]}" for name, field in fields.items()] == [
        "input 1/1", "C1 5/1", "S2 6/2", "C3 14/2", "S4 16/4", "C5 32/4", "F6 32/4", "output 32/4"
    ]  # fmt: skip


@pytest.fixture(scope="module")
def net():
    return lenet5.pretrained()


def test_every_window_is_the_network_on_what_it_sees(net):
    """A sweep gives the same penalties as the network applied to each window."""
    line = np.random.default_rng(0).integers(0, 256, (28, 97), dtype=np.uint8)
    swept = sdnn.sweep(net, line)
    x = net.prepared(line[None])[0]
    windows = np.stack([x[:, :, start : start + 32] for start in range(0, x.shape[2] - 31, 4)])
    np.testing.assert_allclose(swept.penalties.T, net.outputs(windows), rtol=2e-4, atol=1e-3)
    assert swept.columns[0] == 15.5 and set(np.diff(swept.columns)) == {4.0}


def test_digits_side_by_side(net):
    images, labels = (part[:40] for part in (datasets.load("digits")[1].images, datasets.load("digits")[1].labels))
    clear = np.flatnonzero(net.outputs(images).min(axis=1) < 2)
    assert len(clear) > 15
    rng, right = np.random.default_rng(1), 0
    for _ in range(20):
        chosen = rng.choice(clear, 3)
        paper = np.zeros((28, 10), np.uint8)
        parts = [part for i in chosen for part in (paper, images[i][:, images[i].any(axis=0)])]
        line = datasets.normalise_line(np.concatenate([*parts, paper], axis=1))
        assert line.shape[0] == 28
        swept = sdnn.sweep(net, line)
        right += swept.text == "".join(map(str, labels[chosen]))
        assert all(after.column - before.column >= 16 for before, after in itertools.pairwise(swept.digits))
    assert right >= 14


def test_blank_paper_says_nothing(net):
    assert sdnn.sweep(net, np.zeros((28, 120), np.uint8)).text == ""


def test_the_smallest_line_is_one_window(net):
    images = datasets.load("digits")[1].images
    image = images[net.outputs(images).min(axis=1).argmin()]
    swept = sdnn.sweep(net, image)
    assert swept.penalties.shape == (10, 1)
    assert swept.text == str(net.predict(image)[0])


@pytest.mark.parametrize("seed", range(8))
def test_path_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    penalties, gap = rng.uniform(0, 40, 11), int(rng.integers(1, 5))

    reject = rng.uniform(0, 40, 11) if seed % 2 else 16.0

    def score(windows):
        return sum((reject - penalties)[p] for p in windows)

    allowed = [
        windows
        for n in range(12)
        for windows in itertools.combinations(range(11), n)
        if all(b - a >= gap for a, b in itertools.pairwise(windows))
    ]
    assert sdnn.path(penalties, reject, gap=gap) == list(max(allowed, key=score))


@pytest.fixture(scope="module")
def reader():
    return lenet5.pretrained("lenet5-line")


def test_neighbours_in_sight(net, reader):
    """The weights for lines read touching digits better than those for single digits."""
    test = datasets.load("digits")[1]
    clear = test.subset((net.predict(test.images) == test.labels) & (net.outputs(test.images).min(axis=1) < 2))
    for gap, least in ((0, 0.5), (6, 0.6)):
        read = sdnn.read_lines(reader, clear, gap=gap, lines=40, digits=3)
        assert read >= least and read > sdnn.read_lines(net, clear, gap=gap, lines=40, digits=3)


def test_blanks_are_no_digits(reader):
    assert reader.classes.tolist() == [*"0123456789", " "] and sdnn.rule_of(reader).blank == 10
    digits = datasets.load("digits")[1].images[:2]
    swept = sdnn.sweep(reader, datasets.line_of(digits, gap=60))
    assert len(swept.digits) == 2 and all(each.digit < 10 for each in swept.digits)
    assert (swept.penalties.argmin(axis=0) == 10).sum() > len(swept.digits)
    assert sdnn.sweep(reader, np.zeros((28, 120), np.uint8)).text == ""


def test_scores_with_a_class_for_blanks_are_swept():
    net = models.lenet5(output="softmax", classes=11)
    net.learned = lenet5.pretrained("lenet5-line").learned
    line = datasets.line_of(datasets.load("digits")[1].images[:3])
    swept = sdnn.sweep(net, line)
    np.testing.assert_allclose(np.exp(-swept.penalties).sum(axis=0), 1, rtol=1e-5)
    windows = net.prepared(line[None])[:, :, :, 8:40]
    np.testing.assert_allclose(np.exp(-swept.penalties[:, 2]), net.predict_proba(windows)[0], rtol=1e-4)


def test_lines_are_counted_whole(reader):
    test = datasets.load("digits")[1]
    rng = np.random.default_rng(5)
    right = 0
    for chosen in rng.integers(len(test), size=(20, 2)):
        read = sdnn.sweep(reader, datasets.line_of(test.images[chosen], gap=4)).text
        right += read == "".join(map(str, test.labels[chosen]))
    assert sdnn.read_lines(reader, test, gap=4, lines=20, digits=2, seed=5) == right / 20
    assert 0 < right < 20


def test_what_cannot_be_swept(net):
    line = np.zeros((28, 60), np.uint8)
    with pytest.raises(ConfigError, match="RBF"):
        sdnn.sweep(models.d2l(), line)
    for wrong in (line.astype(float), line[None], line[:, :0], np.zeros((40, 60), np.uint8)):
        with pytest.raises(ShapeError, match="line"):
            sdnn.sweep(net, wrong)


def test_normalised_lines():
    picture = np.zeros((60, 300), np.uint8)
    picture[10:50, 40:50] = picture[10:50, 200:210] = 255
    line = datasets.normalise_line(picture)
    rows, columns = np.flatnonzero(line.any(axis=1)), np.flatnonzero(line.any(axis=0))
    assert line.shape[0] == 28 and len(rows) == 22 and columns[0] == 16 and line.shape[1] - columns[-1] == 17
    # A wide, flat stroke does not make the line arbitrarily long.
    dash = np.zeros((60, 2000), np.uint8)
    dash[30:32, 10:1990] = 255
    assert datasets.normalise_line(dash).shape[1] <= 512
    with pytest.raises(ImageError, match="nothing drawn"):
        datasets.normalise_line(np.zeros((60, 300), np.uint8))
