"""TensorBoard event files, read back record by record."""

import builtins
import io
import struct

import numpy as np
import pytest
from PIL import Image

from lenet5 import datasets, train
from lenet5.errors import ConfigError
from lenet5.training import callbacks
from lenet5.training.tensorboard import TensorBoard

events = pytest.importorskip("tensorboardX.proto.event_pb2")
RUN = ["--dataset", "digits", "--train-size", "200", "--optimizer.patterns", "50", "--threads", "1", "--quiet"]


def read(folder):
    """Return the scalars of all event files in a folder: (tag, step) -> value."""
    found = {}
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = events.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            found |= {(value.tag, event.step): value for value in event.summary.value}
    return found


def test_what_a_run_writes(tmp_path):
    words = [*RUN, "--epochs", "2", "--out", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "events")]
    assert train.run(words) == 0
    assert train.run(["--resume", str(tmp_path / "run"), "--epochs", "3", "--quiet"]) == 0
    found = read(tmp_path / "events")
    rows = callbacks.checkpoint.load(tmp_path / "run" / "checkpoint.npz")[1]["trainer"]["history"]
    for row in rows:
        for name in ("loss", "train_error", "test_error", "lr", "rate_median", "seconds"):
            assert found[name, row["epoch"]].simple_value == pytest.approx(row[name], rel=1e-6)
        assert found["values/C5.weight", row["epoch"]].histo.num == 48_000
        assert found["rates_log10/S2.bias", row["epoch"]].histo.num == 6
        picture = Image.open(io.BytesIO(found["kernels/C3", row["epoch"]].image.encoded_image_string))
        assert picture.size == (4 * (10 * 6 - 1), 4 * (6 * 6 - 1))
        assert ("feature_maps/S4", row["epoch"]) in found
    assert any(tag.startswith("configuration") for tag, _ in found)


def test_bits_do_not_depend_on_it(tmp_path):
    for name, more in (("with", ["--tensorboard", str(tmp_path / "events")]), ("without", [])):
        assert train.run([*RUN, "--epochs", "2", "--out", str(tmp_path / name), *more]) == 0
    one, other = (callbacks.checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("with", "without"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("tensorboardX"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="lenet5-numpy\\[tensorboard\\]"):
        TensorBoard(tmp_path, image=datasets.load("digits")[1].images[0])
