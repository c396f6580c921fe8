"""Separate program, started by `from_keras`, that reads a .weights.h5 file from stdin and writes plain bytes.

On damaged files, the HDF5 library can crash or allocate too much memory; in a separate program, this does not affect
the caller. The program does not import lenet5. The first line of its output is JSON with the layers or an error
message; the bytes of the arrays follow.
"""

import contextlib
import io
import json
import sys
from typing import Any

_DEEPEST = 8  # maximum depth of nested groups
_MOST = 10_000  # maximum number of groups and arrays in a file
_SPARE = 1 << 30  # bytes of memory for Python, NumPy and h5py, in addition to the file
# The total size of the arrays may exceed that of the file by this many bytes, because chunks can be compressed.
_UNPACKED = 64 << 20
_STATE = ("optimizer", "seed_generator")  # groups that contain training state, not weights


class Refused(Exception):
    """Raised if a file cannot be read; the message is for users."""


def main() -> None:
    """Read a file from stdin and write its arrays to stdout."""
    data = sys.stdin.buffer.read()
    with contextlib.suppress(ImportError, ValueError, OSError):  # the module is not available on Windows
        import resource

        most = _SPARE + 4 * len(data)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        layers = read(data)
    except Refused as error:
        told: dict[str, Any] = {"error": str(error)}
        layers = []
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, MemoryError, ... for corrupt data
        told = {"error": f"damaged or not a Keras 3 file: {error}"}
        layers = []
    else:
        shapes = [[(array.shape, array.dtype.str) for array in arrays] for _, _, arrays in layers]
        told = {"layers": [(g, n, s) for (g, n, _), s in zip(layers, shapes, strict=True)]}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    for _, _, arrays in layers:
        for array in arrays:
            sys.stdout.buffer.write(array.tobytes())


def read(data: bytes) -> list[tuple[str, str, list[Any]]]:
    """Return (path, name, arrays) of every group with arrays, without "/vars" in the path; links are rejected."""
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
                raise Refused("it has too many groups and arrays for a model, or they are nested too deeply")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise Refused(f"its entry {key[:80]!r} is a link, which is not allowed")
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
                raise Refused(f"the array {array.name[:80]} is not a plain numeric array stored in the file")
            left -= size
            kept.append(array[()].astype(array.dtype.newbyteorder("<")))
        if kept:
            label = group.attrs.get("name", "")
            found.append((group.name[1:-5], label if isinstance(label, str) else "", kept))

    with h5py.File(io.BytesIO(data), "r") as file:
        if "model_weights" in file or "layer_names" in file.attrs:
            raise Refused(
                "this is a Keras 2 file. Open it in Keras and save it again with model.save_weights('model.weights.h5')"
            )
        visit(file, 0)
    return found


if __name__ == "__main__":
    main()
