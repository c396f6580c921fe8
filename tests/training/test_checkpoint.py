import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lenet5
from lenet5.errors import CheckpointError, LenetError
from lenet5.models import weights as storage
from lenet5.training import checkpoint

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, dtype=np.int64), "c": np.zeros((0, 2))}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, ARRAYS, {"note": [1, 2.5, None]})
    return path


def test_round_trip(path):
    arrays, meta = checkpoint.load(path)
    assert arrays.keys() == ARRAYS.keys() and meta == {"note": [1, 2.5, None], "format": 1}
    for name, a in ARRAYS.items():
        assert arrays[name].dtype == a.dtype
        np.testing.assert_array_equal(arrays[name], a)
    with np.load(path, allow_pickle=False) as plain:
        assert set(plain.files) == {"a", "b", "c", "meta"}


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, ARRAYS, {})
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["x.npz"]


def test_every_flipped_bit_is_noticed(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    loaded = 0
    for position in rng.permutation(len(whole))[:400]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            arrays, meta = checkpoint.load(path)
        except CheckpointError as error:
            assert str(path) in str(error)
        else:  # a bit that does not affect the content, such as one of a time stamp
            loaded += 1
            assert meta["note"] == [1, 2.5, None]
            for name, a in ARRAYS.items():
                np.testing.assert_array_equal(arrays[name], a)
    assert loaded < 200


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mangled_files_give_one_clear_error(path, data):
    whole = path.read_bytes() if path.stat().st_size > 500 else None
    content = bytearray(whole or b"PK")
    kind = data.draw(st.sampled_from(["cut", "random", "insert"]))
    if kind == "cut":
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    elif kind == "random":
        content = bytearray(data.draw(st.binary(max_size=300)))
    else:
        at = data.draw(st.integers(0, len(content)))
        content[at:at] = data.draw(st.binary(min_size=1, max_size=40))
    mangled = path.parent / "mangled.npz"
    mangled.write_bytes(content)
    try:
        checkpoint.load(mangled)
    except CheckpointError:
        pass


def write(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def npy(header, body=b""):
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ({"a.npy": npy({"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})}, "declares"),
        ({"a.npy": npy({"descr": "<f8", "fortran_order": False, "shape": (-1,)})}, "declares"),
        ({"a.npy": npy({"descr": "|O", "fortran_order": False, "shape": (1,)}, b"12345678")}, "not numeric"),
        ({"a.npy": npy({"descr": "<f4", "fortran_order": False, "shape": (1,)}, b"1234")}, "meta"),
        ({"a.txt": b"hello"}, "damaged"),
        ({}, "meta"),
    ],
)
def test_hostile_archives(tmp_path, entries, what):
    write(tmp_path / "x.npz", entries)
    with pytest.raises(CheckpointError, match=what):
        checkpoint.load(tmp_path / "x.npz")


def test_a_decompression_bomb_is_not_opened(tmp_path):
    zeros = npy({"descr": "|u1", "fortran_order": False, "shape": (50_000_000,)}, bytes(50_000_000))
    write(tmp_path / "x.npz", {"a.npy": zeros}, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        checkpoint.load(tmp_path / "x.npz")


def test_another_format_is_named(tmp_path):
    note = np.frombuffer(json.dumps({"format": 99}).encode(), np.uint8)
    np.savez(tmp_path / "x.npz", meta=note)
    with pytest.raises(CheckpointError, match="found 99"):
        checkpoint.load(tmp_path / "x.npz")


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.load(tmp_path / "none.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "folder.npz")


def test_networks_come_back(tmp_path):
    for options in ({}, {"subsampling": "max", "codes": "ABC"}, {"output": "softmax", "dtype": np.float64}):
        net = lenet5.lenet5(seed=5, **options)
        lenet5.save(tmp_path / "net.npz", net)
        again = lenet5.load(tmp_path / "net.npz")
        assert again.dtype == net.dtype and again.spec == net.spec
        np.testing.assert_array_equal(again.theta, net.theta)
        images = np.random.default_rng(0).integers(0, 200, (3, 28, 28), dtype=np.uint8)
        np.testing.assert_array_equal(again.outputs(images), net.outputs(images))


def test_a_network_of_ones_own_is_loaded_into(tmp_path):
    class Own(lenet5.Dense):
        """A layer that is not registered."""

    def make(seed, units=3):
        net = lenet5.Sequential([Own(units, name="d")])
        net.build((4,), rng=np.random.default_rng(seed))
        return net

    net = make(0)
    lenet5.save(tmp_path / "net.npz", net)
    np.testing.assert_array_equal(lenet5.load(tmp_path / "net.npz", make(1)).theta, net.theta)
    with pytest.raises(CheckpointError, match="Build it and pass it"):
        lenet5.load(tmp_path / "net.npz")
    with pytest.raises(CheckpointError, match=r"d\.weight"):
        lenet5.load(tmp_path / "net.npz", make(1, units=2))


def test_files_of_other_networks_are_refused(tmp_path):
    arrays, meta = checkpoint.load(storage.PRETRAINED)
    arrays.pop("parameter/C1.bias")
    checkpoint.save(tmp_path / "x.npz", arrays, meta)
    with pytest.raises(CheckpointError, match=r"missing \['parameter/C1.bias'\]"):
        lenet5.load(tmp_path / "x.npz")
    arrays["parameter/C1.bias"] = np.zeros(6, np.int32)
    checkpoint.save(tmp_path / "x.npz", arrays, meta)
    with pytest.raises(CheckpointError, match="int32"):
        lenet5.load(tmp_path / "x.npz")
    for spec in ({"name": "resnet"}, {"name": "lenet5", "depth": 3}, "lenet5", {"name": ["x"]}, {}):
        checkpoint.save(tmp_path / "x.npz", arrays, meta | {"model": spec})
        with pytest.raises(LenetError, match=r"x\.npz"):
            lenet5.load(tmp_path / "x.npz")
