"""The contract of a layer.

A layer is one file: its methods in NumPy, which are its definition, and if it is fast its compiled functions, which
`compiled` names (`lenet5.engine.call` documents their arguments).

Index letters, here and in every layer: N batch, C/O channels in/out, H W rows/columns,
K = C*kh*kw cells of a receptive field, P = Ho*Wo output positions, D features of a vector.
Arrays come in threes with a prefix: x, dx = dE/dx, hx = the diagonal of d2E/dx2.
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
# What changes after `build`, besides parameters.
_CHANGING = frozenset({"name", "training"})


class Window(NamedTuple):
    """Window of a unit in its layer's input: size, stride and zeros before the input, each (down, right)."""

    cells: tuple[int, int] = (1, 1)
    step: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)


class _Recorded(type):
    """Keeps the arguments that each layer was made of, for `registry.described`."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        layer = super().__call__(*arguments, **options)
        layer._arguments = arguments, options
        return layer


class Layer(metaclass=_Recorded):
    """One differentiable map y = f(x; theta), and nothing else: no learning rate, no update.

    What a layer returns is borrowed: it is overwritten by the layer's next call. Inputs are never
    written to. `backward` and `bbprop` speak of the last `forward`; they overwrite `grad` and
    `hess` with sums over the batch.

    From `build` on the public attributes are read-only: a network may hold a compiled copy of them. Parameters
    are changed through their `value`, the state by `train` and `eval`.

    Attributes
    ----------
    name : str
        The paper's name of the layer (C1, S2, ...) when it has one; unique within a network.
    outputs_penalties : bool
        Whether a smaller output means a likelier class, as for the RBF units (eq. 7).
    gauss_newton : bool
        Whether `bbprop` drops the layer's own second derivative; if not, it adds
        sum_i dy_i d2y_i/dx2 for the dy of the last `backward`, and keeps the result non-negative.
    couples_patterns : bool
        Whether in training what becomes of a pattern depends on the others of its batch. Only such a
        layer may change what `running` returns.
    draws_at_random : bool
        Whether `forward` in training draws random numbers; `reseed` selects them.
    training : bool
        The state, for layers that treat patterns to learn from in another way than patterns to judge.
        False, evaluating, until `train` is called.
    title : str
        What pictures call the layer's step, such as "convolutions"; empty for one that only squashes or lays out anew.
    """

    title = ""
    codes: np.ndarray | None = None  # (classes, D), if the layer compares its input with some
    _open: frozenset[str] = frozenset()  # attributes that may change at any time
    _builds = 0  # of all layers: whoever relies on what a build has made looks whether there was another one
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
        if fixed and value is not self.__dict__.get(name):  # an array changed in place is assigned to itself
            raise ConfigError(
                f"{self}: {name} is fixed once the layer is built, since compiled code may rely on it. Make a new "
                "layer and network; parameters change through their value, as in layer.weight.value[...] = numbers."
            )
        super().__setattr__(name, value)

    def build(
        self, in_shape: Shape, *, dtype: np.typing.DTypeLike = np.float32, rng: np.random.Generator | None = None
    ) -> Shape:
        """Allocate parameters for inputs of `in_shape` and return the shape of the outputs.

        Parameters
        ----------
        in_shape : tuple of int
            (C, H, W) or (D,): no batch axis, here and in the result.
        dtype : float32 or float64
            Of parameters, inputs and outputs.
        rng : numpy.random.Generator, optional
            Draws the initial weights; default seed 0.

        Raises
        ------
        ShapeError
            If the layer cannot take such inputs.
        ConfigError
            If `rng` is no generator.
        """
        if dtype not in ("float32", "float64", np.float32, np.float64):
            raise ShapeError(f"{self} computes in float32 or float64; found dtype {shown(dtype)}.")
        sides = tuple(in_shape) if isinstance(in_shape, tuple | list) else ()
        if not sides or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
            raise ShapeError(
                f"{self}: a shape is a tuple of positive ints, (C, H, W) or (D,); found {shown(in_shape)}."
            )
        rng = np.random.default_rng(0) if rng is None else rng
        if not isinstance(rng, np.random.Generator):
            raise ConfigError(f"{self}: rng is a numpy.random.Generator; found {shown(rng)}.")
        self._fixed = False
        Layer._builds += 1
        self.in_shape, self.dtype = sides, np.dtype(dtype)
        self._buffers.clear()
        self._y_shape = ()
        try:
            self.out_shape = self._build(sides, rng)
        except Exception:
            self.in_shape = ()  # not built: nothing but another build will do
            raise
        self._fixed = True
        return self.out_shape

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        return in_shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y = f(x) for a batch x (N, *in_shape)."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set grad = J_p^T dy for every parameter; return dx = J_x^T dy, or None unless `to_input`."""
        raise NotImplementedError

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set hess = (J_p*J_p)^T hy; return hx = (J_x*J_x)^T hy, or None unless `to_input`.

        Eqs. 22 to 27: `backward` on squared operands. The second derivative of the squash is
        dropped (Gauss-Newton), so nothing that is returned is negative when hy is not.
        """
        raise NotImplementedError

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the trainable parameters, in a fixed order with stable names."""
        return ()

    def running(self) -> dict[str, np.ndarray]:
        """Return, by name, the arrays themselves that are state but not trained: saved with the parameters."""
        return {}

    def train(self) -> Self:
        """Enter the training state; return the layer."""
        self.training = True
        return self

    def eval(self) -> Self:
        """Enter the evaluating state; return the layer."""
        self.training = False
        return self

    def reseed(self, *key: int) -> None:
        """Make the layer's random draws depend on this key, numbers from 0 up, from now on."""

    def sublayers(self) -> tuple["Layer", ...]:
        """Return the layers that this one is a sequence of: itself, unless it is a network."""
        return (self,)

    def compiled(self, *, training: bool = False) -> list[Row] | None:
        """Return the compiled half that replaces the methods, or None.

        Parameters
        ----------
        training : bool
            The state to run in.

        Returns
        -------
        list of Row
            One after the other; the parameters belong to the last one. Empty if there is nothing to do.
        """
        return None

    def connections(self) -> int:
        """Count connections as the paper does: one per input and per bias of every unit."""
        return 0

    def multiply_adds(self) -> int:
        """Count the products that one forward pass of one pattern adds up."""
        return 0

    def window(self) -> Window:
        """Return which cells of its input a unit sees."""
        return Window()

    def operation(self) -> Operation | None:
        """Return the layer's operation in the evaluating state for exporters, or None if it has none."""
        return None

    def stages(self) -> bool:
        """Whether the layer computes something, as opposed to only rearranging its input."""
        return True

    def _check(self, x: np.ndarray) -> None:
        if not isinstance(x, np.ndarray) or x.shape[1:] != self.in_shape or x.dtype != self.dtype or not self.in_shape:
            check_shape(self, x)

    def _buffer(self, key: str, shape: Shape, dtype: np.typing.DTypeLike | None = None) -> np.ndarray:
        """Return an array of `shape` that is kept for the next call; it grows with the batch only."""
        kept = self._buffers.get(key)
        if kept is None or kept.shape[1:] != shape[1:] or kept.shape[0] < shape[0]:
            kept = self._buffers[key] = np.empty(shape, dtype or self.dtype)
        return kept if kept.shape[0] == shape[0] else kept[: shape[0]]

    def _done(self, y: np.ndarray) -> np.ndarray:
        """Remember the result of `forward` for `_expect`, and return it."""
        self._y_shape = y.shape
        return y

    def _expect(self, vy: np.ndarray) -> None:
        """Raise ShapeError unless vy has the shape of the last result of `forward`."""
        if not isinstance(vy, np.ndarray) or vy.shape != self._y_shape or vy.dtype != self.dtype or not self._y_shape:
            if not self._y_shape:
                raise ShapeError(f"{self}: call forward() first; there is nothing to differentiate.")
            raise ShapeError(
                f"{self}: expected the derivative at its output, {self.dtype} {self._y_shape}; found {described(vy)}."
            )

    def __repr__(self) -> str:
        label = f" {self.name}" if self.name else ""
        return f"<{type(self).__name__}{label} {self.in_shape} -> {self.out_shape}>"


def check_shape(layer: Layer, x: np.ndarray) -> None:
    """Raise ShapeError unless x is a batch for `layer`; maps may be of any size."""
    if not layer.in_shape:
        raise ShapeError(f"{layer}: call build(in_shape, rng=...) before the first use.")
    if not isinstance(x, np.ndarray) or x.dtype != layer.dtype:
        raise ShapeError(f"{layer} was built for {layer.dtype}; found {described(x)}. Convert with x.astype.")
    # Section VII: replicated over a larger image, every layer sees larger maps, and vectors become maps.
    known_rank = x.ndim in (len(layer.in_shape) + 1, 4)
    if not known_rank or x.shape[1] != layer.in_shape[0] or 0 in x.shape[2:]:
        raise ShapeError(f"{layer} takes (N, {', '.join(map(str, layer.in_shape))}); found {x.shape}.")


def described(x: object) -> str:
    """Describe a value that is not an array of the expected kind."""
    return f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__


def rows(x: np.ndarray) -> np.ndarray:
    """(N, D) as it is; maps (N, D, H, W) as (N*H*W, D): one row per position."""
    if x.ndim == 2:
        return x
    n, d, h, w = x.shape
    return x.reshape(n, d) if h * w == 1 else x.transpose(0, 2, 3, 1).reshape(-1, d)


def from_rows(y: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Undo `rows`: (N*H*W, O) as (N, O, H, W) when `like` is larger maps, else (N, O) as it is."""
    if like.ndim == 2 or like.shape[2] * like.shape[3] == 1:
        return y
    n, _, h, w = like.shape
    return np.ascontiguousarray(y.reshape(n, h, w, -1).transpose(0, 3, 1, 2))


def name_layers(layers: Sequence[Layer]) -> None:
    """Name layers without a name after the last named one before them; raise ConfigError if two have one name."""
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
        raise ConfigError(f"Layers of a network have different names; found {doubled or 'no layer'}.")
