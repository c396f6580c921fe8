"""Numerical oracles for gradients and curvatures, in float64.

    >>> from lenet5 import gradcheck
    >>> from lenet5.layers import Dense
    >>> print(gradcheck.check(Dense(3), (5,)))          # doctest: +SKIP

`backward` is compared with central differences of `forward`, `bbprop` with `backward`
itself: pushing each unit vector through it gives the rows of the Jacobian, whose squares are weighted
by hy. That is exact, whereas second differences of `forward` are not what a Gauss-Newton diagonal is.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .errors import ConfigError
from .layers.base import Layer, Shape
from .losses import Loss

__all__ = ["Report", "check", "check_loss", "curvature_oracle", "numerical_gradient"]

# Fourth-order differences: at this step the truncation (step^4) is below the rounding (1e-16 / step).
STEP = 1e-4


@dataclass(frozen=True)
class Report:
    """Relative errors, max |found - oracle| / max |oracle|, for "x" and each parameter.

    A gradient less than a thousandth of the largest one is compared with that thousandth.

    Attributes
    ----------
    gradient, curvature : dict of str to float
        Curvatures are named after their layer where a network was checked.
    gradient_tolerance, curvature_tolerance : float
    """

    gradient: dict[str, float]
    curvature: dict[str, float] = field(default_factory=dict)
    gradient_tolerance: float = 1e-7
    curvature_tolerance: float = 1e-10

    @property
    def ok(self) -> bool:
        """Whether every error is below its tolerance."""
        return all(e < self.gradient_tolerance for e in self.gradient.values()) and all(
            e < self.curvature_tolerance for e in self.curvature.values()
        )

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = []
        for kind, errors, tolerance in (
            ("gradient", self.gradient, self.gradient_tolerance),
            ("curvature", self.curvature, self.curvature_tolerance),
        ):
            for name, error in errors.items():
                verdict = "ok" if error < tolerance else f"WRONG (above {tolerance:.0e})"
                lines.append(f"{kind:<9}  {name:<24} {error:8.1e}  {verdict}")
        return "\n".join(lines)


def check(
    layer: Layer | Loss,
    in_shape: Shape | None = None,
    *,
    x: np.ndarray | None = None,
    loss: Loss | None = None,
    labels: np.ndarray | None = None,
    batch: int = 3,
    samples: int = 200,
    step: float = STEP,
    seed: int = 0,
) -> Report:
    """Check the derivatives of a layer, a whole network or a loss.

    Parameters
    ----------
    layer : Layer or Loss
        A layer may be built or not; it is copied to float64, in the state it is in, and left as it is. A
        loss is checked at random outputs for ten classes; see `check_loss`.
    in_shape : tuple of int, optional
        Needed unless `layer` was built.
    x : ndarray (N, *in_shape), optional
        Where to check. Default: `batch` patterns of distinct values, none of them near 0, so that
        a ReLU or a maximum right behind x is not differenced across its kink. Three, because of two
        `BatchNorm` keeps only which is the larger.
    loss : Loss, optional
        Differentiate this criterion; default a random weighting of the outputs.
    labels : integer ndarray (N,), optional
        For `loss`; default random.
    samples : int
        At most so many numbers of each array are differenced, drawn at random.
    step : float
        Of the differences. Shorten it where kinks (ReLU, maxima) lie close to x; rounding then shows.
    seed : int

    Returns
    -------
    Report
        True when everything agrees: gradients to 1e-7, curvatures to 1e-10.

    Raises
    ------
    ConfigError
        If there is no shape to build from, or `batch`, `samples` or `step` is not positive.
    """
    if batch < 1 or samples < 1 or not step > 0:
        raise ConfigError(f"batch, samples and step are positive; found {batch}, {samples} and {step}.")
    rng = np.random.default_rng(seed)
    if isinstance(layer, Loss):
        return check_loss(layer, rng.uniform(0.0, 3.0, (batch, 10)), rng.integers(10, size=batch))
    net = _float64(layer, in_shape, rng)
    x = distinct((batch, *net.in_shape), rng) if x is None else np.array(x, dtype=np.float64)
    y = net.forward(x)
    if loss is not None and labels is None:
        labels = rng.integers(y.shape[1], size=len(y))
    weights = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)

    def energy() -> float:
        out = net.forward(x)
        return float((weights * out).sum()) if loss is None else loss.forward(out, labels)  # type: ignore[arg-type]

    energy()
    dy = weights if loss is None else loss.backward()
    dx = net.backward(dy)
    assert dx is not None
    arrays = {"x": (x, dx.copy())} | {p.name: (p.value, p.grad.copy()) for p in net.parameters()}
    measured = {
        name: numerical_gradient(energy, array, found, rng, samples, step) for name, (array, found) in arrays.items()
    }
    # One that is 0, such as that of a bias in front of `BatchNorm`, is measured as nothing but rounding.
    least = 1e-3 * max(float(np.abs(oracle).max(initial=0.0)) for _, oracle in measured.values())
    gradient = {name: _relative_error(*pair, least) for name, pair in measured.items()}
    return Report(gradient, _curvature_errors(net, x, rng))


def check_loss(loss: Loss, y: np.ndarray, labels: np.ndarray) -> Report:
    """Check `backward` of a loss against `forward`, and `bbprop` against `backward`, by differences.

    Parameters
    ----------
    loss : Loss
    y : ndarray (N, classes)
    labels : integer ndarray (N,)

    Returns
    -------
    Report
        Both held to 1e-7, for both are differences here.
    """
    y = np.array(y, dtype=np.float64)
    rng = np.random.default_rng(0)
    loss.forward(y, labels)
    dy, hy = loss.backward().copy(), loss.bbprop().copy()
    first = numerical_gradient(lambda: loss.forward(y, labels), y, dy, rng, y.size)
    second = np.empty_like(hy)
    for cell in np.ndindex(*y.shape):

        def slope(cell: tuple[int, ...] = cell) -> float:
            loss.forward(y, labels)
            return float(loss.backward()[cell])

        second[cell] = _difference(slope, y, cell)
    scale = max(float(np.abs(dy).max()), 1e-300)  # of hy, 0 for eq. 8
    return Report({"y": _relative_error(*first)}, {"y": float(np.abs(hy - second).max()) / scale}, 1e-7, 1e-7)


def numerical_gradient(
    energy: Callable[[], float],
    array: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
    samples: int,
    step: float = STEP,
) -> tuple[np.ndarray, np.ndarray]:
    """Difference `energy()` by the cells of `array`, which is changed and put back.

    Returns
    -------
    found, oracle : ndarray
        The claimed and the measured derivatives at `samples` random cells (all, if there are fewer),
        without those, at most a quarter, where a kink lies within the step.
    """
    cells = rng.permutation(array.size)[:samples]
    indices = [tuple(int(i) for i in np.unravel_index(cell, array.shape)) for cell in cells]
    oracle = np.array([_difference(energy, array, index, step) for index in indices])
    claimed = np.array([found[index] for index in indices])
    # A kink (of a ReLU, or between two maxima) within the step: there differences of two lengths disagree
    # with each other, which they never do where the function is smooth, however wrong the claim.
    scale = np.abs(oracle).max(initial=0.0)
    kinks = [
        k
        for k in np.flatnonzero(np.abs(claimed - oracle) > 1e-7 * scale)
        if abs(_difference(energy, array, indices[k], step / 8) - oracle[k]) > 1e-6 * scale
    ]
    smooth = np.delete(np.arange(len(cells)), kinks if 4 * len(kinks) <= len(cells) else [])
    return claimed[smooth], oracle[smooth]


def curvature_oracle(layer: Layer, x: np.ndarray, dy: np.ndarray, hy: np.ndarray) -> dict[str, np.ndarray]:
    """Return the result that `bbprop(hy)` must have after `forward(x)` and `backward(dy)`: "x" and each parameter.

    One `backward` per cell of y, so for small layers.
    """
    parameters = {p.name: p for p in layer.parameters()}
    total = {name: np.zeros_like(p.value) for name, p in parameters.items()} | {"x": np.zeros_like(x)}
    unit = np.zeros_like(hy)
    layer.forward(x)
    for cell in np.ndindex(*hy.shape):
        unit[cell] = 1.0
        dx = layer.backward(unit)
        assert dx is not None
        total["x"] += hy[cell] * dx**2
        for name, p in parameters.items():
            total[name] += hy[cell] * p.grad**2
        unit[cell] = 0.0
    if not layer.gauss_newton:
        x = x.copy()
        for cell in np.ndindex(*x.shape):

            def slope(cell: tuple[int, ...] = cell) -> float:
                layer.forward(x)
                dx = layer.backward(dy)
                assert dx is not None
                return float(dx[cell])

            # A long step: exact for a layer that is quadratic in x, such as RBF.
            total["x"][cell] += _difference(slope, x, cell, step=0.25)
        total["x"] = np.maximum(total["x"], 0.0)
    return total


def distinct(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return shuffled values between -1 and 1, equally far from each other and half that far from 0."""
    size = int(np.prod(shape))
    even = size + size % 2
    return rng.permutation((np.arange(even) - (even - 1) / 2) * (2.0 / even))[:size].reshape(shape)


def _float64(layer: Layer, in_shape: Shape | None, rng: np.random.Generator) -> Layer:
    shape = in_shape or layer.in_shape
    if not shape:
        raise ConfigError(f"{layer} was not built: give check() the shape of its inputs, as in check(layer, (5,)).")
    values = [p.value for p in layer.parameters()] if layer.in_shape else []
    running = list(layer.running().values()) if layer.in_shape else []
    twin = copy.deepcopy(layer)
    twin.build(tuple(shape), dtype=np.float64, rng=rng)
    for p, value in zip(twin.parameters(), values, strict=False):
        p.value[...] = value
    for array, value in zip(twin.running().values(), running, strict=False):
        array[...] = value
    return twin


def _curvature_errors(net: Layer, x: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    errors = {}
    sublayers = net.sublayers()
    for layer in sublayers:
        # In a network two patterns of one layer's own input are enough, and copies: outputs are borrowed.
        x = x.copy()
        y = layer.forward(x).copy()
        dy, hy = rng.uniform(0.5, 1.5, y.shape), rng.uniform(0.5, 1.5, y.shape)
        oracle = curvature_oracle(layer, x, dy, hy)
        layer.forward(x)
        layer.backward(dy)
        hx = layer.bbprop(hy)
        assert hx is not None
        found = {p.name: p.hess for p in layer.parameters()} | {"x": hx}
        for name, expected in oracle.items():
            label = name if "." in name or len(sublayers) == 1 else f"{layer.name}.{name}"
            errors[label] = _relative_error(found[name], expected)
        x = y
    return errors


def _difference(energy: Callable[[], float], array: np.ndarray, index: tuple[int, ...], step: float = STEP) -> float:
    """(8 (E(+h) - E(-h)) - (E(+2h) - E(-2h))) / 12h, at one cell of `array`."""
    kept = array[index]
    values = []
    for k in (1, -1, 2, -2):
        array[index] = kept + k * step
        values.append(energy())
    array[index] = kept
    return (8.0 * (values[0] - values[1]) - (values[2] - values[3])) / (12.0 * step)


def _relative_error(found: np.ndarray, oracle: np.ndarray, least: float = 0.0) -> float:
    scale = max(float(np.abs(oracle).max(initial=0.0)), least)
    error = float(np.abs(found - oracle).max(initial=0.0))
    return error / scale if scale > 0 else error
