"""Base class of the layers.

Each kind of layer has its own file. The NumPy methods of a layer are the reference implementation. Most layers also
have faster compiled functions, returned by the method `compiled`; `lenet5.engine.call` documents their arguments.

All layers use the same letters for sizes: N is the batch size, C and O are the numbers of input and output channels,
H and W are height and width, K = C*kh*kw is the size of a receptive field, P = Ho*Wo is the number of output
positions, and D is the number of features of a vector. For an array x, dx is dE/dx, hx is the diagonal of d2E/dx2,
and vx is either of them.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ..engine.row import Row
from ..errors import ConfigError, ShapeError, shown
from ..parameter import Parameter
from .operation import Operation

__all__ = ["Layer", "Window", "check_shape", "from_rows", "name_layers", "rows"]

Shape = tuple[int, ...]
# Attributes of every layer that may still be assigned after `build`.
_CHANGING = frozenset({"name", "training"})


class Window(NamedTuple):
    """Receptive field of a unit: size, stride, and top and left padding, each as (vertical, horizontal)."""

    cells: tuple[int, int] = (1, 1)
    step: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)


class _Recorded(type):
    """Metaclass that records each layer's constructor arguments for `registry.described`."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        layer = super().__call__(*arguments, **options)
        layer._arguments = arguments, options
        return layer


class Layer(metaclass=_Recorded):
    """Base class of layers: a differentiable map y = f(x; theta), whose parameters an optimiser updates.

    Returned arrays are buffers, which the layer's next call overwrites. Inputs are never
    modified. `backward` and `bbprop` refer to the last call of `forward`; they overwrite `grad` and
    `hess` with sums over the batch.

    After `build` the public attributes are read-only, because a network may hold a compiled copy of them. Change
    parameters through their `value`, and switch modes with `train` and `eval`.

    Attributes
    ----------
    name : str
        Name, unique within a network; the paper's name (C1, S2, ...) if the layer has one.
    outputs_penalties : bool
        Whether a smaller output means a likelier class, as for the RBF units (eq. 7).
    gauss_newton : bool
        Whether `bbprop` drops the layer's own second derivative. If False, `bbprop` adds
        sum_i dy_i d2y_i/dx2 with dy from the last call of `backward`, and clips the result at 0.
    couples_patterns : bool
        Whether, in training, the output for a pattern depends on the other patterns of its batch. Only such a
        layer may update the arrays that `running` returns.
    draws_at_random : bool
        Whether `forward` draws random numbers in training; `reseed` sets their seed.
    training : bool
        Whether the layer is in training mode, in which some layers behave differently. Initially False.
    title : str
        Label of the layer's operation in figures, such as "convolutions". Empty for activations, and for layers that
        only rearrange their input.
    """

    title = ""
    codes: np.ndarray | None = None  # target codes (classes, D), for layers that compare their input with codes
    _open: frozenset[str] = frozenset()  # further attributes that may be assigned after `build`
    _builds = 0  # number of calls of `build` on any layer; compiled code uses it to detect rebuilt layers
    outputs_penalties = False
    gauss_newton = True
    couples_patterns = False
    draws_at_random = False
    training: bool = False
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __init__(self, *, name: str = "") -> None:
        self.name = name
        self.in_shape: Shape = ()
        self.out_shape: Shape = ()
        self.dtype: np.dtype = np.dtype(np.float32)
        self._buffers: dict[str, np.ndarray] = {}
        self._y_shape: Shape = ()

    def __setattr__(self, name: str, value: Any) -> None:
        fixed = name[0] != "_" and self.__dict__.get("_fixed") and name not in _CHANGING and name not in self._open
        if fixed and value is not self.__dict__.get(name):  # an in-place operation assigns the same array again
            raise ConfigError(
                f"{self}: {name} cannot change after the layer is built, because compiled code may rely on it. Create "
                "a new layer and network. To change a parameter, assign to its value: layer.weight.value[...] = array."
            )
        super().__setattr__(name, value)

    def build(
        self, in_shape: Shape, *, dtype: np.typing.DTypeLike = np.float32, rng: np.random.Generator | None = None
    ) -> Shape:
        """Allocate the parameters for inputs of shape `in_shape`; return the shape of one output.

        Parameters
        ----------
        in_shape : tuple of int
            Shape of one input, (C, H, W) or (D,). Like the returned shape, it has no batch axis.
        dtype : float32 or float64
            Data type of parameters, inputs and outputs.
        rng : numpy.random.Generator, optional
            Generator for the initial weights. Default: a generator with seed 0.

        Raises
        ------
        ShapeError
            If the layer does not accept `in_shape` or `dtype`.
        ConfigError
            If `rng` is not a generator.
        """
        if dtype not in ("float32", "float64", np.float32, np.float64):
            raise ShapeError(f"{self}: dtype must be float32 or float64; found {shown(dtype)}.")
        sides = tuple(in_shape) if isinstance(in_shape, tuple | list) else ()
        if not sides or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
            raise ShapeError(
                f"{self}: in_shape must be a tuple of positive ints, (C, H, W) or (D,); found {shown(in_shape)}."
            )
        rng = np.random.default_rng(0) if rng is None else rng
        if not isinstance(rng, np.random.Generator):
            raise ConfigError(f"{self}: rng must be a numpy.random.Generator; found {shown(rng)}.")
        self._fixed = False
        Layer._builds += 1
        self.in_shape, self.dtype = sides, np.dtype(dtype)
        self._buffers.clear()
        self._y_shape = ()
        try:
            self.out_shape = self._build(sides, rng)
        except Exception:
            self.in_shape = ()  # if the build fails, mark the layer as not built
            raise
        self._fixed = True
        return self.out_shape

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        return in_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y = f(x) for a batch x (N, *in_shape)."""
        raise NotImplementedError(f"{self} has no method forward.")

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set grad = J_p^T dy for every parameter; return dx = J_x^T dy if `to_input`, else None."""
        raise NotImplementedError(f"{self} has no method backward.")

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set hess = (J_p*J_p)^T hy for every parameter; return hx = (J_x*J_x)^T hy if `to_input`, else None.

        This is `backward` with the entries of the Jacobians J_p and J_x squared (eqs. 22 to 27). The second
        derivative of the activation is dropped (Gauss-Newton), so the results are non-negative if hy is.
        """
        raise NotImplementedError(f"{self} has no method bbprop.")

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the trainable parameters, in a fixed order with stable names."""
        return ()

    def running(self) -> dict[str, np.ndarray]:
        """Return the running statistics by name, without copying; they are saved with the parameters."""
        return {}

    def train(self) -> Self:
        """Switch to training mode; return the layer."""
        self.training = True
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode; return the layer."""
        self.training = False
        return self

    def reseed(self, *key: int) -> None:
        """Set the seed of the layer's random draws to `key`, a sequence of non-negative integers."""

    def sublayers(self) -> tuple["Layer", ...]:
        """Return a tuple with only this layer; a network returns its layers."""
        return (self,)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled version of `forward`, `backward` and `bbprop`, or None if there is none.

        Parameters
        ----------
        training : bool
            Whether to compile for training mode instead of evaluation mode.

        Returns
        -------
        list of Row
            Steps of the compiled layer in order; the last one contains the parameters. Empty if the layer does nothing.
        """
        return None

    def connections(self) -> int:
        """Count connections as the paper does: one for each input and bias of every unit."""
        return 0

    def multiply_adds(self) -> int:
        """Count the multiply-add operations of the forward pass for one pattern."""
        return 0

    def window(self) -> Window:
        """Return the window of the input that a unit depends on."""
        return Window()

    def operation(self) -> Operation | None:
        """Return the operation that the layer performs in evaluation mode, for exporters; None if no operation fits."""
        return None

    def stages(self) -> bool:
        """Return whether the layer computes something rather than only rearranging its input."""
        return True

    def _check(self, x: np.ndarray) -> None:
        if not isinstance(x, np.ndarray) or x.shape[1:] != self.in_shape or x.dtype != self.dtype or not self.in_shape:
            check_shape(self, x)

    def _buffer(self, key: str, shape: Shape, dtype: np.typing.DTypeLike | None = None) -> np.ndarray:
        """Return a reusable array of `shape`; it is reallocated only if the batch grows."""
        kept = self._buffers.get(key)
        if kept is None or kept.shape[1:] != shape[1:] or kept.shape[0] < shape[0]:
            kept = self._buffers[key] = np.empty(shape, dtype or self.dtype)
        return kept if kept.shape[0] == shape[0] else kept[: shape[0]]

    def _done(self, y: np.ndarray) -> np.ndarray:
        """Record the shape of the output of `forward` for `_expect`; return the output."""
        self._y_shape = y.shape
        return y

    def _expect(self, vy: np.ndarray) -> None:
        """Raise ShapeError unless vy has the shape of the last result of `forward`."""
        if not isinstance(vy, np.ndarray) or vy.shape != self._y_shape or vy.dtype != self.dtype or not self._y_shape:
            if not self._y_shape:
                raise ShapeError(f"{self}: call forward() first, then backward() or bbprop().")
            raise ShapeError(
                f"{self}: the derivative with respect to its output must be {self.dtype} "
                f"{self._y_shape}; found {described(vy)}."
            )

    def __repr__(self) -> str:
        label = f" {self.name}" if self.name else ""
        return f"<{type(self).__name__}{label} {self.in_shape} -> {self.out_shape}>"


def check_shape(layer: Layer, x: np.ndarray) -> None:
    """Raise ShapeError unless x is a batch that `layer` accepts; maps may have any height and width."""
    if not layer.in_shape:
        raise ShapeError(f"{layer}: call build(in_shape, rng=...) before the first use.")
    if not isinstance(x, np.ndarray) or x.dtype != layer.dtype:
        convert = f"Convert x with np.asarray(x, np.{layer.dtype})."
        raise ShapeError(f"{layer} was built for {layer.dtype}; found {described(x)}. {convert}")
    # Section VII: for a larger image, the maps of every layer are larger, and vectors become maps.
    known_rank = x.ndim in (len(layer.in_shape) + 1, 4)
    if not known_rank or x.shape[1] != layer.in_shape[0] or 0 in x.shape[2:]:
        raise ShapeError(f"{layer} takes arrays (N, {', '.join(map(str, layer.in_shape))}); found shape {x.shape}.")


def described(x: object) -> str:
    """Return the dtype and shape of an array, or the type of any other value, for error messages."""
    return f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__


def rows(x: np.ndarray) -> np.ndarray:
    """Return vectors x (N, D) unchanged, and maps x (N, D, H, W) as (N*H*W, D), with one row per position."""
    if x.ndim == 2:
        return x
    n, d, h, w = x.shape
    return x.reshape(n, d) if h * w == 1 else x.transpose(0, 2, 3, 1).reshape(-1, d)


def from_rows(y: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Undo `rows`: return y (N*H*W, O) as maps (N, O, H, W) if `like` contains maps, else y (N, O) unchanged."""
    if like.ndim == 2 or like.shape[2] * like.shape[3] == 1:
        return y
    n, _, h, w = like.shape
    return np.ascontiguousarray(y.reshape(n, h, w, -1).transpose(0, 3, 1, 2))


def name_layers(layers: Sequence[Layer]) -> None:
    """Name unnamed layers after the preceding named layer; raise ConfigError if names are not unique."""
    stage, taken = "", {layer.name for layer in layers}
    for layer in layers:
        if layer.name:
            stage = layer.name
            continue
        name = f"{stage}.{type(layer).__name__}".lstrip(".")
        numbered = (f"{name}{k}" for k in itertools.count(2))
        layer.name = name if name not in taken else next(n for n in numbered if n not in taken)
        taken.add(layer.name)
    names = [layer.name for layer in layers]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled or not names:
        found = f"several layers named {', '.join(doubled)}" if doubled else "no layers"
        raise ConfigError(f"A network needs at least one layer, and unique layer names; found {found}.")
