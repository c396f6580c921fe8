"""Inference on images, and the record of the data set that a network was trained on."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Field, Learned, batch_of
from .datasets.preparation import prepare as prepare_pixels
from .errors import ShapeError
from .files import forget
from .layers.base import Layer

if TYPE_CHECKING:
    from .datasets.base import Dataset
    from .engine.program import Program
    from .layers.compiled import Compiled

__all__ = ["Answers", "Prepare"]

# Called as prepare(images, dtype=...) or prepare(images, out=...), like `datasets.prepare`.
Prepare = Callable[..., np.ndarray]

# Number of images per step of `predict`: enough to amortise Python's overhead, few enough to stay in the CPU cache.
_CHUNK = 256
# Number of images after which `predict` releases the memory of a memory-mapped file.
_FORGET = 64 * _CHUNK


class Answers(Layer):
    """Inference methods of `Sequential`, such as `predict`. They are thread-safe.

    Attributes
    ----------
    prepare : callable or None
        Function from uint8 images to the network's input x (N, C, H, W).
    learned : Learned
        Description of the training set: class names and image format.
    """

    layers: tuple[Layer, ...]
    compiled_forms: "Compiled"

    def __init__(self, *, prepare: Prepare | None, name: str) -> None:
        super().__init__(name=name)
        self.prepare = prepare
        self.learned = Learned()
        self._field: tuple[Any, ...] = ()

    def program(self, *, training: bool = False) -> "Program | None":
        """Return the network as one compiled loop, or None if a layer has no compiled version in the given mode."""
        return self.compiled_forms.program(training=training)

    @property
    def classes(self) -> np.ndarray:
        """Class names, an array (classes,); ``net.classes[net.predict(images)]`` contains the predicted names."""
        names = self.learned.classes or [str(k) for k in range(self.out_shape[0])]
        return np.array(names)

    def relabelled(self, data: "Dataset") -> "Dataset":
        """Return the data set with its labels renumbered to match this network's class names, if these are known."""
        return data.relabelled(self.learned.classes) if self.learned.classes else data

    def remember(self, data: "Dataset") -> None:
        """Record the data set that the network was trained on, with its class names."""
        names, outputs = list(data.classes), self.out_shape[0]
        counted = names == [str(k) for k in range(len(names))]
        names += [str(k) if counted else f"unused {k}" for k in range(len(names), outputs)]
        self.learned = data.learned._replace(classes=tuple(names))

    @property
    def field(self) -> Field:
        """Description of the input that the network accepts."""
        known = self._field
        if not known or known[0] is not self.in_shape or known[1] is not self.prepare or known[2] is not self.learned:
            if not self.in_shape:
                raise ShapeError(
                    "This network is not built: call net.build((1, 28, 28)) for grey images of 28x28, "
                    "or lenet5.fit(net, train), which builds it for the images of train."
                )
            self._field = known = self.in_shape, self.prepare, self.learned, self._described()
        return known[3]

    def _described(self) -> Field:
        channels, *sides = self.in_shape
        span = None
        if self.prepare is not None and len(sides) == 2:
            picture = np.repeat(np.array([[[[0], [255]]]], np.uint8), channels, axis=3)
            x = np.ravel(self.prepare(picture, dtype=np.float64)[0, 0])
            span = float(x[0]), float(x[np.abs(x - x[0]).argmax()])
        own = self.learned.shape[:2]
        square = [side for side, other in (sides, own) if side == other] if len(sides) == len(own) == 2 else sides[:1]
        return Field(self.in_shape, span, (28, *square), self.learned.ground, self.learned.peak)

    def predict(self, images: ArrayLike) -> np.ndarray:
        """Return the likeliest class of each image.

        Parameters
        ----------
        images : array-like
            Pixels are integers from 0 to 255, bools, or floats from 0 to 1. Accepted shapes are (N, H, W), with or
            without a channel axis of length 1, up to the size of the network's field, in which images are centred;
            (H, W) for a single image, which counts as N = 1; flattened square images (N, H * W) of 28x28, or of the
            same size as the field or the training images; (N, H, W, C) or (N, C, H, W) for colour; and floats
            (N, *in_shape) from `prepared`. Memory use is bounded for any N.

        Returns
        -------
        ndarray (N,), int64
            Class indices; ``net.classes`` contains the names.

        Raises
        ------
        ShapeError
            If the images have an unsupported or ambiguous format, or are larger than the field (see `sweep`).

        Warns
        -----
        LenetWarning
            If the images look unlike the training images: dark on light, almost empty, or standardised.
        """
        pick = np.argmin if self.outputs_penalties else np.argmax
        return self._in_chunks(images, lambda y: pick(y, axis=1))

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Return the class probabilities: exp(-penalty) or exp(score), normalised over the classes.

        For penalties, these are the exponentials of eq. 9, normalised without the rubbish class.

        Parameters
        ----------
        images : array-like
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

    def outputs(self, images: ArrayLike) -> np.ndarray:
        """Return the last layer's outputs (N, classes): penalties for RBF units, otherwise scores."""
        return self._in_chunks(images, lambda y: y)

    def sweep(self, images: ArrayLike) -> np.ndarray:
        """Return the outputs (N, classes, H', W') at every position of the field on larger images (section VII).

        The field moves by the product of all strides, which is 4 pixels for the paper's network.

        Parameters
        ----------
        images : array-like
            As for `predict`, but at least as large as the field, and not flattened.

        Raises
        ------
        ShapeError
            As for `predict`, and if a layer such as `Flatten` accepts only maps of a fixed size.
        """
        return self._outputs(self.scaled(self._batch(images, swept=True)[0]))

    def _batch(self, images: ArrayLike, *, swept: bool = False) -> tuple[np.ndarray, bool]:
        """Convert images as `batch_of` does; if `swept`, also accept images larger than the field."""
        field = self.field
        if swept and len(field.in_shape) == 3:
            shape = np.shape(images)
            channels, *least = field.in_shape
            ahead = len(shape) == 4 and shape[1] == channels
            sides = shape[2:] if ahead else [max(shape[-3:], default=0)] * 2
            sides = [max(pair) for pair in zip(sides, least, strict=True)]
            field = field._replace(in_shape=(channels, *sides), sides=())
        return batch_of(images, field)

    def _in_chunks(self, images: ArrayLike, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        batch = self._batch(images)[0]
        n = len(batch)
        if n == 0:
            blank = self.scaled(np.zeros((1, *batch.shape[1:]), batch.dtype))
            return read(self._outputs(blank))[:0]
        if n <= _CHUNK:  # a single chunk needs neither the loop nor the copy
            return read(self._outputs(self.scaled(batch)))
        results = []
        for start in range(0, n, _CHUNK):
            results.append(read(self._outputs(self.scaled(batch[start : start + _CHUNK]))))
            if start % _FORGET == 0:
                forget(batch)
        return np.concatenate(results)

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        program = self.program()
        if program is not None and x.shape[1:] == self.in_shape:
            y = program.outputs(x)
            return y if len(self.out_shape) == 1 else y.reshape(-1, *self.out_shape)
        with self.compiled_forms.borrowed() as twin:
            return twin.forward(x).copy()

    def feature_maps(self, image: ArrayLike, *, sweep: bool = False) -> dict[str, np.ndarray]:
        """Return the output of every stage for one image, in order from "input" to "output".

        Parameters
        ----------
        image : array-like
            As for `predict`. If it is a batch, every output has a leading batch axis.
        sweep : bool
            Accept an image larger than the field, as `sweep` does.

        Returns
        -------
        dict of str to ndarray
            Maps the paper's name of each stage to a copy of its output after the squashing function. The paper's
            network has "C1" (6, 28, 28), ..., "F6" (84,), "output" (10,).
        """
        batch, single = self._batch(image, swept=sweep)
        x = self.scaled(batch)
        maps = {"input": x.copy()}
        with self.compiled_forms.borrowed() as twin:
            for layer in twin.layers:
                x = layer.forward(x)
                if layer.stages():
                    maps[layer.name.split(".")[0]] = x.copy()
        return {name: m[0] for name, m in maps.items()} if single else maps

    def prepared(self, images: ArrayLike) -> np.ndarray:
        """Convert images, as accepted by `predict`, to the input x (N, *in_shape) of `forward` in the network's dtype.

        Raises
        ------
        ShapeError
            As for `predict`.
        """
        return self.scaled(self._batch(images, swept=True)[0])

    def scaled(self, batch: np.ndarray) -> np.ndarray:
        """Convert a batch to network input: apply `prepare` to uint8 images, and cast floats to the network's dtype."""
        if batch.dtype != np.uint8:
            return batch.astype(self.dtype, copy=False)
        prepare, shape, own = self.preparation, batch.shape, self.in_shape
        if shape[1] > own[1] or shape[2] > own[2]:
            return prepare(batch, dtype=self.dtype)
        return prepare(batch, out=np.empty((len(batch), *self.in_shape), self.dtype))

    @property
    def preparation(self) -> Prepare:
        """Function that prepares uint8 images: `prepare` if given, else scaling to 0..1 and centring in the field."""
        if self.prepare is not None:
            return self.prepare
        if len(self.in_shape) != 3:
            raise ShapeError(f"This network takes floats (N, {self.in_shape[0]}), not images.")
        return partial(prepare_pixels, size=self.in_shape[1:], scale="unit")
