"""Data sets from folders of pictures."""

import os

import numpy as np
import pytest
from PIL import Image

import lenet5
from lenet5 import datasets
from lenet5.datasets import folder as folders
from lenet5.datasets import from_folder, load
from lenet5.errors import ConfigError, DataError, LenetWarning


@pytest.fixture(scope="module")
def digits():
    train, test = datasets.load("digits")
    return train.subset(slice(120)), test.subset(slice(40))


def write(data, folder, kind="png"):
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        place = folder / data.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.{kind}")
    return folder


def test_pictures_of_one_size_are_what_they_are(digits, tmp_path):
    for data, name in zip(digits, ("train", "test"), strict=True):
        write(data, tmp_path / "set" / name)
    (tmp_path / "set" / "train" / "3" / "Thumbs.db").write_bytes(b"no picture")
    (tmp_path / "set" / "train" / ".hidden").mkdir()
    (tmp_path / "set" / "train" / "5" / ".DS_Store.png").write_bytes(b"")
    for found, expected in zip(from_folder(tmp_path / "set"), digits, strict=True):
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert found.classes == expected.classes and (found.name, found.fit) == ("set", "same")
    assert load(str(tmp_path / "set"))[0].digest() == digits[0].digest()


def test_a_share_of_each_class_is_the_test_set(digits, tmp_path):
    write(digits[0], tmp_path)
    train, test = from_folder(tmp_path, test_split=0.25)
    assert len(train) + len(test) == len(digits[0])
    assert train.provenance["test"] == "25% of each class, drawn with seed 0"
    for kind in range(10):
        count = (digits[0].labels == kind).sum()
        assert (test.labels == kind).sum() == round(0.25 * count)
    again, other = from_folder(tmp_path, test_split=0.25)[1], from_folder(tmp_path, test_split=0.25, seed=1)[1]
    assert again.digest() == test.digest() != other.digest()


def test_colours_sizes_and_kinds(tmp_path):
    rng = np.random.default_rng(0)
    for kind, colour in (("red", (220, 30, 30)), ("blue", (30, 30, 220))):
        (tmp_path / kind / "deeper").mkdir(parents=True)
        for k, suffix in enumerate(("png", "jpg", "bmp", "webp", "gif", "tiff", "JPEG", "ppm")):
            size = tuple(int(v) for v in rng.integers(30, 60, 2))
            Image.new("RGB", size, colour).save(tmp_path / kind / ("deeper" if k % 2 else ".") / f"{k}.{suffix}")
    train, test = from_folder(tmp_path)
    assert train.images.shape[1:] == (28, 28, 3) and train.classes == ("blue", "red") and train.fit == "scale"
    assert len(train) + len(test) == 16
    for label, colour in ((0, (30, 30, 220)), (1, (220, 30, 30))):
        assert np.abs(train.images[train.labels == label].astype(int) - colour).max() < 12  # JPEG is lossy
    grey = from_folder(tmp_path, colour=False, size=40)[0]
    assert grey.images.shape[1:] == (40, 40) and set(np.unique(grey.images)) <= set(range(88, 100))


def test_pictures_are_fitted_whole(tmp_path):
    """The longer side fills the image; the rest is padded with the colour of the picture's edge."""
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for k, (width, height) in enumerate([(60, 30), (30, 60), (50, 50)]):
            picture = np.full((height, width), 200, np.uint8)
            picture[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 40
            Image.fromarray(picture).save(tmp_path / kind / f"{k}.png")
    for image in np.concatenate([part.images for part in from_folder(tmp_path, size=20, test_split=0.34)]):
        assert (image[[0, -1]] == 200).all() and (image[:, [0, -1]] == 200).all() and image[10, 10] == 40


def test_photographs_of_digits_are_made_as_mnists(digits, tmp_path):
    data = digits[0].subset(slice(30))
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        large = Image.fromarray(255 - image).resize((90, 90)).convert("RGB")
        large.save(tmp_path / str(label) / f"{number:02}.jpg")
    train, _ = from_folder(tmp_path, fit="digit")
    assert train.images.shape[1:] == (28, 28) and train.fit == "digit"
    assert (lenet5.pretrained().predict(train.images) == train.labels).mean() > 0.9


def test_a_picture_is_predicted_as_those_of_the_folder_were_read(digits, tmp_path, capsys):
    """A picture of the training images' size is unchanged; others are prepared as those of the training folder."""
    from lenet5 import predict

    for data, name in zip(digits, ("train", "test"), strict=True):
        write(data, tmp_path / "set" / name)
    net = lenet5.lenet5()
    lenet5.fit(net, *from_folder(tmp_path / "set"), epochs=6, verbose=False)
    lenet5.save(tmp_path / "net.npz", net)
    image = digits[1].images[2]
    Image.fromarray(image).save(tmp_path / "small.png")
    Image.fromarray(255 - image).resize((140, 140)).save(tmp_path / "scan.jpg")
    answers = [predict.read_digit(net, tmp_path / name) for name in ("small.png", "scan.jpg")]
    assert {answer["class"] for answer in answers} == {str(net.predict(image)[0])}
    np.testing.assert_allclose(answers[0]["penalties"], net.outputs(image)[0], atol=1e-3)
    assert predict.run([str(tmp_path / "net.npz"), str(tmp_path / "scan.jpg")]) == 0
    assert not capsys.readouterr().err


def test_damaged_pictures_are_listed_and_too_many_are_an_error(digits, tmp_path):
    write(digits[0], tmp_path)
    names = sorted((tmp_path / "3").iterdir())
    names[0].write_bytes(b"\x89PNG")
    names[1].write_bytes(b"")
    with pytest.warns(LenetWarning, match="2 of 120 images cannot be read: .*They are skipped") as told:
        train, test = from_folder(tmp_path)
    assert len(train) + len(test) == 118 and str(names[0]) in str(told[0].message)
    with pytest.warns(LenetWarning, match="2 images in .* cannot be read"):
        from_folder(tmp_path)  # from the cache
    for path in tmp_path.glob("[0-3]/*"):
        path.write_bytes(b"no")
    with pytest.raises(DataError, match="This is more than 10%"):
        from_folder(tmp_path)


def test_what_was_read_is_kept_until_a_picture_changes(digits, tmp_path, monkeypatch):
    write(digits[0], tmp_path)

    def digests():
        return [part.digest() for part in from_folder(tmp_path)]

    first, calls = digests(), []
    decode = folders.read_chunk
    monkeypatch.setattr(folders, "read_chunk", lambda *args: calls.append(1) or decode(*args))
    assert digests() == first and not calls
    assert from_folder(tmp_path, size=20)[0].images.shape[1:] == (20, 20) and calls
    path = next((tmp_path / "7").iterdir())
    Image.fromarray(np.full((28, 28), 9, np.uint8)).save(path)
    os.utime(path, (1, 1))
    calls.clear()
    assert digests() != first and calls
    for store in (tmp_path / "cache").rglob("*.npz"):
        store.write_bytes(b"damaged")
    assert len(from_folder(tmp_path)[0])


def test_many_pictures_are_read_by_several_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_CHUNK", 20)
    monkeypatch.setattr(folders, "_FEW", 10)
    train, _ = datasets.load("digits")
    write(train.subset(slice(90)), tmp_path)
    found = from_folder(tmp_path, test_split=0.1, cache=False)
    assert sum(map(len, found)) == 90


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fit": "stretch"}, ConfigError, "auto, digit or scale"),
        ({"size": 4}, ConfigError, "8 to 128"),
        ({"size": 500}, ConfigError, "8 to 128"),
        ({"fit": "digit", "size": 20}, ConfigError, "28 with fit='digit'"),
        ({"fit": "digit", "colour": True}, ConfigError, "grey"),
        ({"test_split": 1.0}, ConfigError, "between 0 and 1"),
    ],
)
def test_options_that_make_no_sense(digits, tmp_path, options, error, message):
    write(digits[0].subset(slice(20)), tmp_path)
    with pytest.raises(error, match=message):
        from_folder(tmp_path, **options)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        from_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="expected at least two sub-folders of images, one for each class; found 0"):
        from_folder(tmp_path)
    (tmp_path / "one").mkdir()
    Image.new("L", (9, 9), 200).save(tmp_path / "one" / "1.png")
    with pytest.raises(DataError, match="one for each class; found 1"):
        from_folder(tmp_path)
    with pytest.raises(ConfigError, match="no such file or folder"):
        load(str(tmp_path / "nowhere"))
    (tmp_path / "notes.doc").write_text("")
    with pytest.raises(DataError, match="neither a folder nor"):
        load(str(tmp_path / "notes.doc"))
