import gzip
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lenet5.datasets.idx import CODES, TYPES, read_idx, write_idx
from lenet5.errors import ConfigError, DataError, LenetError

COMMON = {"deadline": None, "derandomize": True, "max_examples": 60}
any_dtype = st.sampled_from(sorted(CODES)).map(np.dtype)
any_array = any_dtype.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5))
)


def header(code, *dims):
    return struct.pack(f">BBBB{len(dims)}I", 0, 0, code, len(dims), *dims)


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype.newbyteorder("=") and a.tobytes() == b.astype(a.dtype).tobytes()


@settings(**COMMON)
@given(any_array, st.sampled_from(["a.idx", "a.idx.gz"]), st.booleans())
def test_round_trip(tmp_path_factory, array, name, swapped):
    if swapped:
        array = array.astype(array.dtype.newbyteorder())
    path = tmp_path_factory.getbasetemp() / name
    write_idx(path, array)
    back = read_idx(path)
    assert same(back, array)
    assert back.dtype.isnative and back.flags.writeable and back.flags.c_contiguous
    with open(path, "rb") as file:
        assert same(read_idx(file), array)


@pytest.mark.parametrize("code", TYPES)
def test_bytes_are_those_of_the_format(code, tmp_path):
    array = np.array([[1, 2, 3]], TYPES[code])
    write_idx(tmp_path / "a", array)
    content = header(code, 1, 3) + array.astype(array.dtype.newbyteorder(">")).tobytes()
    assert (tmp_path / "a").read_bytes() == content
    assert same(read_idx(io.BytesIO(content)), array)


def test_strided_arrays_are_written_in_order(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    write_idx(tmp_path / "a", array)
    assert same(read_idx(tmp_path / "a"), array)


def test_zipped_bytes_are_reproducible(tmp_path):
    for name in "ab":
        write_idx(tmp_path / f"{name}.gz", np.zeros(9, np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == header(8, 9) + bytes(9)


@pytest.mark.parametrize("name", ["raw.gz", "zipped"])
def test_compression_is_seen_from_the_content(name, tmp_path):
    content = header(8, 2) + b"ab"
    (tmp_path / name).write_bytes(content if "raw" in name else gzip.compress(content))
    assert read_idx(tmp_path / name).tobytes() == b"ab"


def test_gzip_of_several_members_and_an_unseekable_stream():
    content = header(8, 4) + b"abcd"
    zipped = gzip.compress(content[:7]) + gzip.compress(content[7:])
    reader, writer = os.pipe()
    os.write(writer, zipped)
    os.close(writer)
    with open(reader, "rb") as file:
        assert read_idx(file).tobytes() == b"abcd"


@pytest.mark.parametrize(
    "dtype, hint",
    [("bool", "uint8"), ("i8", "int32"), ("u2", "int32"), ("f2", "float32"), ("c8", "float64"), ("U3", "")],
)
def test_other_types_are_refused_with_a_hint(dtype, hint, tmp_path):
    with pytest.raises(LenetError, match=f"IDX has no type for .*{hint}"):
        write_idx(tmp_path / "a", np.zeros(3, dtype))
    assert os.listdir(tmp_path) == []


MALFORMED = {
    "empty": (b"", "empty file"),
    "one byte": (b"\0", "at least 4 bytes"),
    "no magic": (b"\0\1\x08\1\0\0\0\0", "magic number: expected 00 00, found 00 01"),
    "a web page": (b"<html>", "magic number"),
    "unknown type": (header(0x0A, 1) + b"a", "element type: expected .*, found 0a"),
    "no dimensions left": (header(8, 1, 2)[:9], "header: expected 12 bytes"),
    "no dimension": (header(8), "data: expected 1 bytes"),
    "too many dimensions": (header(8, *[1] * 65) + b"a", "number of dimensions: expected at most"),
    "too few bytes": (header(8, 5) + b"abc", "data: expected 5 bytes .* found 3"),
    "too few elements": (header(0x0E, 2) + b"abc", "data: expected 16 bytes .* found 3"),
    "trailing bytes": (header(8, 2) + b"abc", "found more bytes"),
    "huge": (header(8, 2**32 - 1, 2**32 - 1), "at most"),
    "overflow": (header(8, *[2**32 - 1] * 20), "at most"),
    "zero beside huge": (header(8, 0, *[2**32 - 1] * 5), "dimensions"),
    "a zip of a zip": (gzip.compress(b"abc"), "magic number"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("content, message", MALFORMED.values(), ids=MALFORMED)
def test_malformed_files(content, message, zipped, tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda z: z[:-9], lambda z: z[:-1], lambda z: z[:12], lambda z: z[:2]])
def test_truncated_gzip(damage, tmp_path):
    (tmp_path / "a").write_bytes(damage(gzip.compress(header(8, 99) + os.urandom(99))))
    with pytest.raises(DataError, match="gzip stream"):
        read_idx(tmp_path / "a")


def test_wrong_gzip_checksum(tmp_path):
    zipped = bytearray(gzip.compress(header(8, 9) + b"123456789"))
    zipped[-6] ^= 1
    (tmp_path / "a").write_bytes(zipped)
    with pytest.raises(DataError, match="gzip stream.*CRC"):
        read_idx(tmp_path / "a")


def test_missing_file_folder_and_nonsense_paths(tmp_path):
    for path in (tmp_path / "missing", tmp_path, "a\0b"):
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path)
    with pytest.raises(DataError, match="cannot be written"):
        write_idx(tmp_path, np.zeros(1, np.uint8))
    for other in (None, io.StringIO("abc")):
        with pytest.raises(LenetError):
            read_idx(other)


def test_no_more_is_unzipped_than_declared(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(header(8, 3) + bytes(50_000_000)))
    with open(tmp_path / "bomb", "rb") as file:
        with pytest.raises(DataError, match="more bytes"):
            read_idx(file)
        assert file.tell() < Path(tmp_path / "bomb").stat().st_size


def test_a_large_claim_takes_no_memory(tmp_path):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(DataError, match="found 3"):
        read_idx(io.BytesIO(header(8, 2**31 - 1) + b"abc"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_max_bytes():
    content = header(0x0D, 10) + bytes(40)
    assert read_idx(io.BytesIO(content), max_bytes=40).shape == (10,)
    with pytest.raises(DataError, match="at most 39 bytes, found 40"):
        read_idx(io.BytesIO(content), max_bytes=39)


def only_lenet_errors(content):
    try:
        read_idx(io.BytesIO(content), max_bytes=10_000)
    except LenetError:
        pass


@settings(**COMMON | {"max_examples": 200})
@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda b: b"\0\0" + b)), st.booleans())
def test_random_bytes(content, zipped):
    only_lenet_errors(gzip.compress(content) if zipped else content)


@settings(**COMMON | {"max_examples": 200})
@given(any_array, st.booleans(), st.integers(0, 10**6), st.binary(min_size=1, max_size=3), st.booleans())
def test_mutated_files(array, zipped, at, patch, cut):
    content = header(CODES[array.dtype.str[1:]], *array.shape)
    content += array.astype(array.dtype.newbyteorder(">")).tobytes()
    content = bytearray(gzip.compress(content) if zipped else content)
    at %= len(content)
    content[at : len(content) if cut else at + len(patch)] = patch
    only_lenet_errors(bytes(content))


@pytest.mark.parametrize("dtype", sorted(CODES))
def test_a_mapped_file_equals_a_read_one(tmp_path, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_idx(tmp_path / "a", array)
    mapped = read_idx(tmp_path / "a", mmap=True)
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, array)
    assert read_idx(tmp_path / "a", mmap=True, max_bytes=1).shape == (2, 3, 4)  # mapped files have no limit


def test_what_cannot_be_mapped(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "a.gz", array)
    write_idx(tmp_path / "a", array)
    write_idx(tmp_path / "none", np.zeros((0, 28, 28), np.uint8))
    assert read_idx(tmp_path / "none", mmap=True).shape == (0, 28, 28)
    (tmp_path / "short").write_bytes((tmp_path / "a").read_bytes()[:-1])
    (tmp_path / "long").write_bytes((tmp_path / "a").read_bytes() + b"x")
    messages = {"a.gz": "gzipped", "short": "24 bytes for", "long": "more bytes", "missing": "cannot be mapped"}
    for name, message in messages.items():
        with pytest.raises(DataError, match=message) as error:
            read_idx(tmp_path / name, mmap=True)
        assert name in str(error.value)
    with pytest.raises(ConfigError, match="path"):
        read_idx(io.BytesIO(b""), mmap=True)


@pytest.mark.parametrize("content, message", MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_not_mapped(content, message, tmp_path):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(DataError, match=f"{message}|cannot be mapped|gzipped|bytes for dimensions") as caught:
        read_idx(tmp_path / "bad", mmap=True, max_bytes=100)
    assert str(tmp_path / "bad") in str(caught.value)
