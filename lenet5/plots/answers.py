"""Plots of predictions: mistakes, confusion matrix, robustness, saliency and occlusion."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from ..analysis import metrics
from ..analysis.robustness import robustness as measure
from ..datasets.base import Dataset
from ..errors import ConfigError, ShapeError
from ..network import Sequential
from .style import TEST, mosaic

__all__ = ["confusion", "distortions", "images", "mistakes", "occlusion", "robustness", "saliency"]


def mistakes(net: Sequential, data: Dataset, *, limit: int = 200) -> Figure:
    """Draw every misclassified image with its true and predicted class, as in Fig. 8 of the paper.

    Parameters
    ----------
    net : Sequential
    data : Dataset
    limit : int
        Maximum number of mistakes to draw. The title states the total.

    Returns
    -------
    matplotlib.figure.Figure
    """
    data, names = net.relabelled(data), net.classes
    answers = net.predict(data.images)
    wrong = np.flatnonzero(answers != data.labels)
    shown = wrong[:limit]
    more = "" if len(shown) == len(wrong) else f", first {len(shown)} shown"
    count = f"{len(wrong)} of {len(data):,} images of {data.name} misclassified ({len(wrong) / len(data):.2%}){more}"
    labels = [f"{names[data.labels[i]]}->{names[answers[i]]}" for i in shown]
    return _grid(data.images[shown], labels, f"{count}: true->answer")


def images(data: Dataset, *, count: int = 60) -> Figure:
    """Draw the first images of a data set, each with its class.

    Parameters
    ----------
    data : Dataset
    count : int
        Number of images.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pictures = data.images[:count]
    return _grid(
        pictures,
        [data.classes[label] for label in data.labels[:count]],
        f"{data.name}: first {len(pictures)} images",
    )


def _grid(pictures: np.ndarray, labels: list[str], title: str) -> Figure:
    """Draw images (N, H, W) or (N, H, W, C) in rows, each with a label."""
    columns = 10 if len(pictures) <= 100 else 16
    rows = max(1, -(-len(pictures) // columns))
    figure = Figure(figsize=(0.62 * columns + 0.4, 0.84 * rows + 0.8), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.add_subplot()
    if not len(pictures):
        axes.set_axis_off()
        return figure
    mosaic(axes, pictures if pictures.ndim == 3 else pictures.mean(axis=3), columns, labels, vmin=0, vmax=255)
    return figure


def confusion(net: Sequential, data: Dataset) -> Figure:
    """Draw the confusion matrix: the number of images for each true and predicted class.

    Parameters
    ----------
    net : Sequential
    data : Dataset

    Returns
    -------
    matplotlib.figure.Figure
        The matrix with counts. Mistakes are shaded; the diagonal is not.

    Raises
    ------
    ConfigError
        If the data set has more classes than the network.
    """
    data, classes = net.relabelled(data), net.out_shape[0]
    if data.num_classes > classes:
        raise ConfigError(f"confusion: the network has {classes} classes, but {data.name} has {data.num_classes}.")
    counts = metrics.confusion(data.labels, net.predict(data.images), classes)
    shade = counts.astype(float)
    np.fill_diagonal(shade, 0)
    figure = Figure(figsize=(max(0.5 * classes, 3.2) + 1.4, max(0.5 * classes, 3.2) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=max(1.0, shade.max()))
    for true, answer in np.argwhere(counts):
        dark = shade[true, answer] > 0.6 * shade.max() > 0
        weight = "bold" if true == answer else "normal"
        axes.text(answer, true, counts[true, answer], ha="center", va="center", fontsize=8, fontweight=weight,
                  color="white" if dark else "black")  # fmt: skip
    names = [name if len(name) <= 16 else name[:15] + "…" for name in net.classes]
    turned = 90 if max(map(len, names)) > 2 else 0
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_yticks(range(classes), names)
    axes.set_xticks(range(classes), names, rotation=turned)
    errors = int(counts.sum() - np.trace(counts))
    axes.set_title(f"{errors} of {counts.sum():,} images of {data.name} misclassified", fontsize=10)
    return figure


def robustness(net: Sequential, data: Dataset) -> Figure:
    """Draw the error on noisy, rotated, scaled, shifted and squeezed images, as measured for Fig. 13 of the paper.

    Parameters
    ----------
    net : Sequential
    data : Dataset

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each distortion. If the paper estimates the range that LeNet-5 tolerates, this range is shaded.
    """
    measured = measure(net, data)
    names = {
        "noise": ("inverted pixels (%)", 100, None),
        "rotation": ("rotation (degrees)", 1, (-30, 30)),
        "scale": ("size (factor)", 1, (0.5, 2)),
        "down": ("shifted down (pixels)", 1, (-10, 10)),
        "squeeze": ("height (factor; width: 1/factor)", 1, None),
    }
    figure = Figure(figsize=(11, 3.0), layout="constrained")
    figure.suptitle(f"Error on distorted test images of {data.name} ({len(data):,}); grey: the paper's estimates")
    for axes, (kind, (label, factor, estimate)) in zip(figure.subplots(1, 5, sharey=True), names.items(), strict=True):
        if estimate:
            axes.axvspan(*estimate, color="#dddddd", zorder=0)
        values = sorted(measured[kind])
        errors = [100 * measured[kind][v] for v in values]
        axes.plot([factor * v for v in values], errors, color=TEST, marker="o", markersize=3.5)
        axes.set(xlabel=label, ylim=(0, 100))
        axes.margins(x=0.03)
        axes.set_xlim(axes.lines[0].get_xdata()[0], axes.lines[0].get_xdata()[-1])
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("error (%)")
    return figure


def saliency(net: Sequential, image: np.ndarray) -> Figure:
    """Draw the derivative of the margin between the two best classes with respect to each pixel.

    Parameters
    ----------
    net : Sequential
    image : ndarray
        One image, as for ``net.predict``.

    Returns
    -------
    matplotlib.figure.Figure
        The network's input, and next to it the derivative.

    Raises
    ------
    ShapeError
        If there is more than one image.
    """
    x, outputs = _one(net, image)
    order = np.argsort(outputs if net.outputs_penalties else -outputs)
    net.forward(x)
    lead = np.zeros((1, len(outputs)), net.dtype)
    lead[0, order[0]], lead[0, order[1]] = (-1, 1) if net.outputs_penalties else (1, -1)
    slope = net.backward(lead)
    assert slope is not None
    title = f"Best class {net.classes[order[0]]}, second {net.classes[order[1]]}: d(margin)/d(pixel)"
    return _beside(x, slope[0].sum(axis=0), title, "effect of more ink on the margin")


def occlusion(net: Sequential, image: np.ndarray, *, size: int = 5) -> Figure:
    """Draw how much the margin of the best class decreases when a patch of the image is covered.

    The margin is the difference between the outputs of the best and the second-best class. Probabilities are not used,
    because they are too close to 0 and 1.

    Parameters
    ----------
    net : Sequential
    image : ndarray
        One image, as for ``net.predict``.
    size : int
        Side of the patch, in pixels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If there is more than one image, or the patch does not fit.
    """
    x, outputs = _one(net, image)
    height, width = x.shape[2:]
    if not 1 <= size <= min(height, width):
        raise ShapeError(f"occlusion: size must be from 1 to {min(height, width)} pixels; found {size}.")
    rows, columns = height - size + 1, width - size + 1
    covered = np.repeat(x, rows * columns, axis=0)
    for k in range(len(covered)):
        r, c = divmod(k, columns)
        covered[k, :, r : r + size, c : c + size] = x.min()
    sign = -1 if net.outputs_penalties else 1
    best = int((sign * outputs).argmax())

    def lead(outputs: np.ndarray) -> np.ndarray:
        return sign * outputs[:, best] - np.delete(sign * outputs, best, axis=1).max(axis=1)

    fall = lead(outputs[None])[0] - lead(net.outputs(covered))
    picture = np.full((height, width), np.nan)
    middle = size // 2
    picture[middle : middle + rows, middle : middle + columns] = fall.reshape(rows, columns)
    name = net.classes[best]
    return _beside(x, picture, f"Class {name}, with {size}x{size} pixels covered", f"decrease of the margin of {name}")


def distortions(
    images: np.ndarray,
    distort: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]],
    *,
    data: str = "",
    seed: int = 0,
) -> Figure:
    """Draw images, and below them the result of each distortion.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W) or (N, H, W, C)
        Images, one per column.
    distort : mapping of str to Distortion
        Distortions by name, one per row, such as `lenet5.datasets.DISTORTIONS`.
    data : str
        Name of the data set, for the title.
    seed : int
        Seed of the random numbers, the same for every distortion.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = {"originals": images}
    rows |= {name: change(images, np.random.default_rng(seed)) for name, change in distort.items()}
    figure = Figure(figsize=(1.1 + 0.54 * len(images), 0.5 + 0.62 * len(rows)), layout="constrained")
    figure.suptitle("Random distortions, different in each epoch" + (f", on {data}" if data else ""))
    for axes, (name, pictures) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        framed = np.pad(pictures, [(0, 0), (1, 1), (1, 1), (0, 0)][: pictures.ndim])
        axes.imshow(np.hstack(list(framed)), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _one(net: Sequential, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the prepared input (1, C, H, W) and the network's outputs (classes,) for one image."""
    outputs = net.outputs(image)
    if len(outputs) != 1:
        raise ShapeError(f"expected one image to draw; found {len(outputs)}.")
    x = net.feature_maps(image)["input"]
    return x.reshape(1, *x.shape[-3:]), outputs[0]


def _beside(x: np.ndarray, picture: np.ndarray, title: str, label: str) -> Figure:
    """Draw the input, and next to it an array of the same shape, with colours symmetric about 0."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    left.imshow(x[0].mean(axis=0), cmap="gray_r", interpolation="nearest")
    left.set_title("input", fontsize=9)
    limit = float(np.nanmax(np.abs(picture))) or 1.0
    image = right.imshow(picture, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    right.contour(x[0].mean(axis=0), levels=1, colors="black", linewidths=0.6)
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=right, label=label, shrink=0.85)
    return figure
