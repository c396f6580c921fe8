"""A network: layers in sequence that share one flat vector of parameters."""

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

# What users of other libraries ask a network for, and where it is.
_ELSEWHERE = {
    "add": "lenet5.Sequential([...]) with all layers at once",
    "compile": "lenet5.fit(net, train, test, optimizer='adam', lr=1e-3): loss and metrics follow from the outputs",
    "evaluate": "evaluate(net, test) after from lenet5.evaluate import evaluate, or net.eval() for the state",
    "load_state_dict": "lenet5.interop.from_torch(state, net) for PyTorch's, lenet5.load(path) for our own",
    "load_weights": "lenet5.load(path, net)",
    "save": "lenet5.save(path, net)",
    "save_weights": "lenet5.save(path, net)",
    "score": "(net.predict(images) == labels).mean()",
    "state_dict": "lenet5.interop.to_torch(net).state for PyTorch, net.arrays() for our own names",
    "to": "nothing: it runs on the processor",
    "zero_grad": "nothing: backward overwrites gradients",
}


class Sequential(Answers):
    """y = f_L(... f_2(f_1(x))): layers in sequence. It is itself a layer.

    `predict`, `predict_proba`, `outputs` and `feature_maps` may be called from any number of threads at once.
    `forward`, `backward` and `bbprop` work in arrays of the layers: those are for one thread, or a `replica` in each.

    Parameters
    ----------
    layers : iterable of Layer
        In order. A layer without a name is named after the last named one before it and its class,
        for example ``C1.ScaledTanh``, and numbered if there are several: ``C1.ScaledTanh2``.
    prepare : callable, optional
        Turns uint8 images into x (N, C, H, W). Left out, grey levels 0 to 255 become 0 to 1, in the middle of the
        field.
    spec : dict, optional
        What `lenet5.models` needs to build the same network again; kept in saved files.

    Attributes
    ----------
    learned : Learned
        What it was trained on: the names of its classes and the kind of its images. `Trainer` sets it.

    Raises
    ------
    ConfigError
        If there are no layers, or two of one name.
    """

    _open = frozenset({"compiled_forms", "learned", "prepare", "spec", "theta", "told"})

    def __init__(
        self, layers: Iterable[Layer], *, prepare: Prepare | None = None, spec: dict | None = None, name: str = ""
    ) -> None:
        super().__init__(prepare=prepare, name=name)
        self.layers = tuple(layers)
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
        """The flat vector of all parameters; writing into it changes the network. Assigning leaves deleted ones 0."""
        return self._parameters.value

    @theta.setter
    def theta(self, values: np.ndarray) -> None:
        self._parameters.value[...] = values
        self._parameters.hold()

    def running(self) -> dict[str, np.ndarray]:
        """Return every layer's running arrays, under names such as ``C1.BatchNorm.mean``."""
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in layer.running().items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a file keeps: "parameter/NAME" and "running/NAME", not copied.

        Of a pruned network also "kept/NAME", where something of a parameter has been deleted.
        """
        values = {f"parameter/{p.name}": p.value for p in self.parameters()}
        masks = {f"kept/{p.name}": p.kept for p in self.parameters() if not p.kept.all()}
        return values | masks | {f"running/{name}": array for name, array in self.running().items()}

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
        """Whether any layer does."""
        return any(layer.couples_patterns for layer in self.layers)

    @property
    def draws_at_random(self) -> bool:  # type: ignore[override]
        """Whether any layer does."""
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

    def named_sublayers(self) -> tuple[tuple[str, Layer], ...]:
        """Return `sublayers` with their names; those of a network within the network stand behind its name: "a.C1"."""
        named: list[tuple[str, Layer]] = []
        for layer in self.layers:
            inner = layer.named_sublayers() if isinstance(layer, Sequential) else ()
            named += [(f"{layer.name}.{name}", sub) for name, sub in inner] or [(layer.name, layer)]
        return tuple(named)

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

    def fit(self, train: Any, test: Any = None, **options: Any) -> "History":
        """Train: `lenet5.fit` of this network, which has the options; also ``fit(images, labels)``."""
        from .datasets.base import Dataset
        from .run.fit import fit  # here, because runs are made of networks

        if isinstance(train, Dataset | tuple):
            return fit(self, train, test, **options)
        return fit(self, (train, test), **options)

    def __getattr__(self, name: str) -> Any:
        hint = f": here it is {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def summary(self) -> None:
        """Print the layers with their outputs, parameters and connections; `models.summary` returns them."""
        from .models.summary import summary, table  # here, because models are made of networks

        print(table((self.spec or {}).get("name", "Sequential"), summary(self)))

    def __repr__(self) -> str:
        kept, size = int(self.parameters().kept.sum()), self.parameters().value.size
        count, names = f"{size:,}" if kept == size else f"{kept:,} of {size:,}", ", ".join(layer.name for layer in self)
        return f"<Sequential {self.in_shape} -> {self.out_shape}, {count} parameters: {names}>"
