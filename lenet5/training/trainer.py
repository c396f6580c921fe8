"""The one training loop."""

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..datasets import Dataset, Distortion
from ..datasets.shuffle import patterns_of
from ..errors import CheckpointError, ConfigError, ShapeError
from ..losses import Loss
from ..network import Sequential
from ..optim import Optimizer
from . import checkpoint
from .callbacks import Callback
from .shards import Shards

if TYPE_CHECKING:
    from .mpi import Ranks

__all__ = ["ROUND", "Trainer"]

# Patterns that are stepped through, one by one, without coming back to Python in between.
ROUND = 100


class Trainer:
    """Stochastic gradient training: a fresh random order each pass, one update per batch.

    The paper keeps "a constant random order"; a fresh one is as good and needs no choice. Images that are
    mapped from a file stay there, and are shuffled in blocks: see `datasets.blocks`.

    Parameters
    ----------
    net, loss, optimizer
        What is trained.
    callbacks : iterable of Callback
        Called in order at each hook.
    batch_size : int
        Patterns per update; the paper updates after every single one.
    threads : int
        Shards of a batch that run at once; the results do not depend on it. Of no use to the gradients of
        a network with `BatchNorm`, which are taken of the batch as a whole.
    distort : Distortion, optional
        Applied to all training images before each pass; to mapped ones group by group.
    ranks : Ranks, optional
        Processes that train the same network on the same data together, each of which calls `fit`; the results do not
        depend on it.
    rng : numpy.random.Generator, optional
        Draws distortions, orders, samples and what `Dropout` drops; default seed 0.

    Attributes
    ----------
    epoch : int
        Passes completed.
    position : int
        Patterns of the current pass that are done.
    history : list of dict
        One record per completed pass.
    stop : bool
        Set it, from a hook or a signal handler, to end after the current update.
    """

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        callbacks: Iterable[Callback] = (),
        *,
        batch_size: int = 1,
        threads: int = 1,
        distort: Distortion | None = None,
        ranks: "Ranks | None" = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        if batch_size < 1 or threads < 1:
            raise ConfigError(f"batch_size and threads are at least 1; found {batch_size} and {threads}.")
        self.net, self.loss, self.optimizer = net, loss, optimizer
        self.callbacks = list(callbacks)
        self.batch_size, self.threads, self.distort, self.ranks = batch_size, threads, distort, ranks
        self.rng = rng if rng is not None else np.random.default_rng(0)
        self.epoch = self.position = self.errors = 0
        self.loss_sum = 0.0
        self.history: list[dict[str, Any]] = []
        self.stop = False
        self._pass_state = self.rng.bit_generator.state
        self._pass_seed = 0

    def fit(self, train: Dataset, *, epochs: int) -> list[dict[str, Any]]:
        """Train until `epochs` passes are complete, or `stop` is set.

        Parameters
        ----------
        train : Dataset
            Its labels must be classes of the network.
        epochs : int
            In all, passes of a resumed run included.

        Returns
        -------
        list of dict
            `history`: ``pass`` counted from 1, ``loss`` and ``train_error`` measured on the fly, as in
            the paper's Fig. 5 (in the training state: with `Dropout`, of what it left), and what the
            callbacks add. The network is left in the evaluating state.

        Raises
        ------
        ShapeError
            If the labels are not classes of the network.
        CheckpointError
            If a restored position lies outside of the training set.
        DivergenceError
            If a callback finds that training has failed.
        """
        if train.labels.max(initial=0) >= self.net.out_shape[0]:
            raise ShapeError(
                f"The network has {self.net.out_shape[0]} classes; {train.name} has labels up to {train.labels.max()}."
            )
        if self.position > len(train):
            raise CheckpointError(f"The run stopped at pattern {self.position:,} of a pass; {train} has fewer.")
        self.train, self.epochs, self.stop = train, epochs, False
        self.shards = Shards(self.net, self.loss, threads=self.threads, ranks=self.ranks)
        self.patterns = patterns_of(train, self.distort)
        theta, trained = self.net.theta, self.optimizer.params.value
        self._steps_all = self.shards.steps and np.may_share_memory(trained, theta) and trained.size == theta.size
        # BLAS on threads of its own would change the bits, and slow down products this small.
        limits = threadpool_limits(1, user_api="blas")
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # callbacks judge a run that fails
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
            self._begin_pass()
            while self.position < n and not self._stopping():
                self._update()
                self._call("on_batch_end")
            if self.position == n:
                self._end_pass(n)
        self._call("on_train_end")

    def _stopping(self) -> bool:
        """Whether to stop; of several ranks all do, after the same update."""
        return self.stop if self.ranks is None else self.ranks.agreed(self.stop)

    def _update(self) -> None:
        """Update on the next batch; or, one pattern at a time, on the next patterns up to a round position."""
        rates = self.optimizer.rates_of_plain_step() if self.batch_size == 1 and self._steps_all else None
        self.shards.key = self._pass_seed, self.position
        if rates is not None:
            images, labels = self.patterns.take(self.position, (self.position // ROUND + 1) * ROUND)
            self.loss_sum, errors = self.shards.step(images, labels, rates, self.loss_sum)
        else:
            images, labels = self.patterns.take(self.position, self.position + self.batch_size)
            loss, errors = self.shards.gradient(images, labels)
            self.optimizer.step()
            self.loss_sum += loss
        self.errors += errors
        self.position += len(labels)

    def _begin_pass(self) -> None:
        if self.position == 0:
            self._pass_state = self.rng.bit_generator.state
        else:  # resumed within a pass: draw again what was drawn at its beginning
            self.rng.bit_generator.state = self._pass_state
        self.patterns.begin(self.rng, self.position)
        if self.net.draws_at_random:  # only then: other networks' runs keep their numbers
            self._pass_seed = int(self.rng.integers(1 << 32))
        self.shards.key = self._pass_seed, self.position
        self._call("on_pass_begin")

    def _end_pass(self, n: int) -> None:
        record = {"pass": self.epoch + 1, "loss": self.loss_sum / n, "train_error": self.errors / n}
        self.epoch += 1
        self.position = self.errors = 0
        self.loss_sum = 0.0
        self._pass_state = self.rng.bit_generator.state
        self.history.append(record)
        self._call("on_pass_end")

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return all that a resumed run needs: arrays and a note, as `checkpoint.save` takes them."""
        arrays = self.net.arrays()
        arrays |= {f"optimizer/{name}": array for name, array in self.optimizer.state_dict().items()}
        note = {
            "epoch": self.epoch,
            "position": self.position,
            "loss_sum": self.loss_sum,
            "errors": self.errors,
            "history": self.history,
            "random": self._pass_state,
            "callbacks": {type(c).__name__: c.state() for c in self.callbacks if c.state()},
        }
        return arrays, note

    def load_state(self, arrays: dict[str, np.ndarray], note: dict[str, Any]) -> None:
        """Take over what `state` returned, in a trainer of the same network, optimiser and callbacks.

        Raises
        ------
        CheckpointError
            If something is missing or of another shape.
        """
        own = self.net.arrays()
        state = {f"optimizer/{name}": array for name, array in self.optimizer.state_dict().items()}
        checkpoint.restore(own | state, arrays, path="checkpoint", what="run")
        self.optimizer.load_state_dict({name.partition("/")[2]: array for name, array in state.items()})
        try:
            self.epoch, self.position, self.errors = (operator.index(note[k]) for k in ("epoch", "position", "errors"))
            self.loss_sum, self.history = float(note["loss_sum"]), [dict(record) for record in note["history"]]
            self.rng.bit_generator.state = self._pass_state = note["random"]
            for callback in self.callbacks:
                callback.load_state(note["callbacks"].get(type(callback).__name__, {}))
            passes = [record["pass"] for record in self.history]
            if self.position < 0 or len(passes) != self.epoch or passes != list(range(1, len(passes) + 1)):
                raise ValueError("passes and history do not agree")
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"The note of the checkpoint is incomplete or contradicts itself: {error!r}."
            ) from error
