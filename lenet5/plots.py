"""Pictures. Every function returns a Matplotlib Figure and shows nothing."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import bitmaps
from .datasets.transforms import BACKGROUND, FOREGROUND
from .errors import ShapeError
from .files import atomic_write
from .network import Sequential

__all__ = ["compared", "distortions", "feature_maps", "learning_curves", "save"]

PAPER_TEST_ERROR = 0.0095

# Colours that differ in lightness as well (Okabe and Ito), and line styles for print.
_TEST, _TRAIN, _VALIDATION, _PAPER = "#0072B2", "#D55E00", "#009E73", "#555555"
_COLOURS = (_TEST, _TRAIN, _VALIDATION, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "v", "D")


def learning_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, data: str, net: str = "lenet5") -> Figure:
    """Draw error against passes, as the paper's Fig. 5.

    Parameters
    ----------
    runs : mapping of str to history
        Label of each run -> its records, as in ``history.json``.
    data : str
        Name of the data set, for the title.
    net : str
        Name of the network, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Errors in per cent on a logarithmic axis; of lenet5 on MNIST with the paper's 0.95 % marked.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    styles = {
        "test_error": (_TEST, "-", "o", "test"),
        "validation_error": (_VALIDATION, "-.", "^", "validation"),
        "train_error": (_TRAIN, "--", "s", "training, on the fly"),
    }
    for number, history in enumerate(runs.values()):
        passes = [r["pass"] for r in history]
        for column, (colour, line, marker, label) in styles.items():
            percent = [100 * r[column] if r.get(column) is not None else np.nan for r in history]
            if not np.isnan(percent).all():
                name = label if not number else None
                axes.plot(passes, percent, line, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=name)
    if (net, data) == ("lenet5", "mnist"):
        axes.axhline(100 * PAPER_TEST_ERROR, color=_PAPER, linestyle=":", label="paper, test: 0.95 %")
    title = f"{'LeNet-5' if net == 'lenet5' else net} on {data}: " + (
        next(iter(runs)) if len(runs) == 1 else f"{len(runs)} runs"
    )
    _against_passes(axes, "error (%)", title)
    axes.legend()
    return figure


def compared(
    rows: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], *, key: str = "test_error", title: str
) -> Figure:
    """Draw one figure of several recipes against passes: the mean of the runs of each, and their range.

    Parameters
    ----------
    rows : mapping of str to histories
        Label of each recipe -> the histories of its runs, as in ``history.json``. Recipes without any are left out.
    key : str
        An error in every record, as a fraction.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        In per cent on a logarithmic axis; up to the shortest run of each recipe.
    """
    shown = {label: runs for label, runs in rows.items() if any(runs)}
    figure = Figure(figsize=(7.5, 4.5 + 0.09 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for number, (label, runs) in enumerate(shown.items()):
        length = min(map(len, runs))
        values = [
            [100 * record[key] if record.get(key) is not None else np.nan for record in run[:length]] for run in runs
        ]
        passes, percent = range(1, length + 1), np.array(values)
        # Zero has no place on the axis: half an image in 10,000 stands for it.
        percent = np.maximum(percent, 0.005)
        colour, line, marker = _COLOURS[number % 7], _LINES[number // 7 % 4], _MARKERS[number % 5]
        axes.plot(
            passes, percent.mean(axis=0), line, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=label
        )
        if len(runs) > 1:
            axes.fill_between(passes, percent.min(axis=0), percent.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    _against_passes(axes, f"{key.replace('_', ' ')} (%)", title)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def distortions(
    images: np.ndarray,
    distort: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]],
    *,
    data: str = "",
    seed: int = 0,
) -> Figure:
    """Draw images as they are, and below them what each distortion makes of them.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
        One column each.
    distort : mapping of str to Distortion
        Such as `lenet5.datasets.DISTORTIONS`; one row each.
    data : str
        Name of the data set, for the title.
    seed : int
        Of every distortion.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = {"as they are": images}
    rows |= {name: change(images, np.random.default_rng(seed)) for name, change in distort.items()}
    figure = Figure(figsize=(1.1 + 0.54 * len(images), 0.5 + 0.62 * len(rows)), layout="constrained")
    figure.suptitle("Distortions, drawn anew for each pass" + (f", on {data}" if data else ""))
    for axes, (name, pictures) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        framed = np.pad(pictures, [(0, 0), (1, 1), (1, 1)])
        axes.imshow(np.hstack(list(framed)), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def feature_maps(net: Sequential, image: np.ndarray, *, data: str = "") -> Figure:
    """Draw what every stage of the network makes of one image, from the input to the penalties.

    Parameters
    ----------
    net : Sequential
        With the stages of the paper's network.
    image : ndarray
        One image, as for ``net.predict``.
    data : str
        Name of the data set it comes from, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        F6 is drawn as the 7x12 bitmap that it imitates.

    Raises
    ------
    ShapeError
        If there is more than one image.
    """
    maps = net.feature_maps(image)
    if maps["input"].ndim == 4:
        if len(maps["input"]) != 1:
            raise ShapeError(f"feature_maps draws one image; found {len(maps['input'])}.")
        maps = {name: m[0] for name, m in maps.items()}
    output = maps.pop("output").ravel()
    best = int(output.argmin() if net.outputs_penalties else output.argmax())
    figure = Figure(figsize=(10, 7))
    figure.suptitle(f"LeNet-5 reads a digit{f' from {data}' if data else ''}: the answer is {best}", y=0.985)
    heights = np.array([_height(name, m) for name, m in maps.items()] + [1.4])
    bottoms = 0.94 - np.cumsum(heights + 0.25) / (heights + 0.25).sum() * 0.9
    unit = 0.9 / (heights + 0.25).sum()
    for bottom, height, (name, m) in zip(bottoms, heights * unit, maps.items(), strict=False):
        shape = " x ".join(str(side) for side in m.shape if side > 1)
        figure.text(0.015, bottom + height / 2, f"{name}\n{shape}", va="center", fontsize=9)
        low, high = (BACKGROUND, FOREGROUND) if name == "input" else (-1.7159, 1.7159)
        pictures, width = _pictures(name, m), min(height * 0.7, 0.051 if m.ndim == 3 and len(m) > 1 else 1)
        step = (0.87 - width) / 15 if len(pictures) > 1 else 0.0
        for k, picture in enumerate(pictures):
            box = (0.11 + k * step, bottom, width, height) if picture.shape[0] > 1 else (0.11, bottom, 0.87, height)
            axes = figure.add_axes(box)
            axes.imshow(picture, cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
            axes.set_aspect("equal" if picture.shape[0] > 1 else "auto")
            axes.set(xticks=[], yticks=[])
    axes = figure.add_axes((0.11, bottoms[-1], 0.87, heights[-1] * unit))
    axes.bar(range(len(output)), output, color=[_TRAIN if i == best else _TEST for i in range(len(output))])
    axes.set_xticks(range(len(output)))
    kind = "penalty" if net.outputs_penalties else "score"
    figure.text(0.015, bottoms[-1] + heights[-1] * unit / 2, f"{kind}\nof each class", va="center", fontsize=9)
    axes.tick_params(labelsize=8)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, whole or not at all, with no date inside, so that the bytes repeat."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=130, metadata={"Software": None})


def _against_passes(axes: Axes, label: str, title: str) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("passes through the training set")
    axes.set(ylabel=label, title=title)
    axes.grid(which="both", alpha=0.25)


def _height(name: str, m: np.ndarray) -> float:
    """Height of a stage's row, in units of a feature map."""
    return 0.3 if _pictures(name, m)[0].shape[0] == 1 else 1.3 if name in ("input", "F6") else 1.0


def _pictures(name: str, m: np.ndarray) -> list[np.ndarray]:
    """Maps (C, H, W) one by one; F6 as its bitmap; another vector as one strip."""
    if m.ndim == 3 and m.shape[1] * m.shape[2] > 1:
        return list(m)
    if m.size == bitmaps.HEIGHT * bitmaps.WIDTH:
        return [m.reshape(bitmaps.HEIGHT, bitmaps.WIDTH)]
    return [m.reshape(1, -1)]
