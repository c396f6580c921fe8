"""Load data sets from folders of image files, with one sub-folder per class."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, LenetWarning
from ..files import atomic_write
from .base import Dataset
from .locate import cache_folder
from .pictures import LARGEST, OtherReading, Reading, read_chunk

__all__ = ["Fit", "from_folder", "split_by_class"]

Fit = Literal["auto", "digit", "scale"]
Path_ = str | os.PathLike[str]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
SIDE = 28  # side of scaled images, as in MNIST
# Accepted names of the folders with the training set and with the test set.
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
_UNREADABLE = 0.1  # largest fraction of damaged files that is accepted
_LISTED = 10  # maximum number of damaged files that a warning names
_CHUNK = 2000  # number of files that a process decodes at a time
_FEW = 4000  # up to this many files, a single process is used


def from_folder(
    path: Path_,
    *,
    size: int | None = None,
    fit: Fit = "auto",
    colour: bool | None = None,
    test_split: float = 0.2,
    seed: int = 0,
    progress: bool = False,
    cache: bool = True,
) -> tuple[Dataset, Dataset]:
    """Load image files from one folder per class: ``PATH/CLASS/*.png``, or ``PATH/train/CLASS/*.png``.

    Parameters
    ----------
    path : path-like
        Folder that contains the folders `train` and `test` (or `val`), each with one folder per class. If there is
        no `test`, or the class folders are directly in this folder, a fraction of each class becomes the test set.
    size : int, optional
        Side of the images. Default: the size of the image files if it is the same for all and at most 128, else 28.
    fit : {"auto", "digit", "scale"}
        "digit" converts each image to the format of MNIST, as `prepare_digit` does; it is meant for photographs and
        scans of characters. "scale" scales the longer side of the whole image to `size` and pads the shorter one.
        "auto" leaves images unchanged if all have the same size, and otherwise scales them.
    colour : bool, optional
        Whether to keep the three colour channels instead of averaging them. Default: true if any image is in colour.
    test_split : float
        Fraction of each class to use as the test set if there is no test folder.
    seed : int
        Seed for drawing the test set.
    progress : bool
        Show a progress bar on a terminal.
    cache : bool
        Whether to store the converted images in the user's cache folder, and to reuse them until a file changes.

    Returns
    -------
    train, test : Dataset
        Images sorted by file name, then by class.

    Raises
    ------
    DataError
        If the folder does not exist or has fewer than two classes, or more than a tenth of its images are damaged.
    ConfigError
        If an option is out of range.

    Warns
    -----
    LenetWarning
        If some files cannot be read. The warning names them; they are skipped.
    """
    if fit not in ("auto", "digit", "scale"):
        raise ConfigError(f"fit must be auto, digit or scale; found {fit!r}.")
    if size is not None and not 8 <= size <= LARGEST or fit == "digit" and size not in (None, SIDE):
        raise ConfigError(f"size must be from 8 to {LARGEST}, or {SIDE} with fit='digit'; found {size!r}.")
    if fit == "digit" and colour:
        raise ConfigError("fit='digit' produces grey images; omit colour.")
    folder = Path(path).expanduser()
    parts = _parts(folder)
    files = {name: list(_pictures(part)) for name, part in parts.items()}
    classes = sorted({kind for found in files.values() for _, kind, _ in found}, key=_natural)
    if len(classes) < 2:
        raise DataError(
            f"{folder}: expected at least two sub-folders of images, one for each class; found {len(classes)}. Use "
            f"paths such as {folder}/cats/1.png and {folder}/dogs/1.png, or put such sub-folders in "
            f"{folder}/train and {folder}/test."
        )
    for name, found in files.items():
        if not found:
            raise DataError(f"{parts[name]}: expected image files ({', '.join(sorted(SUFFIXES))}), found none.")
    asked = Reading("" if fit == "auto" else fit, size or SIDE, bool(colour))
    key = _key(files, asked, size, fit, colour)
    store = cache_folder("folders") / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]}.npz"
    kept = _from_cache(store, key) if cache else None
    if kept is None:
        kept = _decoded(files, asked, auto=fit == "auto" and size is None, guess=colour is None, progress=progress)
        if cache:
            _to_cache(store, key, kept)
    elif missing := sum(int((~each).sum()) for each in kept[1].values()):
        warnings.warn(f"{missing} images in {folder} cannot be read and are skipped.", LenetWarning, stacklevel=2)
    images, good, used = kept
    sets = {}
    for name, found in files.items():
        labels = np.array([classes.index(kind) for _, kind, _ in found], np.uint8)[good[name]]
        provenance = {"source": str(folder)}
        sets[name] = Dataset(
            images[name], labels, folder.resolve().name, provenance, classes=classes, fit=used or "same"
        )
    if "test" in sets:
        return sets["train"], sets["test"]
    return split_by_class(sets["train"], test_split, seed)


def split_by_class(data: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split off a random fraction of each class as a test set; both parts keep the order of the data set.

    Raises
    ------
    ConfigError
        If `share` is not strictly between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"test_split must be between 0 and 1; found {share!r}.")
    rng, held = np.random.default_rng(seed), np.zeros(len(data), bool)
    for kind in range(data.num_classes):
        own = np.flatnonzero(data.labels == kind)
        held[rng.permutation(own)[: round(share * len(own))]] = True
    if held.all() or not held.any():
        raise DataError(f"data set {data.name}: {len(data)} images are too few to split off a test set of {share:.0%}.")
    text = f"{share:.0%} of each class, drawn with seed {seed}"
    whole = replace(data, provenance=dict(data.provenance) | {"test": text})
    return whole.subset(~held), whole.subset(held)


def _parts(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder. Give a folder with a sub-folder of images for each class.")
    inside = {entry.name.lower(): folder / entry.name for entry in os.scandir(folder) if entry.is_dir()}
    train = next((inside[name] for name in TRAIN if name in inside), None)
    test = next((inside[name] for name in TEST if name in inside), None)
    if train is None:
        return {"train": folder}
    return {"train": train, "test": test} if test is not None else {"train": train}


def _pictures(folder: Path) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield (path, class, (size, modification time)) of every image file, sorted by file name, then by class."""
    found = []
    for entry in os.scandir(folder):
        if entry.is_dir() and not entry.name.startswith((".", "__")):
            for root, folders, names in os.walk(entry.path):
                folders[:] = [name for name in folders if not name.startswith((".", "__"))]
                found += [
                    (os.path.join(root, name), entry.name)
                    for name in names
                    if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
                ]
    found.sort(key=lambda item: (_natural(os.path.basename(item[0])), _natural(item[1]), item[0]))
    for path, kind in found:
        status = os.stat(path)
        yield path, kind, (status.st_size, status.st_mtime_ns)


def _natural(name: str) -> list[Any]:
    """Return a sort key that orders numbers by value: 2 before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _key(files: dict[str, list[Any]], *options: Any) -> str:
    digest = hashlib.sha256(repr(options).encode())
    for name, found in files.items():
        digest.update(name.encode())
        for path, kind, status in found:
            digest.update(f"{path!r} {kind!r} {status}\n".encode())
    return digest.hexdigest()


Kept = tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.bool_]], str]


def _decoded(files: dict[str, list[Any]], reading: Reading, *, auto: bool, guess: bool, progress: bool) -> Kept:
    """Return the images of each part (train, test), a mask of each part's readable files, and the `fit` used."""
    while True:
        try:
            images, good, damaged = {}, {}, []
            for name, found in files.items():
                paths = [path for path, _, _ in found]
                arrays, wrong = _read_all(paths, reading, auto=auto, guess=guess, progress=progress)
                good[name] = np.ones(len(paths), bool)
                good[name][[k for k, _ in wrong]] = False
                images[name] = arrays
                damaged += [text for _, text in wrong]
            shapes = {array.shape[1:] for array in images.values()}
            if len(shapes) > 1:
                raise OtherReading(fit="scale")
            break
        except OtherReading as other:
            reading = Reading(**{**vars(reading), **other.change})
            auto, guess = auto and not reading.fit, guess and not reading.colour
    count = sum(map(len, files.values()))
    if damaged:
        text = f"{len(damaged)} of {count:,} images cannot be read: " + "; ".join(damaged[:_LISTED])
        text += f"; and {len(damaged) - _LISTED} more" if len(damaged) > _LISTED else ""
        if len(damaged) > _UNREADABLE * count:
            raise DataError(f"{text}. This is more than {_UNREADABLE:.0%}: repair or remove the damaged files.")
        warnings.warn(f"{text}. They are skipped.", LenetWarning, stacklevel=3)
    return images, good, reading.fit


def _read_all(
    paths: Sequence[str], reading: Reading, *, auto: bool, guess: bool, progress: bool
) -> tuple[NDArray[np.uint8], list[tuple[int, str]]]:
    import joblib
    from tqdm.auto import tqdm

    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    jobs = joblib.cpu_count() if len(paths) > _FEW else 1
    parts, damaged = [], []
    work = (joblib.delayed(read_chunk)(chunk, reading, auto, guess) for chunk in chunks)
    with tqdm(total=len(paths), unit=" images", disable=None if progress else True, leave=False) as bar:
        for k, (images, wrong) in enumerate(joblib.Parallel(jobs, return_as="generator")(work)):
            parts.append(images)
            damaged += [(k * _CHUNK + place, text) for place, text in wrong]
            bar.update(len(chunks[k]))
    shapes = {part.shape[1:] for part in parts if len(part)}
    if len(shapes) > 1:
        raise OtherReading(fit="scale")
    if not shapes:
        raise DataError(f"no image can be read: {'; '.join(text for _, text in damaged[:_LISTED])}.")
    return np.concatenate([part for part in parts if len(part)]), damaged


def _from_cache(store: Path, key: str) -> Kept | None:
    try:
        with np.load(store, allow_pickle=False) as file:
            note = json.loads(file["note"].tobytes())
            if note["key"] != key:
                return None
            return (
                {name: file[f"images/{name}"] for name in note["parts"]},
                {name: file[f"good/{name}"] for name in note["parts"]},
                str(note["fit"]),
            )
    except Exception:  # the cache is missing, damaged or from another version: read the image files
        return None


def _to_cache(store: Path, key: str, kept: Kept) -> None:
    images, good, fit = kept
    note = json.dumps({"key": key, "parts": list(images), "fit": fit}).encode()
    arrays: dict[str, NDArray[Any]] = {f"images/{name}": array for name, array in images.items()}
    arrays |= {f"good/{name}": array for name, array in good.items()}
    try:
        with atomic_write(store) as file:
            np.savez(file, note=np.frombuffer(note, np.uint8), **arrays)  # type: ignore[arg-type]
    except OSError:
        pass  # not an error, because the cache is optional
