import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lenet5.datasets import BACKGROUND, FOREGROUND, normalise_digit, prepare, prepare_digit
from lenet5.errors import LenetError, ShapeError

rng = np.random.default_rng(0)


def test_range_is_the_papers():
    image = np.zeros((28, 28), np.uint8)
    image[3, 4] = 255
    x = prepare(image)
    assert x.shape == (1, 1, 32, 32) and x.dtype == np.float32
    assert x[0, 0, 5, 6] == np.float32(FOREGROUND) == np.float32(1.175)
    x[0, 0, 5, 6] = BACKGROUND
    assert (x == np.float32(-0.1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(28, 28), (7, 28, 28), (5, 32, 32, 3), (2, 27, 29), (3, 28, 50), (2, 40, 33, 1)])
def test_against_the_plain_equation(shape, dtype):
    images = rng.integers(0, 256, shape, np.uint8)
    before = images.copy()
    x = prepare(images, dtype=dtype)
    planes = images.reshape(-1, *shape[-2:])[:, None] if len(shape) < 4 else np.moveaxis(images, 3, 1)
    pads = [(max(0, 32 - side) // 2, max(0, 32 - side) - max(0, 32 - side) // 2) for side in planes.shape[2:]]
    padded = np.pad(planes, [(0, 0), (0, 0), *pads])
    np.testing.assert_allclose(x, padded / 255 * 1.275 - 0.1, rtol=0, atol=2e-7 if dtype == np.float32 else 1e-15)
    assert x.dtype == dtype and x.flags.c_contiguous and (images == before).all()


def test_size():
    assert prepare(np.zeros((2, 28, 28), np.uint8), size=28).shape == (2, 1, 28, 28)
    assert prepare(np.zeros((2, 28, 28), np.uint8), size=40).shape == (2, 1, 40, 40)
    assert prepare(np.zeros((0, 28, 28), np.uint8)).shape == (0, 1, 32, 32)


def test_out_is_written_in_full_and_returned():
    images = rng.integers(0, 256, (3, 28, 28), np.uint8)
    out = np.full((3, 1, 32, 32), np.nan, np.float32)
    assert prepare(images, out=out) is out
    assert (out == prepare(images)).all()
    for wrong in (np.empty((3, 1, 32, 31), np.float32), np.empty((3, 1, 32, 32), np.int32)):
        with pytest.raises(ShapeError):
            prepare(images, out=wrong)


def test_a_batch_is_its_patterns_bit_for_bit():
    images = rng.integers(0, 256, (50, 28, 28), np.uint8)
    assert (prepare(images) == np.concatenate([prepare(image) for image in images])).all()


def test_nothing_of_the_size_of_the_batch_is_allocated_besides_the_result():
    images = np.zeros((500, 28, 28), np.uint8)
    tracemalloc.start()
    size = prepare(images).nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * size


@pytest.mark.parametrize(
    "images",
    [np.zeros((28, 28)), np.zeros((28, 28), np.int8), np.zeros(28, np.uint8), np.zeros((1, 2, 3, 4, 5), np.uint8),
     np.zeros((2, 0, 5), np.uint8), np.zeros((2, 5, 5, 0), np.uint8), [[1]], None],
)  # fmt: skip
def test_other_images_are_refused(images):
    with pytest.raises(ShapeError, match="prepare"):
        prepare(images)


@pytest.mark.parametrize("dtype", [np.float16, np.int32])
def test_other_types_are_refused(dtype):
    with pytest.raises(ShapeError, match="float32 or float64"):
        prepare(np.zeros((28, 28), np.uint8), dtype=dtype)


def test_prepare_digit_is_the_normalised_digit_prepared():
    picture = np.zeros((60, 50), np.uint8)
    picture[10:40, 20:26] = 255
    x = prepare_digit(picture)
    assert x.shape == (1, 1, 32, 32) and x.dtype == np.float32
    assert (x == prepare(normalise_digit(picture))).all()


dtypes = st.sampled_from(["u1", "?", "f2", "f4", "f8", "i8", "c8", "U2", "O"])


@settings(deadline=None, derandomize=True, max_examples=150)
@given(dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
                                           elements=st.integers(0, 255) if d == "O" else None)))  # fmt: skip
def test_any_array_gives_a_digit_or_a_lenet_error(array):
    before = array.copy()
    try:
        x = prepare_digit(array)
    except LenetError:
        return
    assert x.shape == (1, 1, 32, 32) and x.dtype == np.float32 and np.isfinite(x).all()
    assert x.max() == np.float32(FOREGROUND) and (array == before).all()
