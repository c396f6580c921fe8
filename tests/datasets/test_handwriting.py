import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

import lenet5
from lenet5 import datasets
from lenet5.analysis.sdnn import sweep
from lenet5.datasets import handwriting, load, normalise_digit
from lenet5.errors import ConfigError, ImageError

rng = np.random.default_rng(0)
rows, columns = np.mgrid[0:300, 0:400]


@pytest.fixture(scope="module")
def digits():
    return load("digits")[1].images[:40]


def stroke(height=300, width=400):
    """Return the ink of a seven, away from the middle."""
    ink = np.zeros((height, width), np.float32)
    ink[40:55, 220:300] = 255
    for i in range(130):
        ink[55 + i, 285 - i // 3 : 300 - i // 3] = 255
    return ink


SEVEN = normalise_digit(stroke())


def on_paper(ink, paper=230.0, contrast=180.0):
    return paper - ink * (contrast / 255)


def close(found, expected=SEVEN, tolerance=12):
    return np.abs(found.astype(float) - expected).mean() < tolerance


def test_shape_of_the_result():
    assert SEVEN.shape == (28, 28) and SEVEN.dtype == np.uint8 and SEVEN.max() == 255
    inked = np.argwhere(SEVEN)
    assert (np.ptp(inked, axis=0) + 1).max() == 20
    for axis in (0, 1):
        mass = SEVEN.sum(axis=1 - axis, dtype=float)
        assert abs(mass @ np.arange(28) / mass.sum() - 14) <= 0.6
    assert 7 < np.ptp(inked[:, 1]) + 1 < 16  # the aspect ratio is preserved


def test_a_digit_made_this_way_stays_as_it_is(digits):
    for digit in digits:
        again = normalise_digit(digit)
        assert close(again, digit, 8) and (normalise_digit(again) == again).mean() > 0.9


def test_mnist_stays_as_it_is(real_mnist):
    images = real_mnist[1].images[:1000]
    difference = np.abs(np.stack([normalise_digit(image) for image in images]).astype(float) - images)
    assert difference.mean() < 0.05 and difference.mean(axis=(1, 2)).max() < 3


ARRAYS = {
    "bool": stroke() > 0,
    "float 0..1": (stroke() / 255).astype(np.float64),
    "float16": (stroke() / 255).astype(np.float16),
    "column of one channel": stroke()[:, :, None],
    "dark on light": on_paper(stroke()),
    "rgb": np.repeat(on_paper(stroke())[:, :, None], 3, axis=2),
    "yellow on white": np.stack([stroke() * 0 + 255, 255 - stroke() / 8, 255 - stroke()], axis=2),
    "opaque rgba": np.dstack([on_paper(stroke())] * 3 + [np.full((300, 400), 255.0)]),
    "black on transparency": np.dstack([stroke() * 0] * 3 + [stroke()]).astype(np.uint8),
    "white on transparency": np.dstack([stroke() * 0 + 255] * 3 + [stroke()]).astype(np.uint8),
    "transparent frame": np.dstack([on_paper(stroke())] * 3 + [255.0 * ((rows > 20) & (columns > 20))]),
    "noise": on_paper(stroke()) + rng.normal(0, 8, (300, 400)).clip(-25, 25),
    "strong noise": on_paper(stroke(), 170, 140) + rng.normal(0, 20, (300, 400)).clip(-30, 80),
    "a shadow": on_paper(stroke(), 200, 120) - columns / 8 + rows / 20,
    "a speck": np.maximum(stroke(), 255 * ((rows - 280) ** 2 + (columns - 10) ** 2 < 4)),
    "fortran order": np.asfortranarray(stroke()),
    "cut to its ink": stroke()[40:185, 242:300],
}


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "cut to its ink"])
def test_arrays_of_all_kinds_give_the_same_digit(name):
    array = ARRAYS[name]
    before = array.copy()
    assert close(normalise_digit(array)), name
    if array.dtype.kind == "f" and array.max() > 1:
        assert close(normalise_digit(array.round().astype(np.uint8)))
    assert (array == before).all()


@pytest.mark.parametrize("side, shift", [(28, 0), (100, 7), (700, 100), (2000, 300)])
def test_size_and_place_do_not_matter(side, shift, digits):
    for digit in digits[:5]:
        large = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC))
        assert close(normalise_digit(np.pad(large, [(shift, 0), (0, 3 * shift)])), digit, 16)


def test_a_thin_stroke_in_a_huge_picture_survives():
    page = np.full((5000, 5000), 255, np.uint8)
    page[1000:4000, 2500] = 0
    page[1000, 1500:2501] = 0
    digit = normalise_digit(page)
    assert digit.max() == 255 and (digit > 128).sum() >= 20


def test_invert_can_be_said():
    ink = stroke()[40:100, 220:300]
    dark = normalise_digit(255 - ink, invert=True)
    assert (dark == normalise_digit(ink, invert=False)).all()
    with pytest.raises(ConfigError, match="invert"):
        normalise_digit(ink, invert="yes")


def pictures():
    light = Image.fromarray(on_paper(stroke()).astype(np.uint8))
    ink = Image.fromarray(stroke().astype(np.uint8))
    black = Image.new("RGBA", ink.size)
    black.putalpha(ink)
    yield "grey.png", light, {}
    yield "rgb.png", light.convert("RGB"), {}
    yield "palette.png", light.convert("P"), {}
    yield "bits.png", light.point(lambda v: 255 * (v > 128)).convert("1"), {}
    yield "grey-alpha.png", black.convert("LA"), {}
    yield "rgba.png", black, {}
    yield "palette-transparent.gif", black.convert("P"), {"transparency": 0}
    yield "deep.png", Image.fromarray(((stroke() / 255 * 0.9) * 65535).astype(np.uint16)), {}
    yield "float.tif", Image.fromarray(stroke() / 255), {}
    yield "cmyk.jpg", light.convert("CMYK"), {"quality": 90}
    yield "coarse.jpg", light, {"quality": 30}
    yield "grey.bmp", light, {}
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotated by 90 degrees
    yield "turned.jpg", light.transpose(Image.Transpose.ROTATE_90), {"exif": exif, "quality": 90}


@pytest.mark.parametrize("name, picture, options", list(pictures()))
def test_files_of_all_kinds_give_the_same_digit(name, picture, options, tmp_path):
    picture.save(tmp_path / name, **options)
    assert close(normalise_digit(tmp_path / name)) and close(normalise_digit(str(tmp_path / name)))


BLANK = {
    "black": np.zeros((28, 28), np.uint8),
    "white": np.full((300, 300, 3), 255, np.uint8),
    "one pixel": np.ones((1, 1)),
    "transparent": np.zeros((20, 20, 4), np.uint8),
    "opaque": np.full((20, 20, 4), 255, np.uint8),
    "faint": np.pad(np.full((5, 5), 4, np.uint8), 20),
    "paper": (200 + rng.normal(0, 6, (300, 300))).astype(np.uint8),
    "shaded paper": (150 + rng.normal(0, 3, (300, 300)) + rows[:, :300] / 6).astype(np.uint8),
}


@pytest.mark.parametrize("name", BLANK)
def test_blank_pages(name):
    with pytest.raises(ImageError, match="nothing drawn"):
        normalise_digit(BLANK[name])


@pytest.mark.parametrize(
    "array",
    [np.full((9, 9), np.nan), np.full((9, 9), np.inf), np.full((9, 9), -1.0), np.full((9, 9), 256.0),
     np.zeros((9, 9), np.int64), np.zeros((9, 9), complex), np.zeros(9), np.zeros((1, 9, 9, 3)), np.zeros((9, 9, 5)),
     np.zeros((0, 9)), np.zeros((9, 9), "U1"), None, object(), [[1, 2], [3]], 5],
)  # fmt: skip
def test_what_is_no_picture(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError):
            normalise_digit(array)


def test_files_that_are_no_picture(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(whole, "PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:2000])
    for path in (tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "cut.png", tmp_path / "none", tmp_path):
        with pytest.raises(ImageError, match=str(path)):
            normalise_digit(path)


def test_a_picture_may_be_too_large(tmp_path, monkeypatch):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="bomb.png: "):
        normalise_digit(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="10000 x 10000 pixels"):
        normalise_digit(np.broadcast_to(np.uint8(0), (10_000, 10_000)))
    monkeypatch.setattr(handwriting, "MAX_PIXELS", 100)
    Image.new("L", (11, 10)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match="small.png: 11 x 10 pixels; the limit is 100"):
        normalise_digit(tmp_path / "small.png")


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF"]))
def test_damaged_files_give_a_digit_or_an_image_error(tmp_path_factory, seed, kind):
    noise, buffer = np.random.default_rng(seed), io.BytesIO()
    Image.fromarray(stroke().astype(np.uint8)).filter(ImageFilter.BLUR).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for at in noise.integers(0, min(len(content), 400), 4):
        content[at] = noise.integers(256)
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: noise.integers(1, len(content) + 1)] if seed % 2 else content)
    try:
        assert normalise_digit(path).shape == (28, 28)
    except ImageError:
        pass


def on_paper(image, rng, *, side=112, margin=30):
    """Return a digit in dark ink on light paper, in the size of a scan."""
    large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    ink = np.pad(np.asarray(large, float) / 255, margin)
    return 235 - 195 * ink + rng.normal(0, 3, ink.shape)


def lined(picture, rng):
    for row in range(int(rng.integers(24)), len(picture), 24):
        picture[row] = np.minimum(picture[row], 150)
    return picture


def squared(picture, rng):
    return lined(lined(picture, rng).T, rng).T


def framed(picture, rng):
    picture[: rng.integers(2, 15)] = picture[-rng.integers(2, 15) :] = 20
    picture[:, : rng.integers(2, 15)] = picture[:, -rng.integers(2, 15) :] = 20
    return picture


@pytest.mark.parametrize("disturb", [lined, squared, framed])
def test_rules_and_frames_are_no_ink(disturb):
    net, images = lenet5.pretrained(), datasets.load("digits")[1].images[:100]

    def read(disturb):
        rng = np.random.default_rng(0)
        pages = [disturb(on_paper(image, rng), rng).clip(0, 255).astype(np.uint8) for image in images]
        return net.predict(np.stack([normalise_digit(picture) for picture in pages]))

    assert (read(disturb) == read(lambda picture, rng: picture)).mean() >= 0.95


def test_strokes_that_fill_a_picture_are_no_rules():
    """Strokes that reach from edge to edge of a cropped digit (1, T, 7) are not removed as ruled lines."""
    paper = np.full((80, 80), 235, np.uint8)
    one, tee, seven = paper.copy(), paper.copy(), paper.copy()
    one[:, 38:42] = tee[:, 38:42] = tee[:4] = seven[:4] = 40
    for row in range(4, 80):
        seven[row, 76 - row // 2 : 80 - row // 2] = 40
    for picture, wide in ((one, False), (tee, True), (seven, True)):
        ink = normalise_digit(picture) > 60
        rows = np.flatnonzero(ink.any(axis=1))
        assert np.ptp(rows) >= 18 and (ink[rows[0]].sum() >= 15) == wide


def test_several_digits_are_said():
    data, rng = datasets.load("digits")[1], np.random.default_rng(0)
    one, other = (on_paper(image, rng) for image in data.images[:2])
    two = np.concatenate([one[:, :-35], other[:, 35:]], axis=1).clip(0, 255).astype(np.uint8)
    with pytest.raises(ImageError, match="found 2 characters side by side. Cut them apart, or read them as a line"):
        normalise_digit(two)
    swept = sweep(lenet5.pretrained(), datasets.normalise_line(two))
    assert swept.text == f"{data.labels[0]}{data.labels[1]}"
