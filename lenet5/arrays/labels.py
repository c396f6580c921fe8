"""Convert labels (numbers, strings, bools or one-hot rows) to class indices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError

__all__ = ["aligned", "check_labels", "labels_of"]


def labels_of(labels: Any, classes: Sequence[Any] = (), what: str = "labels") -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert labels to class indices; return these and the class names.

    Parameters
    ----------
    labels : array-like (N,), (N, 1) or one-hot (N, K)
        Integers, strings or bools. Floats are accepted if they are whole numbers.
    classes : sequence, optional
        All classes, in order. By default, integer labels that start at 0 are class indices. For other labels, such as
        integers that start at 1, the classes are the distinct labels in sorted order.

    Returns
    -------
    numbers : ndarray of uint8 (N,)
    names : tuple of str

    Raises
    ------
    ShapeError
        If the labels have an unsupported format, or there are more than 256 classes.
    """
    try:
        found = np.asarray(labels)
    except Exception as error:  # arbitrary objects can raise any exception; NumPy rejects ragged lists
        raise ShapeError(
            f"{what}: {type(labels).__name__} cannot be converted to an array of labels: {error}"
        ) from error
    if found.dtype.kind == "O":
        found = _of_one_kind(found, what)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 2 and found.dtype.kind in "biuf":
        classes = classes if len(classes) else range(found.shape[1])  # includes classes without images
        found = _from_one_hot(found, what)
    if found.ndim != 1:
        raise ShapeError(
            f"{what}: expected one label per image, (N,), or one-hot (N, classes); found {found.dtype} {found.shape}."
        )
    if found.dtype.kind == "f":
        whole = found.astype(np.int64) if np.isfinite(found).all() and np.abs(found).max(initial=0) < 2**53 else None
        if whole is None or not np.array_equal(whole, found):
            raise ShapeError(
                f"{what}: labels must be integers or strings; found floats such as {found[found % 1 != 0][0]}."
            )
        found = whole
    if found.dtype.kind not in "biuUS":
        raise ShapeError(f"{what}: labels must be integers or strings; found {found.dtype}.")
    if found.dtype.kind == "S":
        found = found.astype("U")
    names = np.asarray(classes) if len(classes) else None
    counts = found.dtype.kind in "iu" and (not found.size or found.min() >= 0)
    if counts and (
        names is None and not (found.size and found.min() > 0) or names is not None and names.dtype.kind not in "iu"
    ):
        top = int(found.max(initial=0))
        if names is not None and top >= len(names):
            raise ShapeError(f"{what}: found label {top}, but there are only {len(names)} classes.")
        _at_most_256(top + 1, what)
        return found.astype(np.uint8), tuple(map(str, names if names is not None else range(top + 1)))
    kinds = _in_order(np.unique(found)) if names is None else names
    _at_most_256(len(kinds), what)
    order = np.argsort(kinds, kind="stable")
    place = order[np.searchsorted(kinds, found, sorter=order).clip(max=len(kinds) - 1)]
    if not np.array_equal(kinds[place], found):
        raise ShapeError(
            f"{what}: found label {found[kinds[place] != found][0]}, which is not one of the {len(kinds)} classes."
        )
    return place.astype(np.uint8), tuple(map(str, kinds))


def _in_order(kinds: np.ndarray) -> np.ndarray:
    """Sort distinct labels by numeric value if all are strings of digits; otherwise, leave them unchanged."""
    if kinds.dtype.kind == "U" and all(kind.isdecimal() and len(kind) < 10 for kind in kinds.tolist()):
        return kinds[np.argsort(kinds.astype(np.int64), kind="stable")]
    return kinds


def _of_one_kind(found: np.ndarray, what: str) -> np.ndarray:
    kinds = {type(label) for label in found.flat}
    if all(issubclass(kind, str) for kind in kinds):
        return found.astype("U")
    if all(issubclass(kind, int | float | np.number | np.bool_) for kind in kinds):
        return np.array(found.tolist())
    raise ShapeError(
        f"{what}: labels have several types: {', '.join(sorted(kind.__name__ for kind in kinds))}. Convert them to one "
        "type."
    )


def _from_one_hot(found: np.ndarray, what: str) -> np.ndarray:
    if not ((found == 0) | (found == 1)).all() or not (found.sum(axis=1) == 1).all():
        raise ShapeError(
            f"{what}: {found.dtype} {found.shape} is not one-hot (a single 1 in each row). Pass labels (N,), such as "
            "probabilities.argmax(axis=1)."
        )
    return found.argmax(axis=1)


def _at_most_256(count: int, what: str) -> None:
    if count > 256:
        raise ShapeError(f"{what}: found {count:,} classes; the maximum is 256.")


def aligned(labels: np.ndarray, own: tuple[str, ...], others: tuple[str, ...], *, who: str) -> np.ndarray:
    """Convert labels from indices in the classes `own` to indices in `others`, where classes are matched by name.

    Raises
    ------
    ShapeError
        If a class that occurs in `labels` is missing from `others`.
    """
    if own == others[: len(own)]:
        return labels
    place = {name: k for k, name in enumerate(others)}
    missing = [own[k] for k in np.unique(labels) if own[k] not in place]
    if missing:
        raise ShapeError(
            f"{who}: the classes {', '.join(map(repr, missing[:5]))} are not among those of the network: "
            f"{', '.join(others[:20])}. To train the network for new classes, set net.learned = type(net.learned)()."
        )
    return np.array([place.get(name, 0) for name in own], np.uint8)[labels]


def check_labels(y: np.ndarray, labels: np.ndarray) -> None:
    """Raise ShapeError unless y has shape (N, classes) with N > 0, and labels are N integers from 0 to classes - 1."""
    if y.ndim != 2 or not len(y):
        raise ShapeError(f"A loss needs outputs (N, classes) with N at least 1; found {y.shape}.")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != (len(y),):
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ShapeError(f"Labels must be an integer array ({len(y)},), one per output; found {found}.")
    lowest, highest = labels.min(), labels.max()
    if lowest < 0 or highest >= y.shape[1]:
        raise ShapeError(f"Labels must be from 0 to {y.shape[1] - 1}; found {lowest} to {highest}.")
