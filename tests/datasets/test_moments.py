"""Deslanting of images with known shears."""

import numpy as np
import pytest

from lenet5 import datasets
from lenet5.datasets import deslant, transform
from lenet5.datasets.moments import slant


def bars(n=1, side=28):
    """Return images of an upright bar with soft edges."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    image = 250 / (1 + np.exp(2 * (np.abs(columns) - 2))) / (1 + np.exp(2 * (np.abs(rows) - 8)))
    return np.repeat(image.astype(np.uint8)[None], n, axis=0)


@pytest.mark.parametrize("shear", [-0.4, -0.15, 0.0, 0.2, 0.5])
def test_a_known_shear_is_measured_and_taken_back(shear):
    upright = bars()
    sheared = transform(upright, shear=shear)
    assert slant(sheared)[0][0] == pytest.approx(shear, abs=0.01)
    back = deslant(sheared)
    assert abs(slant(back)[0][0]) < 0.01
    before, after = (np.abs(image.astype(float) - upright).mean() for image in (sheared, back))
    assert after < 2 and (shear == 0 or after < before / 3)  # interpolated twice


def test_moments_by_numpy():
    images = datasets.load("digits")[0].images[:50]
    rows, columns = (axis.ravel() for axis in np.mgrid[:28, :28])
    slants, centres = slant(images)
    for image, found, centre in zip(images, slants, centres, strict=True):
        covariance = np.cov(rows, columns, aweights=image.ravel().astype(float), ddof=0)
        assert found == pytest.approx(covariance[0, 1] / covariance[0, 0])
        assert centre == pytest.approx(np.average(rows, weights=image.ravel()))


def test_digits_stand_upright_and_twice_is_once():
    images = datasets.load("digits")[0].images[:300]
    original = images.copy()
    once = deslant(images)
    assert once.dtype == np.uint8 and once.shape == images.shape
    np.testing.assert_array_equal(images, original)
    assert np.abs(slant(images)[0]).mean() > 0.08 and np.abs(slant(once)[0]).max() < 0.02
    assert np.abs(deslant(once).astype(float) - once).mean() < 1.0
    # The total ink is preserved, except for rounding and for ink that leaves the image.
    np.testing.assert_allclose(once.sum((1, 2), dtype=float), images.sum((1, 2), dtype=float), rtol=0.02)


def test_no_ink_one_row_and_colours():
    nothing = np.zeros((2, 9, 9), np.uint8)
    nothing[1, 4, 2:6] = 255
    assert (slant(nothing)[0] == 0).all()
    np.testing.assert_array_equal(deslant(nothing), nothing)
    sheared = transform(bars(3), shear=0.3)
    colours = deslant(np.stack([sheared] * 3, axis=3))
    for k in range(3):
        np.testing.assert_array_equal(colours[..., k], deslant(sheared))
    assert deslant(sheared[:0]).shape == (0, 28, 28)
