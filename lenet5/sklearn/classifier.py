"""LeNet-5 as a scikit-learn classifier: `LeNet5Classifier`."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.extmath import softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .. import losses, optim
from ..datasets import Dataset, Distortion
from ..datasets.rows import FIELD, Patterns, Pictures
from ..errors import ConfigError
from ..models import from_spec, lenet5
from ..models.build import CHARACTERS, characters_of
from ..models.paper import Output, Pooling
from ..network import Sequential
from ..optim import schedule
from ..training import Callback, History
from ..training.callbacks import Finite, SetRate
from ..training.reports import Report
from ..training.shards import SHARD, Shards, cores
from ..training.trainer import Trainer
from .inputs import Inputs, value_errors

__all__ = ["LeNet5Classifier"]

_MOST_THREADS = 1024
# Number of images processed at a time.
CHUNK = 32 * SHARD

# Epochs of the paper's schedule to skip. On 300 images of two pixels, in one of four runs, the first two epochs, with a
# learning rate of 5e-4, saturate the network permanently. On MNIST, they do not improve the result.
SKIP = 2


_LOSSES: dict[str, Callable[[], losses.Loss]] = {
    "rbf": lambda: losses.MAP(0.1, scale=0.5),
    "softmax": losses.SoftmaxCrossEntropy,
    "dense": losses.SquaredError,
}


class LeNet5Classifier(ClassifierMixin, Inputs):
    """LeNet-5 as a scikit-learn classifier; by default, the network and the training of the paper.

    Images of up to 32x32 are centred in the network's input of 32x32. For larger images, up to 128x128, the input is
    enlarged; for colour images it has three channels. A row of pixels is treated as a square grey image if its length
    is a square number, otherwise as an image of height 1. Pixels are scaled linearly to -0.1 (background) and 1.175
    (foreground), as in the paper: from the range 0 to 255 if the first training set is uint8, otherwise from the range
    of its values. Later data are scaled in the same way. If their range differs strongly, a `LenetWarning` is issued.

    Parameters
    ----------
    subsampling : {"trainable", "average", "max"}
        Sub-sampling in S2 and S4: the paper's, with a trainable coefficient and bias per map, or fixed pooling.
    output : {"rbf", "softmax", "dense"}
        RBF units trained with eq. 9, softmax with cross-entropy, or ScaledTanh units trained on targets of ±1. The
        centres of the RBF units are the bitmaps of the classes, if all classes are printable ASCII characters or
        one-digit integers. Otherwise, they are taken from the 94 bitmaps of `lenet5.models.CHARACTERS`; if there
        are more classes, "softmax" is used instead.
    optimizer : str
        Key of `lenet5.optim.OPTIMIZERS`, such as "sdlm" (the paper's second-order method, which estimates the curvature
        from 500 patterns before each epoch), "sgd" or "adam".
    learning_rate : float, optional
        Learning rate. Default: 2e-4 for sdlm, 1e-2 for adagrad, 1e-3 for others. For sdlm, `fit` decreases it as
        in the paper's schedule (`lenet5.optim.schedule.paper`), but without its first two epochs, whose learning
        rate of 5e-4 is too high for small training sets. For other optimizers, and in `partial_fit`, it is constant.
    epochs : int
        Number of training epochs in `fit`.
    batch_size : int
        Number of patterns per update (1 in the paper).
    distort : callable, optional
        Distortion of the training images before each epoch, such as `lenet5.datasets.shift`: a function that takes
        uint8 images (n, H, W) and a numpy.random.Generator, and returns images of the same shape and type. Pixels of
        other types are first rounded to 256 grey levels.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied by `sample_weight`. "balanced" gives all classes the same total weight.
    random_state : int, RandomState or None
        Seed or generator for the initial weights, the order of patterns and the sampling.
    n_jobs : int, optional
        Number of threads, or -1 for all processors. Useful if `batch_size` is at least 64. Results do not depend on it.
    verbose : int
        If above 0, print one line per epoch.

    Attributes
    ----------
    classes_ : ndarray (classes,)
        Classes in sorted order, which is the order of the probabilities.
    n_features_in_ : int
        Number of pixels per image.
    image_shape_ : tuple of int
        Shape of the training images, (H, W) or (H, W, 3).
    range_ : tuple of float
        Pixel values that are scaled to background and foreground.
    net_ : Sequential
        The trained network.
    history_ : list of dict
        One record per epoch, with ``epoch``, ``lr``, and ``loss`` and ``train_error`` measured during training.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> images, labels = load_digits(return_X_y=True)  # flattened 8x8 images
    >>> model = LeNet5Classifier(random_state=0).fit(images[:1437], labels[:1437])
    >>> model.score(images[1437:], labels[1437:]) > 0.9
    True
    """

    def __init__(
        self,
        *,
        subsampling: Pooling = "trainable",
        output: Output = "rbf",
        optimizer: str = "sdlm",
        learning_rate: float | None = None,
        epochs: int = 20,
        batch_size: int = 1,
        distort: Distortion | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.subsampling = subsampling
        self.output = output
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.distort = distort
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : array-like (n, pixels), (n, H, W), (n, C, H, W) or (n, H, W, C), with C of 1 or 3
            Training images of any numeric type.
        y : array-like (n,)
            Labels, such as integers or strings.
        sample_weight : array-like (n,), optional
            Weight of each sample. In an epoch, each sample occurs in proportion to its weight, rounded up or down
            at random. The number of updates per epoch does not change.

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid.
        DivergenceError
            If the training diverges.
        """
        rows, labels = self._checked(X, y, reset=True)
        check_classification_targets(labels)
        weights = self._weights(rows, labels, sample_weight)
        with value_errors():
            net = self._fresh(rows, np.unique(labels))
            return self._train(net, rows, labels, weights, self.epochs, anneal=True)

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one more epoch on the given samples; this is also possible after `fit`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like (classes,), optional
            All classes that can occur in any call. Required on the first call.

        Raises
        ------
        ValueError, DivergenceError
            As for `fit`.
        """
        first = not hasattr(self, "net_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        rows, labels = self._checked(X, y, reset=first)
        check_classification_targets(labels)
        known = self.classes_ if classes is None else np.unique(classes)
        if not first and not np.array_equal(known, self.classes_):
            raise ValueError(f"classes={known} is not the same as on the last call to partial_fit: {self.classes_}")
        unknown = np.setdiff1d(labels, known)
        if unknown.size:
            raise ValueError(f"y contains labels that are not among the classes: {unknown}")
        weights = self._weights(rows, labels, sample_weight)
        with value_errors():
            net = self._fresh(rows, known) if first else self.net_
            return self._train(net, rows, labels, weights, 1, anneal=False)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most likely class (n,) of each image; X is as for `fit`."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class: exp(-penalty) or exp(score), normalised.

        Parameters
        ----------
        X
            Images as for `fit`. Apart from X itself, memory use is bounded for any number of images.

        Returns
        -------
        ndarray (n, classes), float32
            Probabilities in the order of `classes_`.
        """
        check_is_fitted(self, "net_")
        rows = self._checked(X, reset=False)
        pictures, n = Pictures(rows, self.image_shape_, *self.range_), len(rows)
        loss = _LOSSES[(self.net_.spec or {})["output"]]()
        with closing(Shards(self.net_, loss, threads=self._threads())) as shards:
            # Fill up the last shard with the first images. Incomplete shards are summed in another order, so the result
            # for an image would depend on the number of images.
            whole = np.arange(n + -n % SHARD) % n
            outputs = [shards.outputs(pictures[whole[k : k + CHUNK]]) for k in range(0, n, CHUNK)]
        scores = np.concatenate(outputs)[:n]
        return softmax(-scores if self.net_.outputs_penalties else scores, copy=False)

    def _fresh(self, rows: np.ndarray, classes: np.ndarray) -> Sequential:
        """Return a new, untrained network, and reset the training state."""
        self.__dict__.pop("net_", None)  # if training fails, the classifier counts as not fitted
        output: Output = "softmax" if self.output == "rbf" and len(classes) > len(CHARACTERS) else self.output
        codes = characters_of(classes) if output == "rbf" else ""
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        height, width, *channels = self.image_shape_
        size = max(FIELD, height, width)
        net = lenet5(
            subsampling=self.subsampling, output=output, codes=codes, classes=len(classes), seed=rng,
            channels=channels[0] if channels else 1, size=size,
        )  # fmt: skip
        self.classes_ = classes
        self.range_ = (0.0, 255.0) if rows.dtype == np.uint8 else (float(rows.min()), float(rows.max()))
        self.history_ = History()
        self._rng = rng
        self._memory: dict[str, dict[str, np.ndarray]] = {}
        return net

    def _train(
        self,
        net: Sequential,
        rows: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None,
        epochs: int,
        *,
        anneal: bool,
    ) -> Self:
        if self.optimizer not in optim.OPTIMIZERS:
            raise ConfigError(f"optimizer must be one of {', '.join(optim.OPTIMIZERS)}; found {self.optimizer!r}.")
        if epochs < 1:
            raise ConfigError(f"epochs must be at least 1; found {epochs!r}.")
        make = optim.OPTIMIZERS[self.optimizer]
        default = schedule.PAPER_ETA[SKIP] if make.curvature_patterns else make.options["lr"].default
        lr = default if self.learning_rate is None else self.learning_rate
        optimizer = make(net.parameters(), lr=lr)
        if self.optimizer in self._memory:
            optimizer.load_state_dict(self._memory[self.optimizer])
        rate = schedule.paper(lr, skip=SKIP) if anneal and optimizer.curvature_patterns else schedule.constant(lr)
        hooks: list[Callback] = [SetRate(rate), Finite()]
        hooks += [Report(print)] if self.verbose else []
        trainer = Trainer(
            net,
            _LOSSES[(net.spec or {})["output"]](),
            optimizer,
            hooks,
            batch_size=self.batch_size,
            threads=self._threads(),
            distort=self.distort,
            rng=self._rng,
        )
        trainer.epoch, trainer.history = len(self.history_), self.history_
        pictures = Pictures(rows, self.image_shape_, *self.range_)
        images = pictures.grey_levels() if self.distort else pictures
        patterns = Patterns(images, np.searchsorted(self.classes_, labels), weights)
        trainer.fit(cast(Dataset, patterns), epochs=trainer.epoch + epochs)
        self.net_, self._memory = net, {self.optimizer: optimizer.state_dict()}
        return self

    def _threads(self) -> int:
        if self.n_jobs is None:
            return 1
        if not isinstance(self.n_jobs, int | np.integer) or self.n_jobs == 0 or self.n_jobs > _MOST_THREADS:
            raise ValueError(
                f"n_jobs must be a number of threads up to {_MOST_THREADS}, or -1 for all; found {self.n_jobs!r}."
            )
        return self.n_jobs if self.n_jobs >= 0 else max(cores() + 1 + self.n_jobs, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "net_" in state:  # store the parameters without the work arrays
            state["net_"] = (self.net_.spec, self.net_.theta.copy(), self.net_.parameters().kept.copy())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "net_" in state:
            spec, theta, *kept = state["net_"]  # older versions stored no `kept`
            state["net_"] = from_spec(spec)
            state["net_"].parameters().kept[...] = kept[0] if kept else True
            state["net_"].theta = theta
        super().__setstate__(state)
