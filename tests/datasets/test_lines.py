"""Lines of digits, and windows of lines for training."""

import dataclasses

import numpy as np
import pytest

from lenet5 import datasets
from lenet5.datasets import DISTORTIONS, Dataset, Neighbours, line_of, line_sets
from lenet5.errors import ConfigError, ShapeError

PLAIN = Neighbours(scale=0.0, squeeze=0.0, shear=0.0)


def bars(n=600, width=32):
    """Return images of one bar each, of different grey levels, 3 to 11 columns wide and near the middle."""
    rng = np.random.default_rng(1)
    images = np.zeros((n, 28, width), np.uint8)
    for k, (wide, at) in enumerate(zip(rng.integers(3, 12, n), rng.integers(-3, 4, n), strict=True)):
        left = (width - wide) // 2 + at
        images[k, 4:24, left : left + wide] = 50 + k % 200
    return images


def runs(window):
    """Return (first, stop, level) of each bar in one row of a window."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], window.astype(int), [0]])))
    return [(a, b, int(window[a])) for a, b in zip(edges[:-1], edges[1:], strict=True) if window[a]]


def test_a_digit_is_in_the_middle_of_its_window():
    images = bars()
    seen = PLAIN(images, np.random.default_rng(0))
    at = []
    for k, window in enumerate(seen[:, 14]):
        middles = [(a + b) / 2 - 16 for a, b, level in runs(window) if level == 50 + k % 200]
        at.append(min(map(abs, middles), default=99))
    # Some digits are hidden by overlapping neighbours.
    near = np.array(at) <= PLAIN.reach + 0.5
    assert near.mean() > 0.8


def test_gaps_are_in_their_range():
    wide = dataclasses.replace(PLAIN, closest=4, farthest=6)
    gaps = []
    for window in wide(bars(), np.random.default_rng(0))[:, 14]:
        found = runs(window)
        gaps += [after[0] - before[1] for before, after in zip(found, found[1:], strict=False)]
    assert len(gaps) > 500 and min(gaps) == 3 and max(gaps) == 7  # 4 to 6, give or take one column


def test_blank_windows_look_past_every_digit():
    images = np.concatenate([bars(), np.zeros((600, 28, 32), np.uint8)])
    apart = dataclasses.replace(PLAIN, closest=1, away=4.0)
    seen = apart(images, np.random.default_rng(0))[600:, 14]
    whole = [
        abs((a + b) / 2 - 16) for window in seen for a, b, _ in runs(window) if 0 < a and b < 32
    ]  # bars that the window does not cut off
    assert len(whole) > 400 and min(whole) >= 3.5
    # Beyond the ends of a line the window is empty, on either side.
    ink = (seen > 0).astype(int)
    left, right = ink[:, :16].sum(axis=1), ink[:, 16:].sum(axis=1)
    assert ((left == 0) & (right > 0)).sum() > 20 and ((right == 0) & (left > 0)).sum() > 20


def test_noise_and_what_has_no_digits():
    images = bars(50)
    noisy = dataclasses.replace(PLAIN, noise=0.1)(images, np.random.default_rng(0))
    plain = PLAIN(images, np.random.default_rng(0))
    assert 0.09 < (noisy != plain).mean() < 0.11
    empty = np.zeros((3, 28, 32), np.uint8)
    assert not PLAIN(empty, np.random.default_rng(0)).any()
    colours = np.stack([images] * 3, axis=3)
    np.testing.assert_array_equal(PLAIN(colours, np.random.default_rng(0))[..., 1], plain)
    assert isinstance(DISTORTIONS["neighbours"], Neighbours)
    wrongs = [{"closest": 5, "farthest": 4}, {"farthest": 33}, {"closest": -29}, {"scale": 1.0}]
    for wrong in (*wrongs, {"noise": 1.1}, {"reach": -1.0}, {"away": float("nan")}):
        with pytest.raises(ConfigError):
            Neighbours(**wrong)


@pytest.mark.parametrize("gap", [-2, 0, 6])
def test_a_line_has_its_gaps(gap):
    images = bars(5, width=28)
    line = line_of(images, gap=gap)
    widths = images.any(axis=1).sum(axis=1)
    assert line.shape == (28, widths.sum() + 4 * gap + 32)
    assert not line[:, :16].any() and not line[:, -16:].any() and line[:, 16].any() and line[:, -17].any()
    if gap > 0:
        found = runs(line[14])
        assert [b - a for a, b, _ in found] == widths.tolist()
        assert {after[0] - before[1] for before, after in zip(found, found[1:], strict=False)} == {gap}


def test_what_makes_no_line():
    for wrong in (np.zeros((2, 28, 28), np.uint8), bars(2).astype(float), bars(2)[0], bars(2)[:0]):
        with pytest.raises(ShapeError, match="line_of"):
            line_of(wrong)
    assert line_of(bars(3), gap=-30).any()  # digits overlap


def test_sets_of_lines():
    sets = datasets.load("digits")
    for data, made in zip(sets, line_sets(*sets, blank=0.5), strict=True):
        n = len(data)
        assert made.images.shape == (n + round(n / 2), 28, 32) and made.name == "digits-lines"
        assert made.classes == (*"0123456789", " ")
        np.testing.assert_array_equal(made.images[:n, :, 2:30], data.images)
        np.testing.assert_array_equal(made.labels[:n], data.labels)
        assert not made.images[n:].any() and (made.labels[n:] == 10).all()
    colours = Dataset(np.zeros((2, 28, 28, 3), np.uint8), [0, 1])
    with pytest.raises(ShapeError, match="grey"):
        line_sets(colours, colours)
