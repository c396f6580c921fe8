"""The training loop."""

import operator
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..datasets import Dataset, Distortion
from ..datasets.shuffle import patterns_of
from ..errors import CheckpointError, ConfigError, LenetWarning
from ..losses import Loss
from ..network import Sequential
from ..optim import Optimizer
from . import checkpoint
from .checks import check_data, check_pair, check_parameters, recipe
from .hooks import Callback, Phase
from .record import History
from .shards import Shards

if TYPE_CHECKING:
    from .mpi import Ranks

__all__ = ["ROUND", "Callback", "Phase", "Trainer", "renamed"]

# Number of single-pattern updates per call of compiled code.
ROUND = 100
# Keys in the records of older runs, and their current names.
_RENAMED = {"pass": "epoch", "eta": "lr"}


def renamed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of an epoch, with the keys of older versions replaced by the current ones."""
    return {_RENAMED.get(name, name): value for name, value in record.items()}


class Trainer:
    """Train a network by stochastic gradient descent, with one update per batch and a new random order in each epoch.

    Before each epoch, the trainer computes the curvatures that the optimiser needs (`SDLM`: on a few hundred patterns).
    The paper uses "a constant random order"; a new order in each epoch works as well, and the result does not depend on
    a single order. Memory-mapped images are not loaded as a whole, and are shuffled in blocks; see `datasets.shuffle`.

    Parameters
    ----------
    net, loss, optimizer
        Network to train, its loss, and an optimiser for its parameters.
    callbacks : iterable of Callback, optional
        Callbacks, called at each hook in the order of their phases. Default: a guard against divergence and, for an
        optimiser that needs curvatures (`SDLM`), the paper's schedule, starting at the optimiser's learning rate.
    batch_size : int
        Number of patterns per update (1 in the paper).
    threads : int
        Number of threads; it does not affect the results. More threads do not speed up the gradients of a network with
        `BatchNorm`, which are computed for the batch as a whole.
    distort : Distortion, optional
        Distortion to apply to all training images before each epoch (or to one group at a time, if memory-mapped).
    ranks : Ranks, optional
        Processes that train the same network on the same data, each of which calls `fit`. The number of
        processes does not affect the results.
    rng : numpy.random.Generator, optional
        Random generator for distortions, the order of the patterns, curvature samples and `Dropout`; seed 0 if None.

    Attributes
    ----------
    epoch : int
        Number of completed epochs.
    position : int
        Number of processed patterns in the current epoch.
    history : History
        One record per completed epoch.
    stop : bool
        Set it to True, from a hook or a signal handler, to stop after the current update.
    loss_sum, errors : float, int
        Sum of the losses and number of errors over the processed patterns of the current epoch.
    train : Dataset or None
        Training set passed to `fit`; None before `fit`.
    epochs : int
        Number of completed epochs at which `fit` stops; 0 before `fit`.
    shards : Shards or None
        Shards for measurements such as ``shards.evaluate(images, labels)``; None before `fit`.
    patterns : object or None
        Training patterns in the order of the current epoch; None before `fit`.

    Raises
    ------
    ConfigError
        If an option is out of range, a callback defines hooks that are never called, or the loss or the optimiser does
        not fit the network.

    Warns
    -----
    LenetWarning
        If a callback that only reports (`Phase.REPORT`) fails. Training continues without it.
    """

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        callbacks: Iterable[Callback] | None = None,
        *,
        batch_size: int = 1,
        threads: int = 1,
        distort: Distortion | None = None,
        ranks: "Ranks | None" = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        if batch_size < 1 or threads < 1:
            raise ConfigError(f"batch_size and threads must be at least 1; found {batch_size} and {threads}.")
        check_pair(net, loss)
        check_parameters(net, optimizer)
        self.net, self.loss, self.optimizer = net, loss, optimizer
        self.callbacks = recipe(optimizer) if callbacks is None else list(callbacks)
        self._failed: set[int] = set()  # reporting callbacks that failed and are skipped
        self.train: Any = None
        self.shards: Any = None
        self.patterns: Any = None
        self.epochs = 0
        self.batch_size, self.threads, self.distort, self.ranks = batch_size, threads, distort, ranks
        self.rng = rng if rng is not None else np.random.default_rng(0)
        self.epoch = self.position = self.errors = 0
        self._estimated = -1  # epoch for which the current curvatures were computed
        self.loss_sum = 0.0
        self.history = History()
        self.stop = False
        self._epoch_state = self.rng.bit_generator.state
        self._epoch_seed = 0

    def fit(self, train: Dataset, *, epochs: int = 20) -> History:
        """Train until `epochs` epochs are complete, or `stop` is set.

        Parameters
        ----------
        train : Dataset
            Training set, whose labels must be classes of the network.
        epochs : int
            Total number of epochs, including those completed before a resume (default: 20, as in the paper).

        Returns
        -------
        History
            `history`, a list of dicts with ``epoch`` (counted from 1), ``loss`` and ``train_error`` (measured during
            training and in training mode, as in the paper's Fig. 5), and values added by callbacks. The network
            is left in evaluation mode.

        Raises
        ------
        ShapeError
            If the labels are not classes of the network, or the images do not fit its input field.
        CheckpointError
            If the restored `position` is beyond the end of the training set.
        DivergenceError
            If a callback detects divergence.
        """
        if isinstance(train, Dataset):  # LeNet5Classifier passes its own type of training set
            train = self.net.relabelled(train)
        check_data(self.net, train)
        if isinstance(train, Dataset) and not self.net.learned.classes:
            self.net.remember(train)
        if self.position > len(train):
            raise CheckpointError(f"{train} is too small to resume at pattern {self.position:,}. Use the same data.")
        self.train, self.epochs, self.stop = train, epochs, False
        for callback in self.callbacks:
            for hook in ("on_pass_begin", "on_pass_end"):
                if hasattr(callback, hook):
                    now = hook.replace("pass", "epoch")
                    raise ConfigError(f"{type(callback).__name__}.{hook} is never called: rename it to {now}.")
        self.shards = Shards(self.net, self.loss, threads=self.threads, ranks=self.ranks)
        self.patterns = patterns_of(train, self.distort)
        theta, trained = self.net.theta, self.optimizer.params.value
        whole = np.may_share_memory(trained, theta) and trained.size == theta.size
        self._one_by_one = self.batch_size == 1 and self.shards.steps and whole
        # Multithreaded BLAS would change the rounding, and would slow down such small matrix products.
        limits = threadpool_limits(1, user_api="blas")
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # callbacks detect divergence, so NumPy need not warn
                self._fit(len(train))
        finally:
            limits.restore_original_limits()
            self.patterns.close()
            self.shards.close()
            self.net.eval()
        return self.history

    def _fit(self, n: int) -> None:
        self._call("on_train_begin")
        while self.epoch < self.epochs and not self._stopping():
            self._begin_epoch()
            while self.position < n and not self._stopping():
                # Choose the kind of update each time, because `rates_of_plain_step` may return None in some epochs.
                self.shards.key = self._epoch_seed, self.position
                rates = self.optimizer.rates_of_plain_step() if self._one_by_one else None
                self._update_on_batch() if rates is None else self._update_one_by_one(rates)
                self._call("on_batch_end")
            if self.position == n:
                self._end_epoch(n)
        self._call("on_train_end")

    def _stopping(self) -> bool:
        """Return whether training must stop; all ranks stop after the same update."""
        return self.stop if self.ranks is None else self.ranks.agreed(self.stop)

    def _update_on_batch(self) -> None:
        """Update the parameters once, with the gradient on the next batch."""
        images, labels = self.patterns.take(self.position, self.position + self.batch_size)
        loss, errors = self.shards.gradient(images, labels)
        self.optimizer.step()
        self.net.parameters().hold()  # a custom optimiser might change pruned weights; reset them to 0
        self._count(self.loss_sum + loss, errors, len(labels))

    def _update_one_by_one(self, rates: np.ndarray) -> None:
        """Run single-pattern updates in compiled code, up to the next multiple of ROUND."""
        images, labels = self.patterns.take(self.position, (self.position // ROUND + 1) * ROUND)
        loss_sum, errors = self.shards.step(images, labels, rates, self.loss_sum)
        self._count(loss_sum, errors, len(labels))

    def _count(self, loss_sum: float, errors: int, patterns: int) -> None:
        self.loss_sum = loss_sum
        self.errors += errors
        self.position += patterns

    def _estimate_curvature(self) -> None:
        """Compute the curvatures for the optimiser, unless those for this epoch were restored from a checkpoint."""
        if not self.optimizer.curvature_patterns:
            return
        n = len(self.train)
        sample = self.rng.choice(n, min(self.optimizer.curvature_patterns, n), replace=False)
        if self.position == 0 and self._estimated != self.epoch:
            self.shards.curvature(*self.patterns.sample(sample))
            self.optimizer.observe()
            self._estimated = self.epoch

    def _begin_epoch(self) -> None:
        if self.position == 0:
            self._epoch_state = self.rng.bit_generator.state
        else:  # resumed within an epoch: repeat the random draws made at its start
            self.rng.bit_generator.state = self._epoch_state
        self.patterns.begin(self.rng, self.position)
        if self.net.draws_at_random:  # an unneeded draw would change the results of other networks
            self._epoch_seed = int(self.rng.integers(1 << 32))
        self.shards.key = self._epoch_seed, self.position
        self._estimate_curvature()
        self._call("on_epoch_begin")

    def _end_epoch(self, n: int) -> None:
        record = {"epoch": self.epoch + 1, "loss": self.loss_sum / n, "train_error": self.errors / n}
        self.epoch += 1
        self.position = self.errors = 0
        self.loss_sum = 0.0
        self._epoch_state = self.rng.bit_generator.state
        self.history.append(record)
        self._call("on_epoch_end")

    def _call(self, hook: str) -> None:
        for callback in sorted(self.callbacks, key=lambda callback: callback.phase):
            if id(callback) in self._failed:
                continue
            try:
                getattr(callback, hook)(self)
            except Exception as error:  # reporting (terminal, disk, TensorBoard) can fail with any exception
                if callback.phase != Phase.REPORT:
                    raise
                self._failed.add(id(callback))
                text = f"{type(callback).__name__} failed; training continues without it: {error or repr(error)}"
                warnings.warn(text, LenetWarning, stacklevel=2)

    def _named(self) -> dict[str, Callback]:
        """Return the callbacks by unique name: the class name, with -2, -3, ... appended to further ones of a class."""
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            kind = type(callback).__name__
            number = sum(type(other).__name__ == kind for other in named.values())
            named[f"{kind}-{number + 1}" if number else kind] = callback
        return named

    def _extra_arrays(self) -> dict[str, np.ndarray]:
        named = self._named().items()
        return {f"callback/{name}/{key}": array for name, c in named for key, array in c.arrays(self).items()}

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and metadata needed to resume, as accepted by `checkpoint.save`."""
        arrays = self.net.arrays()
        optimizer = {f"optimizer/{name}": array for name, array in self.optimizer.state_dict().items()}
        arrays |= optimizer | self._extra_arrays()
        counts = {"epoch": self.epoch, "position": self.position, "loss_sum": self.loss_sum, "errors": self.errors}
        note = counts | {
            "estimated": self._estimated,
            "history": self.history,
            "random": self._epoch_state,
            "callbacks": {name: state for name, callback in self._named().items() if (state := callback.state())},
        }
        return arrays, note

    def load_state(self, arrays: dict[str, np.ndarray], note: dict[str, Any]) -> None:
        """Restore a state returned by `state`, from a trainer with the same layers, optimiser and callbacks.

        Raises
        ------
        CheckpointError
            If an entry is missing or has the wrong shape, or the metadata is inconsistent.
        """
        state = {f"optimizer/{name}": array for name, array in self.optimizer.state_dict().items()}
        checkpoint.restore_network(self.net, arrays, others=state | self._extra_arrays(), path="checkpoint", what="run")
        self.optimizer.load_state_dict({name.partition("/")[2]: array for name, array in state.items()})
        try:
            self.epoch, self.position, self.errors = (operator.index(note[k]) for k in ("epoch", "position", "errors"))
            self.loss_sum, self._estimated = float(note["loss_sum"]), operator.index(note.get("estimated", -1))
            self.history = History(renamed(record) for record in note["history"])
            self.rng.bit_generator.state = self._epoch_state = note["random"]
            for name, callback in self._named().items():
                callback.load_state(note["callbacks"].get(name, {}))
            epochs = [record["epoch"] for record in self.history]
            if self.position < 0 or len(epochs) != self.epoch or epochs != list(range(1, len(epochs) + 1)):
                raise ValueError("epoch, position and history do not agree")
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"The checkpoint's metadata is incomplete or inconsistent: {error!r}.") from error
