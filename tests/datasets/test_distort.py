import numpy as np
import pytest

from lenet5.datasets import shift
from lenet5.errors import ConfigError


def test_every_image_moves_by_itself():
    rng = np.random.default_rng(0)
    images = np.zeros((500, 9, 8), np.uint8)
    images[:, 4, 3] = 200
    moved = shift(images, np.random.default_rng(1), pixels=2)
    assert moved.dtype == np.uint8 and moved.shape == images.shape and images[:, 4, 3].all()
    _, rows, columns = np.nonzero(moved)
    assert len(rows) == 500  # nothing is lost away from the border
    moves = set(zip((rows - 4).tolist(), (columns - 3).tolist(), strict=True))
    assert moves == {(r, c) for r in range(-2, 3) for c in range(-2, 3)}
    colours = rng.integers(256, size=(20, 6, 5, 3), dtype=np.uint8)
    again = shift(colours, np.random.default_rng(1))
    assert again.shape == colours.shape
    for k in range(3):
        np.testing.assert_array_equal(again[..., k], shift(colours[..., k], np.random.default_rng(1)))


def test_background_enters_at_the_border():
    moved = shift(np.full((200, 3, 3), 255, np.uint8), np.random.default_rng(0))
    assert {int(m.astype(bool).sum()) for m in moved} == {4, 6, 9}
    assert any((m[0] == 0).all() and (m[1:] == 255).all() for m in moved)


def test_no_pixels_is_no_move_and_fewer_are_an_error():
    images = np.random.default_rng(0).integers(256, size=(4, 5, 5), dtype=np.uint8)
    np.testing.assert_array_equal(shift(images, np.random.default_rng(0), pixels=0), images)
    with pytest.raises(ConfigError):
        shift(images, np.random.default_rng(0), pixels=-1)
