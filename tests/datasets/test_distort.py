import numpy as np
import pytest

from lenet5 import engine
from lenet5.datasets import DISTORTIONS, Distort, noise, shift, transform
from lenet5.errors import ConfigError


def test_every_image_moves_by_itself():
    rng = np.random.default_rng(0)
    images = np.zeros((500, 9, 8), np.uint8)
    images[:, 4, 3] = 200
    moved = shift(images, np.random.default_rng(1), pixels=2)
    assert moved.dtype == np.uint8 and moved.shape == images.shape and images[:, 4, 3].all()
    _, rows, columns = np.nonzero(moved)
    assert len(rows) == 500  # pixels away from the border are not lost
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


WARPS = {name: d for name, d in DISTORTIONS.items() if isinstance(d, Distort)}


def blobs(n=40, side=28, channels=None):
    """Return images of smooth spots near the middle."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:side, :side]
    at = rng.uniform(side / 2 - 3, side / 2 + 3, (n, 2, 1, 1))
    images = 250 * np.exp(-((rows - at[:, 0]) ** 2 + (columns - at[:, 1]) ** 2) / 18)
    images = images.astype(np.uint8)
    return images if channels is None else np.stack([images] * channels, axis=3)


def centre(images):
    mass = images.astype(float)
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]]
    return np.stack([(mass * rows).sum((1, 2)), (mass * columns).sum((1, 2))], 1) / mass.sum((1, 2))[:, None]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_seeded_fresh_and_of_the_same_kind(name):
    images, distort = blobs(), DISTORTIONS[name]
    before = images.copy()
    rng = np.random.default_rng(0)
    first, second = distort(images, rng), distort(images, rng)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(distort(images, np.random.default_rng(0)), first)
    assert first.dtype == np.uint8 and first.shape == images.shape
    assert (first != second).any() and (first != images).any()
    assert distort(images[:0], rng).shape == (0, 28, 28)
    colours = distort(blobs(channels=3), np.random.default_rng(0))
    assert colours.shape == (40, 28, 28, 3)
    if name != "noise":  # all channels are distorted in the same way
        np.testing.assert_array_equal(colours[..., 0], first)
        np.testing.assert_array_equal(colours[..., 0], colours[..., 2])


@pytest.mark.parametrize("name", WARPS)
def test_the_kernel_equals_its_twin(name):
    images = np.random.default_rng(0).integers(256, size=(30, 11, 14), dtype=np.uint8)
    fast = WARPS[name](images, np.random.default_rng(0)).astype(int)
    with engine.numpy_only():
        slow = WARPS[name](images, np.random.default_rng(0))
    assert np.abs(fast - slow).max() <= 1 and (fast != slow).mean() < 1e-3  # halves may be rounded up or down


def test_no_distortion_is_the_image_itself():
    images = np.random.default_rng(0).integers(256, size=(9, 12, 10), dtype=np.uint8)
    none = Distort(translation=0, scale=0, squeeze=0, shear=0)
    np.testing.assert_array_equal(none(images, np.random.default_rng(0)), images)
    still = Distort(elastic=50, rotation=90, share=0)
    np.testing.assert_array_equal(still(images, np.random.default_rng(0)), images)
    np.testing.assert_array_equal(transform(images), images)


def test_share_of_the_images():
    changed = (Distort(elastic=34, share=0.25)(blobs(2000), np.random.default_rng(0)) != blobs(2000)).any(axis=(1, 2))
    assert 0.2 < changed.mean() < 0.3  # 5 standard deviations of the binomial are 0.048


def test_transforms_by_hand():
    images = blobs(side=41)  # large enough for enlarged spots
    middle, at = 20.0, centre(images)
    np.testing.assert_allclose(centre(transform(images, down=2, right=-1)), at + [2, -1], atol=0.05)
    whole = transform(images, down=3)
    np.testing.assert_array_equal(whole[:, 3:], images[:, :-3])
    np.testing.assert_array_equal(transform(images, rotation=90), np.rot90(images, axes=(1, 2)))
    np.testing.assert_allclose(centre(transform(images, scale=1.5)) - middle, 1.5 * (at - middle), atol=0.1)
    np.testing.assert_allclose(
        centre(transform(images, squeeze=1.25)) - middle, (at - middle) * [1.25, 1 / 1.25], atol=0.1
    )
    moved = at - middle
    sheared = np.stack([moved[:, 0], moved[:, 1] - 0.3 * moved[:, 0]], axis=1)
    np.testing.assert_allclose(centre(transform(images, shear=-0.3)) - middle, sheared, atol=0.1)


def test_ranges_are_filled_and_kept():
    n = 3000
    images = np.repeat(blobs(1, side=41), n, axis=0)
    only = {"translation": 0.0, "scale": 0.0, "squeeze": 0.0, "shear": 0.0, "share": 1.0}
    move = centre(Distort(**only | {"translation": 2.0})(images, np.random.default_rng(0))) - centre(images)
    assert 1.95 < np.abs(move).max() < 2.02 and abs(move.mean()) < 0.1
    area = Distort(**only | {"scale": 0.3})(images, np.random.default_rng(0)).astype(float).sum((1, 2))
    ratio = np.sqrt(area / images[0].sum())
    assert 0.69 < ratio.min() < 0.71 and 1.29 < ratio.max() < 1.31


def test_elastic_displacements_have_the_published_size():
    # On a ramp, the change of a pixel is its displacement along the row. The noise along each axis has a standard
    # deviation of 1/sqrt(3). Away from the border, a Gaussian of sigma 4 reduces it by 1/(2 sqrt(pi) 4), so that
    # after multiplication by 34 it is 1.38 pixels.
    ramp = np.broadcast_to((4 * np.arange(60)).astype(np.uint8), (400, 60, 60))
    moved = DISTORTIONS["elastic"](ramp, np.random.default_rng(0))
    changed = (moved != ramp).any(axis=(1, 2))
    field = (moved.astype(float) - ramp)[changed][:, 18:-18, 18:-18] / 4
    assert field.std() == pytest.approx(34 / (4 * 2 * np.sqrt(np.pi)) / np.sqrt(3), rel=0.05)
    assert abs(field.mean()) < 0.1


def test_noise_inverts_a_share_of_the_pixels():
    images = np.random.default_rng(0).integers(100, size=(200, 20, 20), dtype=np.uint8)
    noisy = noise(images, np.random.default_rng(0), share=0.2)
    inverted = noisy == 255 - images
    assert ((noisy == images) | inverted).all() and 0.19 < inverted.mean() < 0.21


@pytest.mark.parametrize(
    "make",
    [
        lambda: Distort(scale=1.0),
        lambda: Distort(rotation=-1.0),
        lambda: Distort(sigma=0.0),
        lambda: Distort(share=1.5),
        lambda: Distort(elastic=float("nan")),
        lambda: transform(blobs(1), scale=0),
        lambda: noise(blobs(1), np.random.default_rng(0), share=2),
    ],
)
def test_ranges_must_make_sense(make):
    with pytest.raises(ConfigError):
        make()
