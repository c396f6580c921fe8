"""Data sets from folders of pictures, with one sub-folder per class."""

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
SIDE = 28  # of what is scaled, as MNIST's
# Names of the folders that hold the classes of the training and of the test set.
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
_UNREADABLE = 0.1  # share of the pictures that may be damaged
_LISTED = 10  # damaged pictures that a warning names
_CHUNK = 2000  # pictures that a process decodes at a time
_FEW = 4000  # pictures that are not worth a second process


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
    """Load pictures whose class is the name of their sub-folder: ``PATH/CLASS/*.png``, or ``PATH/train/CLASS/*.png``.

    Parameters
    ----------
    path : path-like
        With a folder `train` and a folder `test` (or `val`) in it, each with the classes; or with the classes
        themselves, of each of which a share then is the test set.
    size : int, optional
        Side of the images. Default that of the pictures, if all have one, up to 128, and else 28.
    fit : {"auto", "digit", "scale"}
        "digit" makes each picture what MNIST's are, as `prepare_digit` does: for photographs and scans of characters.
        "scale" puts the whole picture into the square, its longer side fitted. "auto" keeps pictures that are all of
        one size as they are, and else scales.
    colour : bool, optional
        Keep three channels, or average them. Default: three if a picture has colours.
    test_split : float
        Share of each class that is the test set, where there is no folder for it.
    seed : int
        Draws it.
    progress : bool
        Show a progress bar on a terminal.
    cache : bool
        Keep what was read in the user's cache folder, and take it from there while no picture has changed.

    Returns
    -------
    train, test : Dataset
        In the order of the pictures' names, and of equal ones in that of their classes.

    Raises
    ------
    DataError
        There is no such folder, no picture in it, a single class, or more than a tenth of the pictures are damaged.
    ConfigError
        An option is out of its range.

    Warns
    -----
    LenetWarning
        If pictures cannot be read: their names. They are left out.
    """
    if fit not in ("auto", "digit", "scale"):
        raise ConfigError(f"fit is auto, digit or scale; found {fit!r}.")
    if size is not None and not 8 <= size <= LARGEST or fit == "digit" and size not in (None, SIDE):
        raise ConfigError(f"size is 8 to {LARGEST}, and {SIDE} where digits are fitted; found {size!r}.")
    if fit == "digit" and colour:
        raise ConfigError("fit digit makes grey images; colour cannot be kept.")
    folder = Path(path).expanduser()
    parts = _parts(folder)
    files = {name: list(_pictures(part)) for name, part in parts.items()}
    classes = sorted({kind for found in files.values() for _, kind, _ in found}, key=_natural)
    if len(classes) < 2:
        raise DataError(
            f"{folder}: pictures of {len(classes)} classes found; expected one sub-folder of pictures for each class, "
            f"such as {folder}/cats/1.png and {folder}/dogs/1.png, or these in {folder}/train and {folder}/test."
        )
    for name, found in files.items():
        if not found:
            raise DataError(f"{parts[name]}: no pictures; their names end in {', '.join(sorted(SUFFIXES))}.")
    asked = Reading("" if fit == "auto" else fit, size or SIDE, bool(colour))
    key = _key(files, asked, size, fit, colour)
    store = cache_folder("folders") / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]}.npz"
    kept = _from_cache(store, key) if cache else None
    if kept is None:
        kept = _decoded(files, asked, auto=fit == "auto" and size is None, guess=colour is None, progress=progress)
        if cache:
            _to_cache(store, key, kept)
    elif missing := sum(int((~each).sum()) for each in kept[1].values()):
        warnings.warn(f"{missing} pictures of {folder} cannot be read. They are left out.", LenetWarning, stacklevel=2)
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
    """Draw a share of each class as a test set; both keep the order of the set.

    Raises
    ------
    ConfigError
        If the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"test_split is a share between 0 and 1; found {share!r}.")
    rng, held = np.random.default_rng(seed), np.zeros(len(data), bool)
    for kind in range(data.num_classes):
        own = np.flatnonzero(data.labels == kind)
        held[rng.permutation(own)[: round(share * len(own))]] = True
    if held.all() or not held.any():
        raise DataError(f"data set {data.name}: too few pictures to draw a test set of {share:.0%} from: {len(data)}.")
    text = f"{share:.0%} of each class, drawn by seed {seed}"
    whole = replace(data, provenance=dict(data.provenance) | {"test": text})
    return whole.subset(~held), whole.subset(held)


def _parts(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: it is not a folder; name the one that has a sub-folder of pictures for each class.")
    inside = {entry.name.lower(): folder / entry.name for entry in os.scandir(folder) if entry.is_dir()}
    train = next((inside[name] for name in TRAIN if name in inside), None)
    test = next((inside[name] for name in TEST if name in inside), None)
    if train is None:
        return {"train": folder}
    return {"train": train, "test": test} if test is not None else {"train": train}


def _pictures(folder: Path) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield (path, class, (size, time)) of every picture, in the order of their names, then of their classes."""
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
    """Order 2 before 10."""
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
    """Return the images of each part, which of its pictures could be read, and how all were fitted."""
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
        text = f"{len(damaged)} of {count:,} pictures cannot be read: " + "; ".join(damaged[:_LISTED])
        text += f"; and {len(damaged) - _LISTED} more" if len(damaged) > _LISTED else ""
        if len(damaged) > _UNREADABLE * count:
            raise DataError(f"{text}. These are too many: mend or remove them.")
        warnings.warn(f"{text}. They are left out.", LenetWarning, stacklevel=3)
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
    with tqdm(total=len(paths), unit=" pictures", disable=None if progress else True, leave=False) as bar:
        for k, (images, wrong) in enumerate(joblib.Parallel(jobs, return_as="generator")(work)):
            parts.append(images)
            damaged += [(k * _CHUNK + place, text) for place, text in wrong]
            bar.update(len(chunks[k]))
    shapes = {part.shape[1:] for part in parts if len(part)}
    if len(shapes) > 1:
        raise OtherReading(fit="scale")
    if not shapes:
        raise DataError(f"no picture can be read: {'; '.join(text for _, text in damaged[:_LISTED])}.")
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
    except Exception:  # not there, damaged, of another version: read the pictures themselves
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
        pass  # it is read again the next time
