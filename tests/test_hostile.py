"""Unusable or malicious data yields a clear message or a sensible result."""

import struct

import numpy as np
import pytest
from fuzz.targets import CORPUS

import lenet5
from lenet5 import datasets, train
from lenet5.datasets.idx import read_idx, write_idx
from lenet5.errors import CheckpointError, ConfigError, DataError, ImageError, ShapeError, shown
from lenet5.layers import Conv2D
from lenet5.run import config
from lenet5.training import checkpoint


def trained(images, labels, **options):
    return lenet5.LeNet5Classifier(epochs=2, random_state=0, **options).fit(images, labels)


def idx_set(folder, images, labels):
    for part, count in (("train", len(images)), ("t10k", 2)):
        write_idx(folder / f"{part}-images-idx3-ubyte", images[:count])
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels[:count])
    return folder


def run(folder, *options):
    return train.run(["--dataset", "mnist", "--verify", "false", "--data-dir", str(folder), "--quiet", "--epochs", "1",
                      "--out", str(folder / "run"), *options])  # fmt: skip


@pytest.mark.parametrize("level", [0, 7, 255])
def test_constant_images(tmp_path, capsys, level):
    images, labels = np.full((20, 28, 28), level, np.uint8), np.arange(20, dtype=np.uint8) % 4
    code, said = run(idx_set(tmp_path, images, labels)), capsys.readouterr().err
    assert code == 0 or code == 5 and "training diverged in pass 1" in said
    if code == 0:
        net = lenet5.load(tmp_path / "run")
        assert np.isfinite(net.theta).all() and np.isfinite(net.predict_proba(images)).all()
    assert len(np.unique(trained(images, labels).predict(images))) == 1


def test_one_class(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    labels = np.full(20, 3, np.uint8)
    assert run(idx_set(tmp_path, images, labels)) == 0
    assert (lenet5.load(tmp_path / "run").predict(images) == 3).all()
    model = trained(images, labels)
    assert (model.predict(images) == 3).all() and model.predict_proba(images).shape == (20, 1)


def test_one_image():
    images, labels = datasets.load("digits")[0].images[:1], np.array([5])
    assert trained(images, labels).predict(images) == [5]
    one = datasets.Dataset(images, labels.astype(np.uint8), "one", num_classes=10)
    net = lenet5.lenet5()
    history = lenet5.Trainer(net, lenet5.MAP(), lenet5.SGD(net.parameters(), lr=1e-3)).fit(one, epochs=3)
    assert history[2]["loss"] < history[0]["loss"]
    with pytest.raises(ConfigError, match="cannot be split"):
        one.split(0.5, np.random.default_rng(0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(value):
    images = np.zeros((6, 8, 8))
    images[2, 3, 3] = value
    with pytest.raises(ValueError, match="NaN|infinity"):
        trained(images, np.arange(6))
    prepared = np.zeros((2, 1, 32, 32), np.float32)
    prepared[1, 0, 5, 5] = value
    for read in ("predict", "predict_proba", "outputs", "feature_maps"):
        with pytest.raises(ShapeError, match="NaN, infinity"):
            getattr(lenet5.pretrained(), read)(prepared)


def test_numbers_beyond_all_measure():
    with pytest.raises(ShapeError, match="very large"):
        lenet5.pretrained().predict(np.full((1, 1, 32, 32), 1e30, np.float32))


def test_integers_that_no_float_holds():
    images = np.zeros((3, 64), object)
    images[1, 1] = 10**400
    with pytest.raises(ValueError, match="too large for a float"):
        trained(images, np.arange(3))


def test_labels_out_of_range(tmp_path, capsys):
    images = np.zeros((20, 28, 28), np.uint8)
    assert run(idx_set(tmp_path, images, np.arange(20, dtype=np.uint8) % 2 * 200)) in (2, 3)
    text = capsys.readouterr().err
    assert "201" in text and "Traceback" not in text
    with pytest.raises(DataError, match="label 7"):
        datasets.Dataset(images, np.full(20, 7, np.uint8), "own", num_classes=7)
    model = lenet5.LeNet5Classifier()
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(images, np.full(20, 7), classes=[0, 1])


def test_a_header_that_claims_ten_million_rows(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 10**7, 28, 28) + bytes(784))
    for options in ({}, {"mmap": True}):
        with pytest.raises(DataError, match="10000000"):
            read_idx(path, **options)
    idx_set(tmp_path, np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8))
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 10**7, 28, 28) + bytes(784))
    assert run(tmp_path) == 3


def test_empty_sets(tmp_path):
    for shape in ((0, 28, 28), (3, 0, 28)):
        with pytest.raises(DataError):
            datasets.Dataset(np.zeros(shape, np.uint8), np.zeros(shape[0], np.uint8), "empty")
        with pytest.raises(ValueError):
            trained(np.zeros(shape), np.zeros(shape[0]))
    idx_set(tmp_path, np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8))
    write_idx(tmp_path / "t10k-images-idx3-ubyte", np.zeros((0, 28, 28), np.uint8))
    assert run(tmp_path) == 3
    assert lenet5.pretrained().predict(np.zeros((0, 28, 28), np.uint8)).shape == (0,)


# Regression tests for findings of the fuzz targets


def test_a_note_that_names_a_huge_network(tmp_path):
    net = lenet5.pretrained()
    options = [{"size": 4000}, {"channels": 60_000}, {"output": "softmax", "classes": 10**10}, {"size": 10**30}]
    for more in options:
        checkpoint.save(tmp_path / "x.npz", net.arrays(), {"model": net.spec | more, "dtype": "float32"})
        with pytest.raises(CheckpointError, match="parameters|int from 1|code for each"):
            lenet5.load(tmp_path / "x.npz")


def test_a_note_of_endless_passes():
    net = lenet5.lenet5()
    trainer = lenet5.Trainer(net, lenet5.MAP(), lenet5.SGD(net.parameters(), lr=1e-3))
    arrays, note = trainer.state()
    with pytest.raises(CheckpointError, match="do not agree"):  # without delay
        trainer.load_state(arrays, note | {"epoch": 10**12})


def test_entries_that_share_their_bytes(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, {"a": np.zeros(1000)}, {})
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    start, size = (
        int.from_bytes(data[end + 16 : end + 20], "little"),
        end - int.from_bytes(data[end + 16 : end + 20], "little"),
    )
    twice = data[end : end + 8] + 2 * struct.pack("<H", 4) + struct.pack("<II", 2 * size, start) + b"\0\0"
    path.write_bytes(data[:start] + 2 * data[start:end] + twice)
    with pytest.raises(CheckpointError, match="more bytes than the file has"):
        lenet5.load(path)


def test_a_layer_that_was_never_built():
    with pytest.raises(ShapeError, match="call build"):
        Conv2D(3, 3).forward(np.zeros(4, np.float32))
    layer = Conv2D(3, 3)
    with pytest.raises(ShapeError):
        layer.build((2, 1, 1), rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match="call build"):
        layer.forward(np.zeros((1, 2, 5, 5), np.float32))


def test_values_in_messages_are_short():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, "x" * 10**6, 1 << 10**6, list(range(10**6))):
        assert 0 < len(shown(value)) < 500


def test_a_key_of_a_thousand_parts(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("epochs" + ".a" * 30_000 + " = 1")
    with pytest.raises(ConfigError, match="1,000 dots"):
        config.read(path)


def test_pictures_whose_readers_start_programs(tmp_path):
    path = tmp_path / "seven.png"
    path.write_bytes((CORPUS / "picture" / "script.eps").read_bytes())
    with pytest.raises(ImageError, match="cannot identify"):
        lenet5.prepare_digit(path)
