"""Batch normalisation (Ioffe and Szegedy 2015), which is not in the paper."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function
from ..engine.row import Row
from ..errors import ConfigError, ShapeError
from ..parameter import Parameter
from .base import Layer, Shape
from .operation import Normalisation, Operation

__all__ = ["BatchNorm"]


class BatchNorm(Layer):
    """y[c] = weight[c] xhat[c] + bias[c] for each map or feature c; xhat = (x - mean) / s, s^2 = variance + epsilon.

    This layer is not in the paper; see Ioffe and Szegedy (2015). In training, mean and variance are computed from the
    batch: over the M = N*H*W elements of each map if x is (N, C, H, W), or the M = N values of each feature if x is
    (N, D). The outputs for the patterns of a batch therefore depend on each other. In evaluation, the running
    statistics are used. Each `forward` in training updates them: running = (1 - momentum) running + momentum batch,
    with M - 1 instead of M in the variance.

    Parameters
    ----------
    momentum : float
        Weight of each new batch in the running statistics, above 0 and at most 1.
    epsilon : float
        Positive constant that prevents division by 0.
    name : str

    Attributes
    ----------
    weight, bias : Parameter (C,)
        Initially ones and zeros.
    running_mean, running_variance : ndarray (C,)
        Initially zeros and ones.

    Raises
    ------
    ConfigError
        If `momentum` or `epsilon` is out of range.
    """

    couples_patterns = True

    def __init__(self, momentum: float = 0.1, epsilon: float = 1e-5, *, name: str = "") -> None:
        super().__init__(name=name)
        if not 0 < momentum <= 1 or not 0 < epsilon < np.inf:
            raise ConfigError(
                "BatchNorm needs a momentum above 0 and at most 1, and a positive epsilon; "
                f"found momentum={momentum!r}, epsilon={epsilon!r}."
            )
        self.momentum, self.epsilon = float(momentum), float(epsilon)

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        self.weight = Parameter("weight", np.ones(in_shape[0], self.dtype))
        self.bias = Parameter("bias", np.zeros(in_shape[0], self.dtype))
        self.running_mean = np.zeros(in_shape[0], self.dtype)
        self.running_variance = np.ones(in_shape[0], self.dtype)
        return in_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y, which has the shape of x.

        Raises
        ------
        ShapeError
            If a map or feature has fewer than two values in a training batch.
        """
        self._check(x)
        m = x.size // x.shape[1]
        if self.training and m < 2:
            raise ShapeError(
                f"{self}: the variance of {m} value per feature is undefined. Train on batches of at least two "
                "patterns, including the last batch of an epoch, or call net.eval()."
            )
        # Weight of one element of x in the statistics: 1/M in training, 0 in evaluation.
        self._share = 1.0 / m if self.training else 0.0
        mean, variance = self._of_batch(x, m) if self.training else (self.running_mean, self.running_variance)
        inverse = 1.0 / np.sqrt(variance + self.epsilon)
        self._slope = self.weight.value * inverse
        self._xhat = np.subtract(x, _over_maps(mean, x.ndim), out=self._buffer("xhat", x.shape))
        self._xhat *= _over_maps(inverse, x.ndim)
        y = np.multiply(self._xhat, _over_maps(self.weight.value, x.ndim), out=self._buffer("y", x.shape))
        y += _over_maps(self.bias.value, x.ndim)
        return self._done(y)

    def _of_batch(self, x: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and variance of each map, and update the running statistics."""
        axes = _all_but_maps(x.ndim)
        mean = x.mean(axis=axes)
        squares = np.subtract(x, _over_maps(mean, x.ndim), out=self._buffer("product", x.shape))
        variance = np.square(squares, out=squares).mean(axis=axes)
        # Update in place, because the replicas of a network share these arrays.
        self.running_mean += self.momentum * (mean - self.running_mean)
        self.running_variance += self.momentum * (variance * (m / (m - 1)) - self.running_variance)
        return mean, variance

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """dweight = S1; dbias = S0; dx = weight/s [dy - (S0 + S1 xhat)/M], where S_k = sum of dy xhat^k.

        In evaluation, the statistics do not depend on x, so 1/M is replaced with 0.
        """
        self._expect(dy)
        s0, s1 = self._sums(dy, 2)
        self.bias.grad[...], self.weight.grad[...] = s0, s1
        if not to_input:
            return None
        dx = self._polynomial(-self._share * s0, -self._share * s1)
        dx += dy
        dx *= _over_maps(self._slope, dx.ndim)
        return dx

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """hweight = S2; hbias = S0; hx = (weight/s)^2 [hy (1 - 2 (1 + xhat^2)/M) + (S0 + 2 S1 xhat + S2 xhat^2)/M^2].

        S_k is the sum of hy xhat^k. The result is exact and includes the dependence between the patterns of a batch:
        dy_m/dx_n = weight/s [(m = n) - (1 + xhat_m xhat_n)/M], and hx_n = sum_m (dy_m/dx_n)^2 hy_m.
        """
        self._expect(hy)
        s0, s1, s2 = self._sums(hy, 3)
        self.bias.hess[...], self.weight.hess[...] = s0, s2
        if not to_input:
            return None
        share = self._share
        hx = self._polynomial(share**2 * s0, 2 * share**2 * s1, share**2 * s2)
        own = np.square(self._xhat, out=self._buffer("product", hy.shape))
        own += 1.0
        own *= -2.0 * share
        own += 1.0
        own *= hy
        hx += own
        hx *= _over_maps(self._slope**2, hx.ndim)
        return np.maximum(hx, 0.0, out=hx)  # rounding can make tiny values negative

    def _sums(self, vy: np.ndarray, count: int) -> list[np.ndarray]:
        """Return S_k, the sum of vy xhat^k over each map, for k = 0, ..., count - 1."""
        axes = _all_but_maps(vy.ndim)
        product, sums = self._buffer("product", vy.shape), [vy.sum(axis=axes)]
        for k in range(1, count):
            np.multiply(vy if k == 1 else product, self._xhat, out=product)
            sums.append(product.sum(axis=axes))
        return sums

    def _polynomial(self, *coefficients: np.ndarray) -> np.ndarray:
        """Return sum_k coefficients[k] xhat^k, with one coefficient for each map."""
        xhat = self._xhat
        *lower, highest = (_over_maps(c, xhat.ndim) for c in coefficients)
        vx = np.multiply(xhat, highest, out=self._buffer("vx", xhat.shape))
        for c in reversed(lower[1:]):
            vx += c
            vx *= xhat
        vx += lower[0]
        return vx

    def operation(self) -> Operation:
        """Return the normalisation with the running statistics as an operation for exporters."""
        mean, variance = self.running_mean.copy(), self.running_variance.copy()
        weight, bias = self.weight.value.copy(), self.bias.value.copy()
        return Normalisation(mean, variance, weight, bias, self.epsilon, self.momentum)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled version for evaluation, or None for training, in which patterns affect each other."""
        if training:
            return None

        def current() -> np.ndarray:
            return np.concatenate([self.running_mean, 1.0 / np.sqrt(self.running_variance + self.epsilon)])

        return [Row(_forward, None, self.out_shape, numbers=current(), current=current)]

    def parameters(self) -> tuple[Parameter, ...]:
        """Return weight and bias."""
        return self.weight, self.bias

    def running(self) -> dict[str, np.ndarray]:
        """Return the running mean and variance."""
        return {"mean": self.running_mean, "variance": self.running_variance}


@layer_function
def _forward(call, lanes):  # type: ignore[no-untyped-def]
    x, y, w = (
        eng.inputs(call, lanes),
        eng.outputs(call, lanes),
        eng.parameters(call),
    )
    maps, cells, mean = call.op[eng.OUT], call.op[eng.HO] * call.op[eng.WO] * lanes, eng.numbers(call)
    inverse, bias = eng.ahead(mean, maps), eng.ahead(w, maps)
    for c in range(maps):
        source, out = eng.ahead(x, c * cells), eng.ahead(y, c * cells)
        for p in range(cells):
            out[p] = w[c] * ((source[p] - mean[c]) * inverse[c]) + bias[c]


def _all_but_maps(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


def _over_maps(values: np.ndarray, ndim: int) -> np.ndarray:
    """Reshape a vector (C,) to broadcast with arrays (N, C, ...)."""
    return values.reshape(-1, *[1] * (ndim - 2))
