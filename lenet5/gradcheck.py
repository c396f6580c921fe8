"""Numerical checks of gradients and curvatures, in float64.

    >>> from lenet5 import gradcheck
    >>> from lenet5.layers import Dense
    >>> print(gradcheck.check(Dense(3), (5,)))          # doctest: +SKIP

`backward` is compared with central differences of `forward`. `bbprop` is compared with `backward`: propagating
each unit vector through `backward` yields the rows of the Jacobian, and their squares are summed with the weights hy.
This is exact, whereas second differences of `forward` approximate the full second derivative, which differs from the
Gauss-Newton diagonal.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .errors import ConfigError
from .layers.base import Layer, Shape
from .losses import Loss

__all__ = ["Report", "check", "check_loss", "curvature_oracle", "numerical_gradient"]

# Step size of the fourth-order differences. The truncation error (step^4) is below the rounding error (1e-16 / step).
STEP = 1e-4


@dataclass(frozen=True)
class Report:
    """Relative errors of the derivatives with respect to the input "x" and each parameter.

    An error is max |found - oracle| / max |oracle|, where oracle is the reference for the derivative found. If
    max |oracle| of a gradient is below a thousandth of the largest element of all gradients, its error is relative to
    that thousandth.

    Attributes
    ----------
    gradient, curvature : dict of str to float
        Errors by name. For a network, names of curvatures start with the name of the layer.
    gradient_tolerance, curvature_tolerance : float
        Errors must be below these limits.
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
        Layer, network or loss to check. It need not be built. A float64 copy in the same state is checked, and
        the original is not modified. A loss is checked at random outputs for ten classes; see `check_loss`.
    in_shape : tuple of int, optional
        Input shape; required unless `layer` is built.
    x : ndarray (N, *in_shape), optional
        Input at which to check the derivatives. Default: `batch` patterns of distinct values away from 0, so that the
        differences do not cross a kink if a ReLU or a maximum is applied to x.
    batch : int
        Number of patterns. The default is three, because the output of `BatchNorm` for two patterns depends
        only on which is larger.
    loss : Loss, optional
        Loss to differentiate. Default: a randomly weighted sum of the outputs.
    labels : integer ndarray (N,), optional
        Labels for `loss`. Default: random.
    samples : int
        Maximum number of elements of each array to check, drawn at random.
    step : float
        Step size of the finite differences. Use a smaller one if kinks (of ReLU or maxima) are close to x, at the
        cost of larger rounding errors.
    seed : int

    Returns
    -------
    Report
        Truthy if gradients agree to 1e-7 and curvatures to 1e-10.

    Raises
    ------
    ConfigError
        If the input shape is unknown, or `batch`, `samples` or `step` is not positive.
    """
    if batch < 1 or samples < 1 or not step > 0:
        raise ConfigError(f"batch, samples and step must be positive; found {batch}, {samples} and {step}.")
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
    # A gradient of exactly 0, such as that of a bias before `BatchNorm`, is measured as pure rounding error.
    least = 1e-3 * max(float(np.abs(oracle).max(initial=0.0)) for _, oracle in measured.values())
    gradient = {name: _relative_error(*pair, least) for name, pair in measured.items()}
    return Report(gradient, _curvature_errors(net, x, rng))


def check_loss(loss: Loss, y: np.ndarray, labels: np.ndarray) -> Report:
    """Check `backward` of a loss against differences of `forward`, and `bbprop` against differences of `backward`.

    Parameters
    ----------
    loss : Loss
    y : ndarray (N, classes)
    labels : integer ndarray (N,)

    Returns
    -------
    Report
        The tolerance is 1e-7 for gradients and curvatures, because both are compared with finite differences.
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
    scale = max(float(np.abs(dy).max()), 1e-300)  # errors of hy are relative to dy, because hy is 0 for eq. 8
    return Report({"y": _relative_error(*first)}, {"y": float(np.abs(hy - second).max()) / scale}, 1e-7, 1e-7)


def numerical_gradient(
    energy: Callable[[], float],
    array: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
    samples: int,
    step: float = STEP,
) -> tuple[np.ndarray, np.ndarray]:
    """Differentiate `energy()` numerically with respect to elements of `array`, which is restored afterwards.

    Returns
    -------
    found, oracle : ndarray
        The analytic and the numerical derivatives at up to `samples` random elements. Elements at which a step
        crosses a kink are omitted, unless they are more than a quarter of the elements.
    """
    cells = rng.permutation(array.size)[:samples]
    indices = [tuple(int(i) for i in np.unravel_index(cell, array.shape)) for cell in cells]
    oracle = np.array([_difference(energy, array, index, step) for index in indices])
    claimed = np.array([found[index] for index in indices])
    # If the step crosses a kink (of a ReLU, or between two maxima), differences with two step sizes disagree. For a
    # smooth function, they agree, even if the analytic derivative is wrong.
    scale = np.abs(oracle).max(initial=0.0)
    kinks = [
        k
        for k in np.flatnonzero(np.abs(claimed - oracle) > 1e-7 * scale)
        if abs(_difference(energy, array, indices[k], step / 8) - oracle[k]) > 1e-6 * scale
    ]
    smooth = np.delete(np.arange(len(cells)), kinks if 4 * len(kinks) <= len(cells) else [])
    return claimed[smooth], oracle[smooth]


def curvature_oracle(layer: Layer, x: np.ndarray, dy: np.ndarray, hy: np.ndarray) -> dict[str, np.ndarray]:
    """Return exact curvatures with respect to the input "x" and each parameter, as a reference for `bbprop(hy)`.

    `bbprop` is assumed to follow `forward(x)` and `backward(dy)`. This function calls `backward` once per element of y,
    so use it only for small layers.
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

            # For a layer that is quadratic in x, such as RBF, the difference is exact even if the step is large.
            total["x"][cell] += _difference(slope, x, cell, step=0.25)
        total["x"] = np.maximum(total["x"], 0.0)
    return total


def distinct(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return shuffled, equally spaced values between -1 and 1, none of them 0."""
    size = int(np.prod(shape))
    even = size + size % 2
    return rng.permutation((np.arange(even) - (even - 1) / 2) * (2.0 / even))[:size].reshape(shape)


def _float64(layer: Layer, in_shape: Shape | None, rng: np.random.Generator) -> Layer:
    shape = in_shape or layer.in_shape
    if not shape:
        raise ConfigError(f"{layer} is not built: pass the input shape to check(), as in check(layer, (5,)).")
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
        # Copy the input of each layer, because outputs are buffers that are overwritten.
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
    """Return (8 (E(+h) - E(-h)) - (E(+2h) - E(-2h))) / 12h at one element of `array`."""
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
