import numpy as np
import pytest

from lenet5 import engine
from lenet5.datasets.preparation import SCALES, prepare


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(3, 28, 28), (2, 32, 40), (1, 27, 5), (2, 7, 9, 3)])
def test_pixels_are_scaled_in_the_middle_of_the_background(shape, scale, dtype):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    background, foreground = SCALES[scale]
    pixels = images.reshape(*shape[:3], -1).transpose(0, 3, 1, 2)
    n, channels, height, width = pixels.shape
    expected = np.full((n, channels, max(height, 32), max(width, 32)), background)
    top, left = (expected.shape[2] - height) // 2, (expected.shape[3] - width) // 2
    expected[:, :, top : top + height, left : left + width] += pixels / 255 * (foreground - background)
    compiled = prepare(images, scale=scale, dtype=dtype)
    with engine.numpy_only():
        methods = prepare(images, scale=scale, dtype=dtype)
    np.testing.assert_array_equal(compiled, methods)
    np.testing.assert_allclose(compiled, expected, rtol=0, atol=1e-6 if dtype is np.float32 else 1e-15)
    assert compiled.dtype == dtype


def test_read_only_and_strided_images_are_scaled_as_others_are():
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    expected = prepare(images)
    frozen = images.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(prepare(frozen), expected)
    np.testing.assert_array_equal(prepare(np.repeat(images, 2, 0)[::2]), expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 5), (3, 5, 1), (4, 2, 2), (2, 28, 28), (300, 3, 7)])
def test_brightness_is_that_of_the_edge(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    edge = np.ones(shape[1:], bool)
    edge[1:-1, 1:-1] = False
    largest, mean = engine.brightness(images)
    assert largest == images.max() and mean == pytest.approx(images[:, edge].mean(), rel=1e-12)
    with engine.numpy_only():
        assert engine.brightness(images) == (largest, pytest.approx(mean, rel=1e-12))
