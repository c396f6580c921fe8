"""A network: a sequence of layers that share one flat vector of parameters."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .answers import Answers, Prepare
from .layers.base import Layer, Shape, name_layers
from .layers.compiled import Compiled, replica
from .parameter import Parameter, ParameterList

if TYPE_CHECKING:
    from .training.record import History

__all__ = ["Sequential"]

# Methods of other libraries' networks, and their equivalents here.
_ELSEWHERE = {
    "add": "lenet5.Sequential([...]) with all layers",
    "compile": "lenet5.fit(net, train, test, optimizer='adam', lr=1e-3), which selects a loss to match the outputs",
    "evaluate": "evaluate(net, test) from lenet5.evaluate, or net.eval() to switch to evaluation mode",
    "load_state_dict": "lenet5.interop.from_torch(state, net) for a PyTorch state, lenet5.load(path) for a lenet5 file",
    "load_weights": "lenet5.load(path, net)",
    "save": "lenet5.save(path, net)",
    "save_weights": "lenet5.save(path, net)",
    "score": "(net.predict(images) == labels).mean()",
    "state_dict": "lenet5.interop.to_torch(net).state for PyTorch names, net.arrays() for lenet5 names",
    "to": "not needed, because networks run on the CPU",
    "zero_grad": "not needed, because backward overwrites gradients",
}


class Sequential(Answers):
    """Feed-forward network y = f_L(... f_2(f_1(x))), which is itself a layer.

    `predict`, `predict_proba`, `outputs` and `feature_maps` are thread-safe. `forward`, `backward` and `bbprop`
    use buffers of the layers: call them from one thread only, or give each thread a `replica`.

    Parameters
    ----------
    layers : iterable of Layer
        Layers in order. A layer without a name is named after the preceding named layer and its own class,
        for example ``C1.ScaledTanh``, with a number if there are several: ``C1.ScaledTanh2``.
    prepare : callable, optional
        Function that converts uint8 images to x (N, C, H, W). By default, pixels are scaled from 0..255 to 0..1, and
        images are centred in the input field.
    spec : dict, optional
        Specification from which `lenet5.models` can rebuild the network; stored in saved files.

    Attributes
    ----------
    learned : Learned
        Description of the training set (class names, image format), set by `Trainer`.

    Raises
    ------
    ConfigError
        If there are no layers, or two layers have the same name.
    """

    _open = frozenset({"compiled_forms", "learned", "prepare", "spec", "theta", "told"})

    def __init__(
        self, layers: Iterable[Layer], *, prepare: Prepare | None = None, spec: dict | None = None, name: str = ""
    ) -> None:
        super().__init__(prepare=prepare, name=name)
        self.layers = tuple(layers)
        self.spec = spec
        self.told = False  # whether a warning about layers that are not compiled has been issued
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
            if isinstance(layer, Sequential):  # its parameters have just been moved to new vectors
                layer._parameters = ParameterList(layer._parameters)
        self.out_shape = in_shape
        return in_shape

    def parameters(self) -> ParameterList:  # type: ignore[override]
        """Return all layers' parameters in order, in a list that also holds flat vectors of values and derivatives."""
        return self._parameters

    @property
    def theta(self) -> np.ndarray:
        """Flat vector of all parameters. Writing into it changes the network; assignment keeps pruned weights at 0."""
        return self._parameters.value

    @theta.setter
    def theta(self, values: np.ndarray) -> None:
        self._parameters.value[...] = values
        self._parameters.hold()

    def running(self) -> dict[str, np.ndarray]:
        """Return the running statistics of all layers, under names such as ``C1.BatchNorm.mean``."""
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in layer.running().items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a saved file contains, as "parameter/NAME" and "running/NAME", without copying.

        For a pruned network, they include a mask "kept/NAME" for each pruned parameter.
        """
        values = {f"parameter/{p.name}": p.value for p in self.parameters()}
        masks = {f"kept/{p.name}": p.kept for p in self.parameters() if not p.kept.all()}
        return values | masks | {f"running/{name}": array for name, array in self.running().items()}

    def train(self) -> Self:
        """Switch every layer to training mode; return the network.

        The mode applies to `forward`, `backward` and `bbprop`. `predict`, `predict_proba`, `outputs` and
        `feature_maps` always use evaluation mode and do not change the mode of the network.
        """
        for layer in self.layers:
            layer.train()
        return super().train()

    def eval(self) -> Self:
        """Switch every layer to evaluation mode, which is also the initial mode; return the network."""
        for layer in self.layers:
            layer.eval()
        return super().eval()

    def reseed(self, *key: int) -> None:
        """Set the seed of each layer's random draws to `key` followed by the layer's index."""
        for place, layer in enumerate(self.layers):
            layer.reseed(*key, place)

    def uncompiled(self, *, training: bool = False) -> list[Layer]:
        """Return the layers that have no compiled version in the given mode."""
        return self.compiled_forms.missing(training=training)

    def replica(self) -> "Sequential":
        """Return a copy that shares the network's parameters and running statistics, but has its own buffers."""
        return replica(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "compiled_forms"} | {"_buffers": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self.compiled_forms = Compiled(self)

    @property
    def couples_patterns(self) -> bool:  # type: ignore[override]
        """Whether, in training, any layer's output for a pattern depends on the other patterns of its batch."""
        return any(layer.couples_patterns for layer in self.layers)

    @property
    def draws_at_random(self) -> bool:  # type: ignore[override]
        """Whether any layer draws random numbers in training."""
        return any(layer.draws_at_random for layer in self.layers)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, classes) for x (N, C, H, W), or maps (N, classes, H', W') for larger images."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Compute the `grad` of every parameter from dE/dy; return dE/dx if `to_input`."""
        for layer in reversed(self.layers[1:]):
            dy = layer.backward(dy)  # type: ignore[assignment]
        return self.layers[0].backward(dy, to_input=to_input)

    def bbprop(self, hy: np.ndarray, *, to_input: bool = True) -> np.ndarray | None:
        """Compute every parameter's `hess` from the diagonal of d2E/dy2; return that of d2E/dx2 if `to_input`.

        Call `backward` first, because the curvature of the RBF layer depends on the gradient of its output.
        """
        for layer in reversed(self.layers[1:]):
            hy = layer.bbprop(hy)  # type: ignore[assignment]
        return self.layers[0].bbprop(hy, to_input=to_input)

    def sublayers(self) -> tuple[Layer, ...]:
        """Return the layers in order, including those of nested networks."""
        return tuple(inner for layer in self.layers for inner in layer.sublayers())

    def named_sublayers(self) -> tuple[tuple[str, Layer], ...]:
        """Return `sublayers` with their names, such as "a.C1" for layer C1 of a nested network "a"."""
        named: list[tuple[str, Layer]] = []
        for layer in self.layers:
            inner = layer.named_sublayers() if isinstance(layer, Sequential) else ()
            named += [(f"{layer.name}.{name}", sub) for name, sub in inner] or [(layer.name, layer)]
        return tuple(named)

    def connections(self) -> int:
        """Return the number of connections, summed over the layers."""
        return sum(layer.connections() for layer in self.layers)

    def __getitem__(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer {name!r}; the layers are {', '.join(layer.name for layer in self.layers)}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def outputs_penalties(self) -> bool:  # type: ignore[override]
        """Whether the outputs are penalties, so that the class with the smallest output wins."""
        return self.layers[-1].outputs_penalties

    def fit(self, train: Any, test: Any = None, **options: Any) -> "History":
        """Train this network with `lenet5.fit`, which documents the options; also ``fit(images, labels)``."""
        from .datasets.base import Dataset
        from .run.fit import fit  # imported here to avoid a circular import

        if isinstance(train, Dataset | tuple):
            return fit(self, train, test, **options)
        return fit(self, (train, test), **options)

    def __getattr__(self, name: str) -> Any:
        hint = f"; in lenet5: {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def summary(self) -> None:
        """Print the output shape, parameters and connections of every layer; `models.summary` returns these values."""
        from .models.summary import summary, table  # imported here to avoid a circular import

        print(table((self.spec or {}).get("name", "Sequential"), summary(self)))

    def __repr__(self) -> str:
        kept, size = int(self.parameters().kept.sum()), self.parameters().value.size
        count, names = f"{size:,}" if kept == size else f"{kept:,} of {size:,}", ", ".join(layer.name for layer in self)
        return f"<Sequential {self.in_shape} -> {self.out_shape}, {count} parameters: {names}>"
