"""Read and write IDX, the format of the MNIST files, raw or gzipped.

Bytes 0 and 1 are zero, byte 2 is the element type (see `TYPES`), and byte 3 is the number of dimensions d. The d
dimensions follow as big-endian unsigned 32-bit integers, then the elements, big-endian, with the last dimension varying
fastest.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, DataError
from ..files import atomic_write

__all__ = ["GZIP_MAGIC", "MAX_BYTES", "TYPES", "header", "read_idx", "read_idx_content", "write_idx"]

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
CODES = {name: code for code, name in TYPES.items()}
GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 2**31
CHUNK = 2**20
NUMPY_MAX_DIMENSIONS = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32

Source = str | os.PathLike[str] | IO[bytes]


def read_idx(source: Source, *, max_bytes: int = MAX_BYTES, mmap: bool = False) -> NDArray[Any]:
    """Read an IDX file.

    Parameters
    ----------
    source : path-like or binary file
        Raw or gzipped file, as detected from its first bytes, not its name.
    max_bytes : int
        Largest accepted size of the array, in bytes. Data beyond the declared size are never unzipped.
    mmap : bool
        Map the elements from the file instead of reading them, for files larger than memory. The file must be given by
        its path and must not be gzipped; `max_bytes` is ignored. ``net.predict`` processes the result in bounded
        memory.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64; C-contiguous and writable, in native byte order. With `mmap`, a
        read-only `numpy.memmap` in the byte order of the file, big-endian.

    Raises
    ------
    DataError
        If the file is missing, unreadable, or not a single well-formed IDX array. The message states the file, the
        field, the expected value and the value found.
    """
    return _mapped(source) if mmap else read_idx_content(source, max_bytes=max_bytes)[0]


def _mapped(source: Source) -> NDArray[Any]:
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(f"read_idx: mmap=True needs a path; found {type(source).__name__}")
    name = os.fspath(source)
    try:
        with open(name, "rb") as file:
            if file.read(2) == GZIP_MAGIC:
                raise DataError(f"{name}: a gzipped file cannot be mapped; unzip it, or read it without mmap")
            file.seek(0)
            content, shape, dtype = _header(file, name)
            size = os.fstat(file.fileno()).st_size - len(content)
            _expect_size(size, shape, dtype, name)
            if size == 0:
                return np.empty(shape, dtype)
            return np.memmap(file, dtype, "r", len(content), shape)
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: cannot be mapped: {getattr(error, 'strerror', None) or error}") from error


def read_idx_content(source: Source, *, max_bytes: int = MAX_BYTES) -> tuple[NDArray[Any], bytearray]:
    """Read an IDX file like `read_idx`; return the array and the unzipped bytes of the file, including the header.

    The array may share memory with the bytes.
    """
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else _stream_name(source)
    try:
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                return _read(file, name, max_bytes)
        return _read(source, name, max_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: incomplete or damaged gzip stream: {error}") from error
    except (OSError, ValueError) as error:  # ValueError is raised for a closed file or a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name}: cannot be read: {reason}") from error


def _stream_name(file: object) -> str:
    return str(getattr(file, "name", "IDX stream"))


def write_idx(path: str | os.PathLike[str], array: ArrayLike) -> None:
    """Write `array` as an IDX file atomically; gzip it if the name ends in `.gz`.

    The same array always produces the same bytes.

    Parameters
    ----------
    path : path-like
        File to write. Missing parent folders are created.
    array : array-like
        Array of uint8, int8, int16, int32, float32 or float64, in either byte order and any memory layout.

    Raises
    ------
    DataError
        If IDX does not support the dtype, a dimension does not fit into 32 bits, or the file cannot be written.
    """
    array = np.asarray(array)
    code = CODES.get(array.dtype.str[1:])
    if code is None:
        nearest = _nearest(array.dtype)
        raise DataError(f"{os.fspath(path)}: IDX has no type for {array.dtype}; convert with .astype(np.{nearest})")
    if max(array.shape, default=0) >= 2**32:
        raise DataError(f"{os.fspath(path)}: expected dimensions below 2**32, found shape {array.shape}")
    content = header(code, array.shape) + array.astype(array.dtype.newbyteorder(">"), copy=False).tobytes()
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, mtime=0)  # no time stamp, so that the bytes are reproducible
    try:
        with atomic_write(path) as file:
            file.write(content)
    except (OSError, ValueError) as error:
        raise DataError(f"{os.fspath(path)}: cannot be written: {error}") from error


def header(code: int, shape: tuple[int, ...]) -> bytes:
    """Return the header of an IDX file with elements of type `TYPES[code]`."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def _nearest(dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return "uint8"
    return "int32" if dtype.kind in "iu" else "float32" if dtype == np.float16 else "float64"


class _Rejoined:
    """File wrapper that first returns bytes that were already read; gzip needs only its `read`."""

    def __init__(self, head: bytes, file: IO[bytes]):
        self.head, self.file = head, file

    def read(self, size: int = -1) -> bytes:
        if self.head:
            head, self.head = (self.head, b"") if size < 0 else (self.head[:size], self.head[size:])
            return head
        return self.file.read(size)


def _read(file: IO[bytes], name: str, max_bytes: int) -> tuple[NDArray[Any], bytearray]:
    if not hasattr(file, "read"):
        raise ConfigError(f"read_idx: expected a path or a binary file, found {type(file).__name__}")
    magic = _take(file, 2)
    stream: Any = _Rejoined(bytes(magic), file)
    if magic == GZIP_MAGIC:
        stream = gzip.GzipFile(fileobj=stream, mode="rb")

    content, shape, dtype = _header(stream, name)
    start, size = len(content), math.prod(shape) * dtype.itemsize
    _expect(size <= max_bytes, name, f"size of an array of shape {shape}", f"at most {max_bytes} bytes", size)
    content += _take(stream, size + 1)  # one extra byte, to detect trailing data and to check gzip's checksum
    _expect_size(len(content) - start, shape, dtype, name)
    try:
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=content, offset=start)
    except ValueError as error:  # dimensions too large for NumPy, although one of them is 0
        raise DataError(f"{name}: dimensions: expected a shape that NumPy can address, found {shape}") from error
    return array.astype(dtype.newbyteorder("="), copy=False), content


def _header(stream: Any, name: str) -> tuple[bytearray, tuple[int, ...], np.dtype]:
    """Read the header of an IDX file; return its bytes, the array shape and the element type."""
    content = _take(stream, 4)
    _expect(len(content) > 0, name, "length", "an IDX header", "an empty file")
    _expect(content[:2] == bytes(len(content[:2])), name, "magic number", "00 00", content[:2].hex(" "))
    _expect(len(content) == 4, name, "header", "at least 4 bytes", len(content))
    code, ndim = content[2], content[3]
    known = ", ".join(f"{code:02x}" for code in TYPES)
    _expect(code in TYPES, name, "element type", f"one of {known}", f"{code:02x}")
    limit = NUMPY_MAX_DIMENSIONS
    _expect(ndim <= limit, name, "number of dimensions", f"at most {limit} (NumPy's limit)", ndim)
    content += _take(stream, 4 * ndim)
    start = 4 + 4 * ndim
    _expect(len(content) == start, name, "header", f"{start} bytes for {ndim} dimensions", len(content))

    return content, struct.unpack_from(f">{ndim}I", content, 4), np.dtype(">" + TYPES[code])


def _expect_size(found: int, shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    size = math.prod(shape) * dtype.itemsize
    _expect(found >= size, name, "data", f"{size} bytes for dimensions {shape}", found)
    _expect(found <= size, name, "data", f"{size} bytes for dimensions {shape}", "more bytes")


def _take(file: IO[bytes], size: int) -> bytearray:
    """Read up to `size` bytes; memory grows with the data read, not with `size`."""
    taken = bytearray()
    while len(taken) < size:
        chunk = file.read(min(CHUNK, size - len(taken)))
        if not isinstance(chunk, bytes):
            raise ConfigError(f"read_idx: expected a binary file, but read() returned {type(chunk).__name__}")
        if not chunk:
            break
        taken += chunk
    return taken


def _expect(truth: bool, name: str, what: str, expected: object, found: object) -> None:
    if not truth:
        raise DataError(f"{name}: {what}: expected {expected}, found {found}")
