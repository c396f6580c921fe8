"""The paper's sub-sampling (S2, S4)."""

import numpy as np

from ..engine import call as eng
from ..engine.jit import layer_function, part
from ..engine.row import Row
from ..errors import ConfigError, ShapeError
from ..parameter import Parameter
from .base import Layer, Shape, Window
from .operation import Operation, Pooling

__all__ = ["Subsampling", "Windowed", "spread", "window_sums"]


class Windowed(Layer):
    """Base class of layers with square windows over each map; incomplete windows are ignored.

    Parameters
    ----------
    size : int
        Height and width of a window.
    stride : int, optional
        Step between windows. Default: `size`, so that windows do not overlap, as in the paper.
    name : str

    Raises
    ------
    ConfigError
        If `size` or `stride` is not a positive integer.
    """

    def __init__(self, size: int = 2, *, stride: int | None = None, name: str = "") -> None:
        super().__init__(name=name)
        self.size, self.stride = size, size if stride is None else stride
        if not all(isinstance(v, int | np.integer) and v >= 1 for v in (self.size, self.stride)):
            raise ConfigError(f"size and stride must be positive integers; found size={size!r}, stride={stride!r}.")

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(f"{type(self).__name__} {self.name} takes maps (C, H, W); found {in_shape}.")
        return self._windows(in_shape)

    def _windows(self, in_shape: Shape) -> Shape:
        ho, wo = ((side - self.size) // self.stride + 1 for side in in_shape[1:])
        if ho < 1 or wo < 1:
            raise ShapeError(f"{self}: a map of size {in_shape[1:]} is smaller than the window of size {self.size}.")
        return in_shape[0], ho, wo

    def connections(self) -> int:
        """Count the inputs in the window of each output."""
        return int(np.prod(self.out_shape)) * self.size**2

    def multiply_adds(self) -> int:
        """Count one multiplication per output."""
        return int(np.prod(self.out_shape))

    def window(self) -> Window:
        """Return the size and stride of the window; there is no padding."""
        return Window((self.size, self.size), (self.stride, self.stride))

    @property
    def title(self) -> str:  # type: ignore[override]
        """Label in figures: "sub-sampling" (the paper's term) if trainable, else the kind of pooling; and the size."""
        name = "sub-sampling" if self.parameters() else type(self).__name__.removesuffix("2D").lower()
        return f"{name}\n{self.size}x{self.size}"

    _x_shape: Shape

    def _window_sums(self, x: np.ndarray, sums: np.ndarray) -> None:
        """Write the sum of every window of x (N, C, H, W) to sums (N, C, Ho, Wo)."""
        first, *others = self._cells(x, sums.shape[2:])
        np.copyto(sums, first)
        for cells in others:
            sums += cells

    def _spread(self, v: np.ndarray) -> np.ndarray:
        """Return, for each element of x, the sum of v (N, C, Ho, Wo) over all windows that contain the element."""
        vx = self._buffer("vx", self._x_shape)
        vx[...] = 0
        for cells in self._cells(vx, v.shape[2:]):
            cells += v
        return vx

    def _cells(self, x: np.ndarray, out: Shape) -> list[np.ndarray]:
        """Return views (N, C, Ho, Wo) of the first, second, ... element of every window of x, row by row."""
        (ho, wo), s = out, self.stride
        return [
            x[:, :, i : i + (ho - 1) * s + 1 : s, j : j + (wo - 1) * s + 1 : s]
            for i in range(self.size)
            for j in range(self.size)
        ]


class Subsampling(Windowed):
    """Trainable sub-sampling: y[c] = coefficient[c] * (sum of the window of x[c]) + bias[c].

    As in the paper's text, windows are summed, not averaged. The initial biases are 0, and all initial coefficients are
    equal. The paper does not give their value; its rule for weights gives, for a fan-in of 4, a uniform distribution on
    [-0.6, 0.6].

    Parameters
    ----------
    size, stride, name
        As for `Windowed`.
    coefficient : float
        Initial value of the trainable coefficients.
    """

    def __init__(self, size: int = 2, *, stride: int | None = None, coefficient: float = 1.0, name: str = "") -> None:
        super().__init__(size, stride=stride, name=name)
        self.initial_coefficient = coefficient

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        out_shape = super()._build(in_shape, rng)
        self.coefficient = Parameter("coefficient", np.full(in_shape[0], self.initial_coefficient, self.dtype))
        self.bias = Parameter("bias", np.zeros(in_shape[0], self.dtype))
        return out_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, C, Ho, Wo) for x (N, C, H, W)."""
        self._check(x)
        shape = (len(x), *self._windows(x.shape[1:]))
        self._sums, self._x_shape = self._buffer("sums", shape), x.shape
        self._window_sums(x, self._sums)
        y = np.multiply(self._sums, self.coefficient.value[:, None, None], out=self._buffer("y", shape))
        y += self.bias.value[:, None, None]
        return self._done(y)

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Compute, per map, dcoefficient = sum(window sums * dy) and dbias = sum(dy); return dx = coefficient * dy."""
        self._expect(dy)
        c, sums = self.coefficient, self._sums
        return self._reverse(dy, c.value, sums, c.grad, self.bias.grad, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Propagate second derivatives: `backward` with sums and coefficients squared (eqs. 25 and 27)."""
        self._expect(hy)
        c, sums = self.coefficient, self._sums
        squares = np.square(sums, out=self._buffer("sums_squared", sums.shape))
        return self._reverse(hy, c.value * c.value, squares, c.hess, self.bias.hess, to_input)

    def _reverse(
        self,
        vy: np.ndarray,
        coefficient: np.ndarray,
        sums: np.ndarray,
        coefficient_out: np.ndarray,
        bias_out: np.ndarray,
        to_input: bool,
    ) -> np.ndarray | None:
        product = self._buffer("product", sums.shape)
        np.multiply(vy, sums, out=product).sum(axis=(0, 2, 3), out=coefficient_out)
        vy.sum(axis=(0, 2, 3), out=bias_out)
        if not to_input:
            return None
        np.multiply(vy, coefficient[:, None, None], out=product)
        return self._spread(product)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the coefficients and the biases."""
        return self.coefficient, self.bias

    def operation(self) -> Operation:
        """Return sub-sampling as an operation for exporters."""
        return Pooling("sum", self.size, self.stride, self.coefficient.value.copy(), self.bias.value.copy())

    def connections(self) -> int:
        """Count the inputs in the window and the bias of each output."""
        return super().connections() + int(np.prod(self.out_shape))

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled sub-sampling, which stores the window sums for the backward function."""
        size, links = int(np.prod(self.out_shape)), (self.size, self.stride)
        return [Row(_subsample, _subsample_reverse, self.out_shape, links=links, own=size)]


@part
def window_sums(call, x, y, lanes):  # type: ignore[no-untyped-def]
    """Write the sum of every window of x to y."""
    op, size, stride = call.op, eng.links(call)[0], eng.links(call)[1]
    ho, wo, row = op[eng.HO], op[eng.WO], op[eng.W] * lanes
    for m in range(op[eng.OUT] * ho):
        c, r = m // ho, m % ho
        out, upper = eng.ahead(y, m * wo * lanes), eng.ahead(x, (c * op[eng.H] + r * stride) * row)
        if size == 2 and stride == 2:  # the paper's sub-sampling, unrolled for speed
            lower = eng.ahead(upper, row)
            if lanes == 1:
                for s in range(wo):
                    out[s] = (upper[2 * s] + upper[2 * s + 1]) + (lower[2 * s] + lower[2 * s + 1])
                continue
            for s in range(wo):
                here, under, cell = (
                    eng.ahead(upper, 2 * s * lanes),
                    eng.ahead(lower, 2 * s * lanes),
                    eng.ahead(out, s * lanes),
                )
                for q in range(lanes):
                    cell[q] = (here[q] + here[q + lanes]) + (under[q] + under[q + lanes])
            continue
        for p in range(wo * lanes):
            out[p] = 0
        for q in range(size * size):
            source = eng.ahead(upper, q // size * row + q % size * lanes)
            for s in range(wo):
                for k in range(lanes):
                    out[s * lanes + k] += source[s * stride * lanes + k]


@part
def spread(call, v, vx, lanes):  # type: ignore[no-untyped-def]
    """Set each element of vx to the sum of v over all windows that contain it (the transpose of `window_sums`)."""
    op, size, stride = call.op, eng.links(call)[0], eng.links(call)[1]
    ho, wo, row = op[eng.HO], op[eng.WO], op[eng.W] * lanes
    plain = size == 2 and stride == 2 and op[eng.H] == 2 * ho and op[eng.W] == 2 * wo
    if not plain:
        for p in range(op[eng.C] * op[eng.H] * row):
            vx[p] = 0
    for m in range(op[eng.OUT] * ho):
        c, r = m // ho, m % ho
        source, upper = eng.ahead(v, m * wo * lanes), eng.ahead(vx, (c * op[eng.H] + r * stride) * row)
        if plain:
            lower = eng.ahead(upper, row)
            if lanes == 1:
                for s in range(wo):
                    upper[2 * s] = upper[2 * s + 1] = lower[2 * s] = lower[2 * s + 1] = source[s]
                continue
            for s in range(wo):
                here, under, cell = (
                    eng.ahead(upper, 2 * s * lanes),
                    eng.ahead(lower, 2 * s * lanes),
                    eng.ahead(source, s * lanes),
                )
                for q in range(lanes):
                    here[q] = here[q + lanes] = under[q] = under[q + lanes] = cell[q]
            continue
        for q in range(size * size):
            target = eng.ahead(upper, q // size * row + q % size * lanes)
            for s in range(wo):
                for k in range(lanes):
                    target[s * stride * lanes + k] += source[s * lanes + k]


@layer_function
def _subsample(call, lanes):  # type: ignore[no-untyped-def]
    sums, y, w = (
        eng.own(call, lanes),
        eng.outputs(call, lanes),
        eng.parameters(call),
    )
    maps, cells = call.op[eng.OUT], call.op[eng.HO] * call.op[eng.WO] * lanes
    window_sums(call, eng.inputs(call, lanes), sums, lanes)
    for c in range(maps):
        coefficient, bias, source, out = w[c], w[maps + c], eng.ahead(sums, c * cells), eng.ahead(y, c * cells)
        for p in range(cells):
            out[p] = coefficient * source[p] + bias


@layer_function
def _subsample_reverse(call, lanes):  # type: ignore[no-untyped-def]
    sums, v = eng.own_operands(call, lanes), eng.above(call, lanes)
    w, g = eng.parameters(call), eng.gradients(call)
    maps, cells = call.op[eng.OUT], call.op[eng.HO] * call.op[eng.WO] * lanes
    for c in range(maps):
        coefficient, source, out = w[c], eng.ahead(sums, c * cells), eng.ahead(v, c * cells)
        g_coefficient = g_bias = eng.zero(v)
        for p in range(cells):
            g_coefficient += out[p] * source[p]
            g_bias += out[p]
        g[c] += g_coefficient
        g[maps + c] += g_bias
        for p in range(cells):
            out[p] *= coefficient
    spread(call, v, eng.below(call, lanes), lanes)
