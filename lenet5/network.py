"""A network: layers in sequence over one flat vector of parameters."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from .errors import ConfigError, ShapeError
from .layers.base import Layer, Shape
from .parameter import Parameter, ParameterList

__all__ = ["Sequential"]

Prepare = Callable[[np.ndarray], np.ndarray]

# Images per step of `predict`: enough to amortise Python, few enough to stay in the cache.
_CHUNK = 250


class Sequential(Layer):
    """y = f_L(... f_2(f_1(x))): itself a layer, so that whatever checks or times one layer takes it too.

    Parameters
    ----------
    layers : iterable of Layer
        In order. A layer without a name is named after the last named one before it and its class,
        for example ``C1.ScaledTanh``.
    prepare : callable, optional
        Turns uint8 images into x (N, C, H, W) for `predict`, `predict_proba` and `feature_maps`.
    spec : dict, optional
        What `lenet5.models` needs to build the same network again; kept in saved files.

    Raises
    ------
    ConfigError
        If there are no layers, or two of one name.
    """

    def __init__(
        self, layers: Iterable[Layer], *, prepare: Prepare | None = None, spec: dict | None = None, name: str = ""
    ) -> None:
        super().__init__(name=name)
        self.layers = tuple(layers)
        self.prepare = prepare
        self.spec = spec
        stage = ""
        for layer in self.layers:
            if layer.name:
                stage = layer.name
            else:
                layer.name = f"{stage}.{type(layer).__name__}".lstrip(".")
        names = [layer.name for layer in self.layers]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled or not names:
            raise ConfigError(f"Layers of a network have different names; found {doubled or 'no layer'}.")
        self._parameters = ParameterList(())

    def _build(self, in_shape: Shape, rng: np.random.Generator) -> Shape:
        parameters: list[Parameter] = []
        for layer in self.layers:
            in_shape = layer.build(in_shape, dtype=self.dtype, rng=rng)
            for p in layer.parameters():
                p.name = f"{layer.name}.{p.name}"
                parameters.append(p)
        self._parameters = ParameterList(parameters)
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

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, classes) for x (N, C, H, W); maps (N, classes, H', W') for larger images."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set every `grad` for dE/dy; return dE/dx if `to_input`."""
        return self._sweep("backward", dy, to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Set every `hess` for the diagonal of d2E/dy2; return that of d2E/dx2 if `to_input`.

        Call `backward` first: the RBF layer's curvature needs its gradient.
        """
        return self._sweep("bbprop", hy, to_input)

    def _sweep(self, method: str, v: np.ndarray | None, to_input: bool) -> np.ndarray | None:
        first = self.layers[0]
        for layer in reversed(self.layers):
            v = (layer.bbprop if method == "bbprop" else layer.backward)(v, to_input=to_input or layer is not first)  # type: ignore[arg-type]
        return v

    def sublayers(self) -> tuple[Layer, ...]:
        """Return the layers, in order."""
        return self.layers

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
            uint8 (N, 28, 28) or one (28, 28), which counts as N = 1; or prepared floats (N, 1, 32, 32).
            Any N, at a bounded use of memory.

        Returns
        -------
        ndarray (N,), int64
            (N, H', W') for images larger than the network was built for: one class per position.

        Raises
        ------
        ShapeError
            If the images have another shape or dtype.
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
        return self._in_chunks(images, np.copy)

    def _in_chunks(self, images: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        images = self._batch(images)
        if not len(images):
            blank = self._prepared(np.zeros((1, *images.shape[1:]), images.dtype))
            return read(self.forward(blank))[:0]
        starts = range(0, len(images), _CHUNK)
        return np.concatenate([read(self.forward(self._prepared(images[s : s + _CHUNK]))) for s in starts])

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
        batch = self._batch(images)
        x = self._prepared(batch)
        maps = {"input": x.copy()}
        for layer in self.layers:
            x = layer.forward(x)
            maps[layer.name.split(".")[0]] = x.copy()
        return maps if images.ndim == batch.ndim else {name: m[0] for name, m in maps.items()}

    def _batch(self, images: np.ndarray) -> np.ndarray:
        images = np.asarray(images)
        if images.dtype == np.uint8 and images.ndim == 2:
            return images[None]
        if not (images.dtype == np.uint8 and images.ndim in (3, 4)) and not (
            images.dtype.kind == "f" and images.ndim == len(self.in_shape) + 1
        ):
            raise ShapeError(
                "Images are uint8 (N, 28, 28) or (28, 28) with 0 for the background, or prepared floats "
                f"(N, {', '.join(map(str, self.in_shape))}); found {images.dtype} {images.shape}. "
                "lenet5.prepare_digit makes any picture ready."
            )
        return images

    def _prepared(self, images: np.ndarray) -> np.ndarray:
        if images.dtype == np.uint8:
            if self.prepare is None:
                raise ShapeError("This network has no preparation of its own; give it prepared floats.")
            images = self.prepare(images)
        return images.astype(self.dtype, copy=False)

    def __repr__(self) -> str:
        size = self.parameters().value.size
        return (
            f"<Sequential {self.in_shape} -> {self.out_shape}, {size:,} parameters: {', '.join(x.name for x in self)}>"
        )
