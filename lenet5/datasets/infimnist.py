"""Make and verify a distorted MNIST data set of any size on disk, like infiMNIST (Loosli, Canu and Bottou 2007).

The set consists of `times` chunks. Chunk 0 contains the original training images. Chunk k contains the same images in
the same order, distorted by a random generator seeded with (seed, k). The bytes therefore depend neither on the number
of threads nor on where an earlier run stopped. Until the set is complete, the images and the manifest are in files
named ``*.partial``. The partial manifest holds the SHA-256 of every chunk that is safely on disk; the final manifest
is written last.
"""

import dataclasses
import datetime
import errno
import hashlib
import json
import math
import os
import platform
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from .. import __version__
from ..errors import ConfigError, DataError
from ..files import atomic_write, clear_unfinished, locked
from .base import Dataset
from .catalog import MNIST
from .distort import Distort
from .distortions import DISTORTIONS
from .idx import CODES, header, write_idx
from .locate import file_sha256

__all__ = ["MANIFEST", "make_distorted", "verify"]

MANIFEST = "manifest.json"
PARTIAL = f"{MANIFEST}.partial"
FILES = tuple(file.name for file in MNIST.files)
IMAGES = FILES[0]
START = len(header(CODES["u1"], (0, 0, 0)))  # offset of the first image in the image file, in bytes

Say = Callable[[str], object]
T = TypeVar("T")


def make_distorted(
    out: str | os.PathLike[str],
    train: Dataset,
    test: Dataset,
    *,
    times: int,
    seed: int = 0,
    distort: str = "all",
    threads: int = 1,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Write `times` copies of `train`, all but the first distorted, and `test` to raw IDX files with a manifest.

    To complete an interrupted call, repeat it: chunks whose hash is correct are kept.

    Parameters
    ----------
    out : path-like
        Output folder; created if missing.
    train, test : Dataset
        Data sets of grey images.
    times : int
        Number of copies, including the unchanged one.
    seed : int
        Seed for the distortions.
    distort : str
        Distortion, a key of `DISTORTIONS`.
    threads : int
        Number of chunks to distort in parallel. The result does not depend on it.
    say : callable
        Called with lines of text that report progress.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    ConfigError
        If an argument is out of range, the distortion is unknown, or the folder contains other data.
    DataError
        If the folder cannot be written. A lack of disk space is detected before the first chunk is written.
    """
    if times < 1 or threads < 1 or seed < 0 or times * len(train) >= 2**32:
        raise ConfigError(
            f"times and threads must be at least 1, seed at least 0, and the total below 2**32 images; "
            f"found times {times}, threads {threads}, seed {seed}."
        )
    if distort not in DISTORTIONS:
        raise ConfigError(f"distort must be one of {', '.join(DISTORTIONS)}; found {distort!r}.")
    if train.images.ndim != 3:
        raise ConfigError(f"{train.name}: expected grey images (H, W), found shape {train.images.shape[1:]}.")
    plan = _plan(train, test, times, seed, distort)
    out = Path(out).expanduser()
    try:
        with locked(out / ".making"), threadpool_limits(1, user_api="blas"):  # more threads change BLAS rounding
            return _make(out, plan, train, test, threads, say)
    except OSError as error:
        size = times * train.images.nbytes / 1e9
        raise DataError(
            f"{out}: cannot be written: {error.strerror or error}. The data set needs {size:.1f} GB. Repeat the "
            "command to resume."
        ) from error


def verify(folder: str | os.PathLike[str]) -> list[str]:
    """Compare a distorted data set with its manifest; return a line of text for each difference.

    Raises
    ------
    DataError
        If there is no manifest, or it was not written by `make_distorted`.
    """
    folder = Path(folder).expanduser()
    if not (folder / MANIFEST).exists() and (folder / PARTIAL).exists():
        raise DataError(f"{folder}: the data set is incomplete. Repeat the make-distorted command that began it.")
    manifest = _read(folder / MANIFEST)
    wrong = []
    for name in FILES:
        if not (folder / name).is_file():
            wrong.append(f"{name}: missing")
        elif file_sha256(folder / name) != manifest["files"][name]:
            wrong.append(f"{name}: SHA-256 differs")
    if f"{IMAGES}: SHA-256 differs" in wrong:
        size = manifest["chunk_images"]
        for k, sha256 in enumerate(manifest["chunks"]):
            if _sha256(_chunk(folder / IMAGES, manifest, k)) != sha256:
                wrong.append(f"{IMAGES}: chunk {k} differs: images {k * size:,} to {(k + 1) * size - 1:,}")
    return wrong


def _plan(train: Dataset, test: Dataset, times: int, seed: int, distort: str) -> dict[str, Any]:
    """Return all settings that determine the content of the files."""
    known = DISTORTIONS[distort]
    return {
        "format": 1,
        "dataset": train.name,
        "source": {"train_sha256": train.digest(), "test_sha256": test.digest()},
        "times": times,
        "chunk_images": len(train),
        "image": list(train.images.shape[1:]),
        "chunk_0": "the originals, unchanged",
        "seed": seed,
        "distort": distort,
        "distortion": dataclasses.asdict(known) if isinstance(known, Distort) else {},
        "versions": {"lenet5": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _make(out: Path, plan: dict[str, Any], train: Dataset, test: Dataset, threads: int, say: Say) -> dict[str, Any]:
    clear_unfinished(out, {*FILES, MANIFEST, PARTIAL})
    before = _found(out, plan)
    if before and "files" in before and not verify(out):
        say(f"{out}: the data set is complete and verified")
        return before
    images, size = out / f"{IMAGES}.partial", train.images.nbytes
    whole = START + plan["times"] * size
    # The data set is incomplete or damaged: mark it as partial until it is complete.
    chunks = before["chunks"] if before else [None] * plan["times"]
    _write(out / PARTIAL, plan | {"chunks": chunks})
    (out / MANIFEST).unlink(missing_ok=True)
    if (out / IMAGES).exists():
        os.replace(out / IMAGES, images)
    images.touch()
    if shutil.disk_usage(out).free < whole - images.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def chunk(k: int) -> tuple[Any, str, bool]:
        """Return the bytes of chunk k, their hash, and whether they are already on disk."""
        if chunks[k]:
            there = _chunk(images, plan, k)
            if (sha256 := _sha256(there)) == chunks[k]:
                return there, sha256, True
        content = _distorted(train, plan, k).data.cast("B")
        return content, _sha256(content), False

    head = header(CODES["u1"], (plan["times"] * plan["chunk_images"], *plan["image"]))
    total = hashlib.sha256(head)
    with open(images, "r+b") as file, ThreadPoolExecutor(threads) as pool:
        file.write(head)
        for k, (content, sha256, right) in enumerate(_in_order(pool, chunk, plan["times"], threads + 1)):
            total.update(content)
            if not right:
                file.seek(START + k * size)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                chunks[k] = sha256
                _write(out / PARTIAL, plan | {"chunks": chunks})
            say(f"chunk {k + 1} of {plan['times']} {'verified' if right else 'written'}")
        file.truncate(whole)
    for name, array in zip(FILES[1:], (np.tile(train.labels, plan["times"]), test.images, test.labels), strict=True):
        write_idx(out / name, array)
    os.replace(images, out / IMAGES)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    hashes = {IMAGES: total.hexdigest()} | {name: file_sha256(out / name) for name in FILES[1:]}
    manifest = plan | {"date": date, "files": hashes, "chunks": chunks}
    _write(out / MANIFEST, manifest)
    (out / PARTIAL).unlink()
    return manifest


def _found(out: Path, plan: dict[str, Any]) -> dict[str, Any] | None:
    """Return the manifest, complete or partial, that an earlier call left, or None."""
    path = out / (MANIFEST if (out / MANIFEST).exists() else PARTIAL)
    if not path.exists():
        there = [name for name in FILES if (out / name).exists()]
        if there:
            raise ConfigError(f"{out}: {there[0]} was not made by make-distorted. Choose another folder.")
        return None
    manifest = _read(path)
    other = [f"{key} {manifest.get(key)!r}, not {value!r}" for key, value in plan.items() if manifest.get(key) != value]
    if other:
        raise ConfigError(f"{out}: contains a different data set: {'; '.join(other)}. Choose another folder.")
    return manifest


def _in_order(pool: ThreadPoolExecutor, work: Callable[[int], T], n: int, ahead: int) -> Iterator[T]:
    """Yield work(0) to work(n - 1), computing up to `ahead` results in advance."""
    waiting: deque[Future[T]] = deque()
    for k in range(n):
        waiting.append(pool.submit(work, k))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _distorted(train: Dataset, plan: Mapping[str, Any], k: int) -> np.ndarray:
    if k == 0:
        return train.images
    rng = np.random.default_rng(np.random.SeedSequence(plan["seed"], spawn_key=(k,)))
    return DISTORTIONS[plan["distort"]](train.images, rng)


def _chunk(path: Path, plan: Mapping[str, Any], k: int) -> bytes:
    size = plan["chunk_images"] * math.prod(plan["image"])
    with open(path, "rb") as file:
        file.seek(START + k * size)
        return file.read(size)


def _sha256(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, manifest: Mapping[str, Any]) -> None:
    with atomic_write(path, text=True) as file:
        json.dump(manifest, file, indent=1)
        file.write("\n")


def _read(path: Path) -> dict[str, Any]:
    """Read a manifest; a partial one lacks "files" and has None for missing chunks."""
    try:
        manifest = json.loads(path.read_bytes())
        times, count, (height, width) = manifest["times"], manifest["chunk_images"], manifest["image"]
        hashes = [*manifest["chunks"], *(manifest["files"][name] for name in FILES if path.name == MANIFEST)]
        right = all(type(number) is int and number > 0 for number in (times, count, height, width))
        right &= all(isinstance(sha256, str | None) for sha256 in hashes)
        if not right or len(manifest["chunks"]) != times:
            raise ValueError("an entry has an unexpected type, value or length")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a make-distorted manifest: {error!r}") from error
    return manifest
