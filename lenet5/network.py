"""A network: layers in sequence over one flat vector of parameters."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np

from .checks import batch_of, check_pixels
from .engine.program import Program
from .errors import ShapeError
from .files import forget
from .layers.base import Layer, Shape, name_layers
from .layers.compiled import Compiled, replica
from .parameter import Parameter, ParameterList

__all__ = ["Sequential"]

# prepare(images, dtype=...) and prepare(images, out=...), as `datasets.transforms.prepare`
Prepare = Callable[..., np.ndarray]

# Images per step of `predict`: enough to amortise Python, few enough to stay in the cache.
_CHUNK = 256
# Of images that are mapped from a file, how many may stay in memory.
_FORGET = 64 * _CHUNK


class Sequential(Layer):
    """y = f_L(... f_2(f_1(x))): itself a layer, so that whatever checks or times one layer takes it too.

    `predict`, `predict_proba`, `outputs` and `feature_maps` may be called from any number of threads at once.
    `forward`, `backward` and `bbprop` work in arrays of the layers: those are for one thread, or a `replica` in each.

    Parameters
    ----------
    layers : iterable of Layer
        In order. A layer without a name is named after the last named one before it and its class,
        for example ``C1.ScaledTanh``, and numbered where there are several: ``C1.ScaledTanh2``.
    prepare : callable, optional
        Turns uint8 images into x (N, C, H, W) for `predict`, `predict_proba` and `feature_maps`.
    spec : dict, optional
        What `lenet5.models` needs to build the same network again; kept in saved files.

    Raises
    ------
    ConfigError
        If there are no layers, or two of one name.
    """

    _open = frozenset({"compiled_forms", "prepare", "spec", "theta", "told"})

    def __init__(
        self, layers: Iterable[Layer], *, prepare: Prepare | None = None, spec: dict | None = None, name: str = ""
    ) -> None:
        super().__init__(name=name)
        self.layers = tuple(layers)
        self.prepare = prepare
        self.spec = spec
        self.told = False  # whether training has warned of layers that are not compiled
        name_layers(self.layers)
        self._parameters = ParameterList(())
        self.compiled_forms = Compiled(self)
        self.reseed()

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        parameters: list[Parameter] = []
        for layer in self.layers:
            in_shape = layer.build(in_shape, dtype=self.dtype, rng=rng)
            for p in layer.parameters():
                p.name = f"{layer.name}.{p.name}"
                parameters.append(p)
        self._parameters = ParameterList(parameters, move=True)
        for layer in self.layers:
            if isinstance(layer, Sequential):  # its parameters have moved
                layer._parameters = ParameterList(layer._parameters)
        self.out_shape = in_shape
        return in_shape

    def parameters(self) -> ParameterList:  # type: ignore[override]
        """Return every layer's parameters in order, with the flat vectors behind them."""
        return self._parameters

    @property
    def theta(self) -> np.ndarray:
        """The flat vector of all parameters; writing into it changes the network."""
        return self._parameters.value

    @theta.setter
    def theta(self, values: np.ndarray) -> None:
        self._parameters.value[...] = values

    def running(self) -> dict[str, np.ndarray]:
        """Return every layer's running arrays, under names such as ``C1.BatchNorm.mean``."""
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in layer.running().items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file keeps of the network: the arrays "parameter/NAME" and "running/NAME" themselves."""
        values = {f"parameter/{p.name}": p.value for p in self.parameters()}
        return values | {f"running/{name}": array for name, array in self.running().items()}

    def train(self) -> Self:
        """Put every layer into the training state; return the network.

        That state is for `forward` and what follows it. `predict`, `predict_proba`, `outputs` and
        `feature_maps` answer in the evaluating state in any case, and leave the state as it was.
        """
        for layer in self.layers:
            layer.train()
        return super().train()

    def eval(self) -> Self:
        """Put every layer into the evaluating state, in which it was built; return the network."""
        for layer in self.layers:
            layer.eval()
        return super().eval()

    def reseed(self, *key: int) -> None:
        """Give every layer a key of its own: this one, and the layer's place in the network."""
        for place, layer in enumerate(self.layers):
            layer.reseed(*key, place)

    def program(self, *, training: bool = False) -> Program | None:
        """Return the network as one compiled loop, or None if a layer has no compiled half in that state."""
        return self.compiled_forms.program(training=training)

    def uncompiled(self, *, training: bool = False) -> list[Layer]:
        """Return the layers that have no compiled half in that state."""
        return self.compiled_forms.missing(training=training)

    def replica(self) -> "Sequential":
        """Return a network over the same numbers, running statistics included, that works in arrays of its own."""
        return replica(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "compiled_forms"} | {"_buffers": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self.compiled_forms = Compiled(self)

    @property
    def couples_patterns(self) -> bool:  # type: ignore[override]
        """Whether a layer does."""
        return any(layer.couples_patterns for layer in self.layers)

    @property
    def draws_at_random(self) -> bool:  # type: ignore[override]
        """Whether a layer does."""
        return any(layer.draws_at_random for layer in self.layers)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, classes) for x (N, C, H, W); maps (N, classes, H', W') for larger images."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set every `grad` for dE/dy; return dE/dx if `to_input`."""
        for layer in reversed(self.layers[1:]):
            dy = layer.backward(dy)  # type: ignore[assignment]
        return self.layers[0].backward(dy, to_input=to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set every `hess` for the diagonal of d2E/dy2; return that of d2E/dx2 if `to_input`.

        Call `backward` first: the RBF layer's curvature needs its gradient.
        """
        for layer in reversed(self.layers[1:]):
            hy = layer.bbprop(hy)  # type: ignore[assignment]
        return self.layers[0].bbprop(hy, to_input=to_input)

    def sublayers(self) -> tuple[Layer, ...]:
        """Return the layers, in order, and those of networks within the network."""
        return tuple(inner for layer in self.layers for inner in layer.sublayers())

    def connections(self) -> int:
        """Sum over the layers."""
        return sum(layer.connections() for layer in self.layers)

    def __getitem__(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer {name!r}; there are {', '.join(layer.name for layer in self.layers)}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def outputs_penalties(self) -> bool:  # type: ignore[override]
        """Whether the last layer's smallest output names the class."""
        return self.layers[-1].outputs_penalties

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the likeliest class of each image.

        Parameters
        ----------
        images : ndarray
            uint8 (N, 28, 28), or (N, H, W, C) for colour; one of them, which counts as N = 1; or prepared floats
            (N, 1, 32, 32). Any N, at a bounded use of memory.

        Returns
        -------
        ndarray (N,), int64
            (N, H', W') for images larger than the network was built for: one class per position.

        Raises
        ------
        ShapeError
            If the images have another shape or dtype, or hold NaN, infinity or absurdly large numbers.
        """
        pick = np.argmin if self.outputs_penalties else np.argmax
        return self._in_chunks(images, lambda y: pick(y, axis=1))

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of each class: exp(-penalty) or exp(score), normalised over the classes.

        For penalties these are the shares of eq. 9 without its rubbish class.

        Parameters
        ----------
        images : ndarray
            As for `predict`.

        Returns
        -------
        ndarray (N, classes)
        """

        def shares(y: np.ndarray) -> np.ndarray:
            scores = -y if self.outputs_penalties else y
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            return p / p.sum(axis=1, keepdims=True)

        return self._in_chunks(images, shares)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the last layer's outputs (N, classes): penalties for RBF units, else scores."""
        return self._in_chunks(images, lambda y: y)

    def _in_chunks(self, images: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        images = batch_of(images, self.in_shape)
        n = len(images)
        if n == 0:
            blank = self.prepared(np.zeros((1, *images.shape[1:]), images.dtype))
            return read(self._outputs(blank))[:0]
        if n <= _CHUNK:  # no detours for one image
            return read(self._outputs(self._pixels(images)))
        results = []
        for start in range(0, n, _CHUNK):
            results.append(read(self._outputs(self._pixels(images[start : start + _CHUNK]))))
            if start % _FORGET == 0:
                forget(images)
        return np.concatenate(results)

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        program = self.program()
        if program is not None and x.shape[1:] == self.in_shape:
            y = program.outputs(x)
            return y if len(self.out_shape) == 1 else y.reshape(-1, *self.out_shape)
        with self.compiled_forms.borrowed() as twin:
            return twin.forward(x).copy()

    def feature_maps(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return what every stage makes of an image, in order, from "input" to "output".

        Parameters
        ----------
        image : ndarray
            As for `predict`. For a batch, every map has the batch axis in front.

        Returns
        -------
        dict of str to ndarray
            Under the paper's name of each stage, its state after the squash: "C1" (6, 28, 28), ...,
            "F6" (84,), "output" (10,) for the paper's network. Copies.
        """
        images = np.asarray(image)
        batch = batch_of(images, self.in_shape)
        x = self._pixels(batch)
        maps = {"input": x.copy()}
        with self.compiled_forms.borrowed() as twin:
            for layer in twin.layers:
                x = layer.forward(x)
                if layer.stages():
                    maps[layer.name.split(".")[0]] = x.copy()
        return maps if images.ndim == batch.ndim else {name: m[0] for name, m in maps.items()}

    def _pixels(self, images: np.ndarray) -> np.ndarray:
        """Return x as `prepared` does, and make sure that a user's own floats can be pixels."""
        x = self.prepared(images)
        if images.dtype != np.uint8:
            check_pixels(x)
        return x

    def prepared(self, images: np.ndarray) -> np.ndarray:
        """Return x for `forward`: uint8 images through `prepare`, floats in the network's dtype.

        Raises
        ------
        ShapeError
            If there are uint8 images and no `prepare`.
        """
        if images.dtype != np.uint8:
            return images.astype(self.dtype, copy=False)
        if self.prepare is None:
            raise ShapeError("This network has no preparation of its own; give it prepared floats.")
        fits = all(side <= own for side, own in zip(images.shape[1:3], self.in_shape[1:3], strict=False))
        if not fits:
            return self.prepare(images, dtype=self.dtype)
        return self.prepare(images, out=np.empty((len(images), *self.in_shape), self.dtype))

    def __repr__(self) -> str:
        size = self.parameters().value.size
        return (
            f"<Sequential {self.in_shape} -> {self.out_shape}, {size:,} parameters: {', '.join(x.name for x in self)}>"
        )
