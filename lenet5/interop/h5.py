"""Separate program that `from_keras` starts: reads the arrays of a .weights.h5 file from stdin, writes plain bytes.

The HDF5 library can crash on damaged files, or ask for any amount of memory: here that ends this process alone. Nothing
of lenet5 is imported. The first line that is written is JSON, an error or the layers; the arrays' bytes follow.
"""

import contextlib
import io
import json
import sys
from typing import Any

_DEEPEST = 8  # groups within groups
_MOST = 10_000  # groups and arrays of a file
_SPARE = 1 << 30  # bytes of memory besides the file: what Python, NumPy and h5py take
_UNPACKED = 64 << 20  # bytes of all arrays together, besides as many as the file has: chunks may be compressed
_STATE = ("optimizer", "seed_generator")  # groups that hold what training needs, and no weights


class Refused(Exception):
    """Something that is not read, in words for a person."""


def main() -> None:
    """Read stdin; write stdout."""
    data = sys.stdin.buffer.read()
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        most = _SPARE + 4 * len(data)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        layers = read(data)
    except Refused as error:
        told: dict[str, Any] = {"error": str(error)}
        layers = []
    except Exception as error:  # h5py meets damaged bytes with OSError, RuntimeError, KeyError, MemoryError, ...
        told = {"error": f"damaged or not a file of Keras 3: {error}"}
        layers = []
    else:
        shapes = [[(array.shape, array.dtype.str) for array in arrays] for _, _, arrays in layers]
        told = {"layers": [(g, n, s) for (g, n, _), s in zip(layers, shapes, strict=True)]}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    for _, _, arrays in layers:
        for array in arrays:
            sys.stdout.buffer.write(array.tobytes())


def read(data: bytes) -> list[tuple[str, str, list[Any]]]:
    """Return (path, name, arrays) of every group that has arrays, without "/vars" in the path; links lead nowhere."""
    import h5py

    found: list[tuple[str, str, list[Any]]] = []
    left, seen = len(data) + _UNPACKED, 0

    def visit(group: Any, depth: int) -> None:
        nonlocal left, seen
        arrays = {}
        for key in group:
            if key in _STATE and (depth == 0 or key != "optimizer"):
                continue
            seen += 1
            if depth > _DEEPEST or seen > _MOST:
                raise Refused("it has more groups within groups than a model")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise Refused(f"{key[:80]!r} is a link to somewhere else")
            kind = group.get(key, getclass=True)
            if kind is h5py.Group:
                visit(group[key], depth + 1)
            elif kind is h5py.Dataset and group.name.endswith("/vars"):
                arrays[key] = group[key]
        kept = []
        for key in sorted(arrays, key=lambda key: (len(key), key)):
            array = arrays[key]
            size = array.size * array.dtype.itemsize
            plain = array.dtype.kind in "fiu" and not array.external and not array.is_virtual
            if not plain or size > (left if array.chunks is not None else min(left, len(data))):
                raise Refused(f"the array {array.name[:80]} is no plain array of numbers of the file's own")
            left -= size
            kept.append(array[()].astype(array.dtype.newbyteorder("<")))
        if kept:
            label = group.attrs.get("name", "")
            found.append((group.name[1:-5], label if isinstance(label, str) else "", kept))

    with h5py.File(io.BytesIO(data), "r") as file:
        if "model_weights" in file or "layer_names" in file.attrs:
            raise Refused(
                "a file of Keras 2. Open it in Keras and save it again, by model.save_weights('model.weights.h5')"
            )
        visit(file, 0)
    return found


if __name__ == "__main__":
    main()
