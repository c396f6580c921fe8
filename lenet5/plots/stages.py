"""Plots of a network: architecture, kernels, target codes, learning rates, weights and feature maps."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .. import bitmaps
from ..errors import ConfigError, ShapeError
from ..layers import Conv2D, Layer
from ..network import Sequential
from ..optim import SDLM
from .style import PAPER, TEST, TRAIN, tiles

__all__ = ["architecture", "effective_rates", "feature_maps", "kernels", "rbf_codes", "weights"]


# Number of feature maps per row.
_ROW = 16


def architecture(net: Sequential) -> Figure:
    """Draw the architecture of a network like Fig. 2 of the paper, with each stage as a stack of maps to scale.

    Parameters
    ----------
    net : Sequential
        A built network.

    Returns
    -------
    matplotlib.figure.Figure
        Stages with their names, sizes and numbers of parameters, and the operations between them.
    """
    stages: list[tuple[str, tuple[int, ...], Layer | None]] = [("input", net.in_shape, None)]
    stages += [(layer.name, layer.out_shape, layer) for layer in net.sublayers() if layer.connections()]
    figure = Figure(figsize=(1.6 * len(stages) + 0.6, 4.0), layout="constrained")
    axes = figure.add_subplot()
    x, largest = 0.0, max(shape[-1] for _, shape, _ in stages if len(shape) == 3)
    for number, (name, shape, layer) in enumerate(stages):
        maps, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
        left = x
        if height * width > 1:
            shown = min(maps, 16)
            for k in range(shown):
                corner = (x + 0.9 * k, -height / 2 + 0.9 * (shown - 1 - k) - 0.45 * (shown - 1))
                axes.add_patch(Rectangle(corner, width, height, facecolor="white", edgecolor="black", linewidth=0.8))
            x += width + 0.9 * (shown - 1)
            size, top = f"{maps}@{height}x{width}", height / 2 + 0.45 * (shown - 1)
        else:
            tall = 4 + 0.22 * min(maps, 120)
            axes.add_patch(Rectangle((x, -tall / 2), 1.6, tall, facecolor="white", edgecolor="black", linewidth=0.8))
            x += 1.6
            size, top = f"{maps}", tall / 2
        parameters = "" if layer is None else f"\n{sum(p.size for p in layer.parameters()):,} parameters"
        axes.text((left + x) / 2, top + 1.5, f"{name}\n{size}{parameters}", ha="center", va="bottom", fontsize=8)
        if number + 1 < len(stages):
            following = stages[number + 1][2]
            assert following is not None
            gap = 9.0 if height * width > 1 else 16.0  # vectors are narrower than their labels
            axes.annotate("", (x + gap - 0.8, 0), (x + 0.8, 0), arrowprops={"arrowstyle": "->", "color": PAPER})
            axes.text(x + gap / 2, -largest / 2 - 8, following.title, ha="center", va="top", fontsize=7.5, color=PAPER)
            axes.plot([x + gap / 2] * 2, [-largest / 2 - 7, -1], color=PAPER, linewidth=0.6, linestyle=":")
            x += gap
    axes.set(xlim=(-2, x + 2), ylim=(-largest / 2 - 16, largest / 2 + 20), aspect="equal")
    axes.set_axis_off()
    total, name = net.theta.size, (net.spec or {}).get("name", "network")
    axes.set_title(f"{name}: {total:,} parameters, {net.connections():,} connections")
    return figure


def kernels(net: Sequential, stage: str = "C1") -> Figure:
    """Draw every kernel of a convolution, one row per output map and one column per input map.

    Parameters
    ----------
    net : Sequential
    stage : str
        Name of a `Conv2D`, such as "C1", "C3" (16 x 6, with blanks for the missing connections of Table I) or "C5".

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ConfigError
        If the network has no such convolution.
    """
    convolutions = {layer.name: layer for layer in net.sublayers() if isinstance(layer, Conv2D)}
    if stage not in convolutions:
        raise ConfigError(
            f"kernels: expected one of the convolutions {', '.join(convolutions) or '(none)'}; found {stage!r}."
        )
    layer = convolutions[stage]
    height, width = layer.kernel_size
    maps, inputs = layer.out_channels, layer.in_shape[0]
    pictures = np.full((maps, inputs, height, width), np.nan)
    owner = np.repeat(np.arange(maps), np.diff(layer.starts))
    pictures[owner, layer.channels] = layer.weight.value.reshape(-1, height, width)
    turned = maps > 3 * inputs and inputs <= 3  # draw C1 as a row, not as a column
    grid = pictures.transpose(1, 0, 2, 3) if turned else pictures
    rows, columns = grid.shape[:2]
    flat = tiles(grid.reshape(-1, height, width), columns)
    side = 0.55 if rows <= 16 else 0.22
    figure = Figure(figsize=(max(4.5, side * columns + 2.4), max(1.8, side * rows + 1.0)), layout="constrained")
    axes = figure.add_subplot()
    limit = float(np.nanmax(np.abs(flat)))
    image = axes.imshow(flat, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_facecolor("#dbe9f6")  # missing connections are blue, unlike any weight
    every = 1 if max(rows, columns) <= 16 else 10
    for axis, count, step in ((axes.xaxis, columns, width + 1), (axes.yaxis, rows, height + 1)):
        numbers = range(0, count, every)
        axis.set_ticks([k * step + step / 2 - 1 for k in numbers], [str(k) for k in numbers])
    names = (f"map of {stage}", "input map")
    axes.set_xlabel(names[0] if turned else names[1])
    axes.set_ylabel(names[1] if turned else names[0])
    axes.tick_params(length=0, labelsize=7)
    axes.set_title(f"{stage}: {len(layer.channels):,} kernels of {height}x{width}", fontsize=10)
    figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    return figure


def rbf_codes(characters: str = bitmaps.DIGITS) -> Figure:
    """Draw the 7x12 target codes of characters, as in Fig. 3 of the paper.

    Parameters
    ----------
    characters : str
        Characters to draw (default: the ten digits). `lenet5.bitmaps.ASCII` contains all characters that have a
        bitmap.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ConfigError
        If a character has no bitmap, or the string is empty.
    """
    codes = bitmaps.codes(characters).reshape(-1, bitmaps.HEIGHT, bitmaps.WIDTH)
    columns = min(len(codes), 16)
    rows = -(-len(codes) // columns)
    figure = Figure(figsize=(0.42 * columns + 0.6, 0.72 * rows + 0.7), layout="constrained")
    figure.suptitle(f"Target codes of {len(codes)} characters, 7x12 pixels of ±1", fontsize=10)
    axes = figure.add_subplot()
    axes.imshow(tiles(codes, columns, gap=2), cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    return figure


def effective_rates(net: Sequential, optimizer: SDLM) -> Figure:
    """Draw histograms of SDLM's effective learning rates (eq. 21), one for each array of parameters.

    Parameters
    ----------
    net : Sequential
    optimizer : SDLM
        Optimiser of this network.

    Returns
    -------
    matplotlib.figure.Figure
        Histograms with a shared logarithmic axis. The range that the paper reports for its first epoch and the upper
        bound eta/mu are marked.
    """
    rates, bound = optimizer.rates, optimizer.lr / optimizer.mu
    low = min(float(rates.min()), 7e-5)
    figure = _histograms(
        net, rates, np.geomspace(low / 1.2, bound * 1.2, 60), "Effective learning rates of all weights"
    )
    for axes in figure.axes:
        axes.axvspan(7e-5, 0.016, color="#dddddd", zorder=0)
        axes.axvline(bound, color=TRAIN, linestyle="--", linewidth=1)
        axes.set_xscale("log")
    axes.set_xlabel("rate; grey: the paper's first epoch, 7e-5 to 0.016; dashed: the bound eta/mu")
    return figure


def weights(net: Sequential) -> Figure:
    """Draw histograms of the weights and biases, one for each array of parameters.

    Parameters
    ----------
    net : Sequential

    Returns
    -------
    matplotlib.figure.Figure
        Histograms with a shared axis.
    """
    limit = float(np.abs(net.theta).max()) or 1.0
    name = (net.spec or {}).get("name", "network")
    figure = _histograms(net, net.theta, np.linspace(-limit, limit, 121), f"Weights and biases of {name}")
    for axes in figure.axes:
        axes.axvline(0, color=PAPER, linewidth=0.8)
    axes.set_xlabel("value")
    return figure


def _histograms(net: Sequential, values: np.ndarray, bins: np.ndarray, title: str) -> Figure:
    """Draw one histogram for each array of parameters; `values` has one entry per weight or bias."""
    parts = net.parameters().slices()
    figure = Figure(figsize=(7.5, 0.6 * len(parts) + 1.4), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, part) in zip(rows, parts.items(), strict=True):
        axes.hist(values[part], bins=bins, color=TEST, zorder=2)
        axes.set_yticks([])
        axes.set_ylabel(f"{name}\n({values[part].size:,})", rotation=0, ha="right", va="center", fontsize=7)
    return figure


def feature_maps(net: Sequential, image: np.ndarray, *, data: str = "") -> Figure:
    """Draw the outputs of all stages for one image, from the input to the network's output.

    Parameters
    ----------
    net : Sequential
        Any network, although the layout is designed for the paper's.
    image : ndarray
        One image, as for ``net.predict``.
    data : str
        Name of the image's data set, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        The feature maps of each stage. F6 is drawn as a 7x12 bitmap, like its target code.

    Raises
    ------
    ShapeError
        If there is more than one image.
    """
    maps = net.feature_maps(image)
    if maps["input"].ndim == 4:
        if len(maps["input"]) != 1:
            raise ShapeError(f"feature_maps: expected one image; found {len(maps['input'])}.")
        maps = {name: m[0] for name, m in maps.items()}
    output = maps.pop("output").ravel()
    best = int(output.argmin() if net.outputs_penalties else output.argmax())
    answer = net.classes[best]
    heights = np.array([_height(name, m) for name, m in maps.items()] + [1.4])
    figure = Figure(figsize=(10, 0.78 * (heights + 0.25).sum()))
    network = (net.spec or {}).get("name", "the network")
    network = "LeNet-5" if network == "lenet5" else network
    figure.suptitle(f"{network} classifies an image{f' of {data}' if data else ''} as {answer}", y=0.985)
    bottoms = 0.94 - np.cumsum(heights + 0.25) / (heights + 0.25).sum() * 0.9
    unit = 0.9 / (heights + 0.25).sum()
    for bottom, height, (name, m) in zip(bottoms, heights * unit, maps.items(), strict=False):
        shape = " x ".join(str(side) for side in m.shape if side > 1)
        figure.text(0.015, bottom + height / 2, f"{name}\n{shape}", va="center", fontsize=9)
        pictures = _pictures(name, m)
        bound = max(1.7159, float(np.abs(m).max())) if name != "input" else float(m.max())
        low, high = (float(m.min()), bound) if m.min() >= 0 or name == "input" else (-bound, bound)
        codes = net.sublayers()[-1].codes
        if name == "F6" and codes is not None:
            pictures.append(codes[best].reshape(bitmaps.HEIGHT, bitmaps.WIDTH))
            figure.text(0.30, bottom + height / 2, f"F6, and the\ncode of class {answer}", va="center", fontsize=8)
        tall = height / -(-len(pictures) // _ROW)
        width = min(tall * 0.7, 0.051 if len(pictures) > 2 else 1)
        step = (0.87 - width) / (_ROW - 1) if len(pictures) > 2 else 1.05 * width
        for k, picture in enumerate(pictures):
            box = (0.11 + k % _ROW * step, bottom + height - (k // _ROW + 1) * tall, width, 0.95 * tall)
            axes = figure.add_axes(box if picture.shape[0] > 1 else (0.11, bottom, 0.87, height))
            axes.imshow(picture, cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
            axes.set_aspect("equal" if picture.shape[0] > 1 else "auto")
            axes.set(xticks=[], yticks=[])
    axes = figure.add_axes((0.11, bottoms[-1], 0.87, heights[-1] * unit))
    axes.bar(range(len(output)), output, color=[TRAIN if i == best else TEST for i in range(len(output))])
    long = max(map(len, net.classes)) > 4
    if len(output) <= 40:
        axes.set_xticks(range(len(output)), [name[:12] for name in net.classes], rotation=90 if long else 0)
    kind = "penalty" if net.outputs_penalties else "score"
    figure.text(0.015, bottoms[-1] + heights[-1] * unit / 2, f"{kind}\nper class", va="center", fontsize=9)
    axes.tick_params(labelsize=8)
    return figure


def _height(name: str, m: np.ndarray) -> float:
    """Return the height at which to draw a stage, in units of the height of one row of feature maps."""
    pictures = _pictures(name, m)
    if pictures[0].shape[0] == 1:
        return 0.3
    return 1.3 if name in ("input", "F6") else float(-(-len(pictures) // _ROW))


def _pictures(name: str, m: np.ndarray) -> list[np.ndarray]:
    """Return a stage's maps (C, H, W) as images: F6 as a 7x12 bitmap, other vectors as a single row."""
    if m.ndim == 3 and m.shape[1] * m.shape[2] > 1:
        return list(m)
    if m.size == bitmaps.HEIGHT * bitmaps.WIDTH:
        return [m.reshape(bitmaps.HEIGHT, bitmaps.WIDTH)]
    return [m.reshape(1, -1)]
