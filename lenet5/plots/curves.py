"""Plots of the error as a function of epoch, training-set size, rejected fraction and number of parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis import metrics
from ..errors import ShapeError
from .style import COLOURS, LINES, MARKERS, PAPER, TEST, TRAIN, VALIDATION

__all__ = ["compared", "learning_curves", "pruned", "rejection", "training_size"]

PAPER_TEST_ERROR = 0.0095
# Number of training images -> (test error, training error) in per cent, read off the paper's Fig. 6.
PAPER_FIG_6 = {15_000: (1.69, 0.06), 30_000: (1.14, 0.31), 60_000: (0.95, 0.35)}


def learning_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, data: str, net: str = "lenet5") -> Figure:
    """Draw the error as a function of the epoch, as in Fig. 5 of the paper.

    Parameters
    ----------
    runs : mapping of str to history
        Label of each run -> its history, as in ``history.json``.
    data : str
        Name of the data set, for the title.
    net : str
        Name of the network in the title.

    Returns
    -------
    matplotlib.figure.Figure
        Errors in per cent on a logarithmic axis. For lenet5 on MNIST, the paper's 0.95 % is marked.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    styles = {
        "test_error": (TEST, "-", "o", "test"),
        "validation_error": (VALIDATION, "-.", "^", "validation"),
        "train_error": (TRAIN, "--", "s", "training, on the fly"),
    }
    for number, history in enumerate(runs.values()):
        epochs = [r["epoch"] for r in history]
        for column, (colour, line, marker, label) in styles.items():
            percent = [100 * r[column] if r.get(column) is not None else np.nan for r in history]
            if not np.isnan(percent).all():
                name = label if not number else None
                axes.plot(epochs, percent, line, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=name)
    if (net, data) == ("lenet5", "mnist"):
        axes.axhline(100 * PAPER_TEST_ERROR, color=PAPER, linestyle=":", label="paper, test: 0.95 %")
    title = f"{'LeNet-5' if net == 'lenet5' else net} on {data}: " + (
        next(iter(runs)) if len(runs) == 1 else f"{len(runs)} runs"
    )
    _against_passes(axes, "error (%)", title)
    axes.legend()
    return figure


def compared(
    rows: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], *, key: str = "test_error", title: str
) -> Figure:
    """Draw a quantity as a function of the epoch for several recipes, as mean and range over runs.

    Parameters
    ----------
    rows : mapping of str to histories
        Label of each recipe -> histories of its runs, as in ``history.json``. Recipes without histories are skipped.
    key : str
        Key of the quantity, a fraction, in the records of a history.
    title : str
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Curves in per cent, up to the end of the shortest run of each recipe. The axis is logarithmic for
        errors and linear for other quantities.
    """
    shown = {label: runs for label, runs in rows.items() if any(runs)}
    figure = Figure(figsize=(7.5, 4.5 + 0.09 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for number, (label, runs) in enumerate(shown.items()):
        length = min(map(len, runs))
        values = [
            [100 * record[key] if record.get(key) is not None else np.nan for record in run[:length]] for run in runs
        ]
        epochs, percent = range(1, length + 1), np.array(values)
        # A logarithmic axis has no 0; draw 0 as 0.005 %, half an image in 10,000.
        percent = np.maximum(percent, 0.005)
        colour, line, marker = COLOURS[number % 7], LINES[number // 7 % 4], MARKERS[number % 5]
        axes.plot(
            epochs, percent.mean(axis=0), line, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=label
        )
        if len(runs) > 1:
            axes.fill_between(epochs, percent.min(axis=0), percent.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    _against_passes(axes, f"{key.replace('_', ' ')} (%)", title)
    if not key.endswith("error"):
        axes.set_yscale("linear")
        axes.set_ylim(0, None)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def training_size(results: Mapping[int, Sequence[Mapping[str, Any]]], *, data: str) -> Figure:
    """Draw the error as a function of the number of training images, as in Fig. 6 of the paper.

    Parameters
    ----------
    results : mapping of int to records
        Number of training images -> records of the last epoch of each run. Their ``test_error`` and ``train_error`` are
        fractions.
    data : str
        Name of the data set, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Means and ranges in per cent. For MNIST, the paper's values are added.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    sizes = sorted(results)
    for key, colour, line, marker, label in (
        ("test_error", TEST, "-", "o", "test"),
        ("train_error", TRAIN, "--", "s", "training, on the fly"),
    ):
        percent = [100 * np.array([record[key] for record in results[n]]) for n in sizes]
        middle = np.array([p.mean() for p in percent])
        spread = np.array([[m - p.min(), p.max() - m] for m, p in zip(middle, percent, strict=True)]).T
        axes.errorbar(sizes, middle, spread, color=colour, linestyle=line, marker=marker, capsize=3, label=label)
    if data == "mnist":
        for column, marker, label in ((0, "x", "the paper, test"), (1, "+", "the paper, training")):
            points = [PAPER_FIG_6[n][column] for n in PAPER_FIG_6]
            axes.plot(list(PAPER_FIG_6), points, marker, color=PAPER, markersize=8, label=label)
    axes.set_xlabel("training images")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set(ylabel="error (%)", title=f"Size of the training set, {data}", ylim=(0, None), xlim=(0, None))
    axes.grid(alpha=0.25)
    axes.legend()
    return figure


def pruned(rows: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], *, title: str) -> Figure:
    """Draw training loss and test error as a function of the number of remaining parameters.

    Parameters
    ----------
    rows : mapping of str to histories
        Criterion -> histories of its runs, with the entries that `lenet5.analysis.pruning.Pruning` adds. Criteria
        without histories are skipped.
    title : str
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Means and ranges over runs, after retraining (solid) and directly after deletion (dashed).
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for number, (label, runs) in enumerate((label, runs) for label, runs in rows.items() if any(runs)):
        colour, marker = COLOURS[number % 7], MARKERS[number % 5]
        # For each number of parameters, use the last epoch, at the end of retraining.
        retrained = [{record["kept"]: record for record in run if "kept" in record} for run in runs]
        at_once = [{r["kept"]: r for record in run for r in record.get("at_once", ())} for run in runs]
        for axes, key, factor in zip(panels, ("loss", "test_error"), (1, 100), strict=True):
            for found, line, name in ((retrained, "-", label), (at_once, "--", f"{label}, not retrained")):
                counts = sorted(set.intersection(*map(set, found)))
                if not counts:
                    continue
                values = factor * np.array([[run[count][key] for count in counts] for run in found])
                axes.plot(counts, values.mean(axis=0), line, color=colour, marker=marker, markersize=4, label=name)
                axes.fill_between(counts, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    for axes, name in zip(panels, ("training loss", "test error (%)"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel=name)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(lambda value, position: f"{value:,.0f}" if f"{value:e}"[0] in "235" else "")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.tick_params(axis="x", which="minor", labelsize=7)
        axes.grid(which="both", alpha=0.25)
    figure.suptitle(title)
    if panels[0].lines:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def rejection(answers: Mapping[str, tuple[np.ndarray, np.ndarray]], *, data: str, target: float = 0.005) -> Figure:
    """Draw the error on the accepted images as a function of the rejected fraction (Fig. 10 of the paper).

    The images with the smallest difference between the two largest scores are rejected first.

    Parameters
    ----------
    answers : mapping of str to (scores, labels)
        Label of each network -> scores (N, classes), higher for likelier classes, and the true classes (N,).
    data : str
        Name of the data set, for the title.
    target : float
        Error to mark with a line (0.005 in the paper).

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If `answers` is empty.
    """
    if not answers:
        raise ShapeError("rejection: expected the scores and labels of at least one network; found none.")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (scores, labels)) in enumerate(answers.items()):
        share, error = metrics.rejection_curve(scores, labels)
        met = share[np.argmax(error <= target)] if (error <= target).any() else 1.0
        shown = share <= max(0.2, 1.2 * met)  # the error hardly changes beyond this fraction
        axes.plot(
            100 * share[shown],
            100 * error[shown],
            LINES[number % 4],
            color=COLOURS[number % 7],
            label=name,
            linewidth=1.4,
        )
    axes.axhline(100 * target, color=PAPER, linestyle=":", label=f"{100 * target:g} %")
    axes.set(xlabel="rejected (% of the images)", ylabel="error on accepted images (%)", ylim=(0, None), xlim=(0, None))
    axes.set_title(f"Rejection of ambiguous images, {data}")
    axes.grid(alpha=0.25)
    axes.legend()
    return figure


def _against_passes(axes: Axes, label: str, title: str) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    # Omit tick labels that begin with 9, because they would touch the label of the next power of ten.
    axes.yaxis.set_minor_formatter(lambda value, position: "" if f"{value:e}"[0] == "9" else f"{value:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set(ylabel=label, title=title)
    axes.grid(which="both", alpha=0.25)
