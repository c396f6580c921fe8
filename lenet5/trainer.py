"""The one training loop."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .callbacks import Callback
from .datasets import Dataset, Distortion
from .errors import CheckpointError, ShapeError
from .losses import Loss
from .network import Sequential
from .optim import Optimizer
from .shards import Shards

__all__ = ["ROUND", "Trainer"]

# Patterns that are stepped through, one by one, without coming back to Python in between.
ROUND = 100


class Trainer:
    """Stochastic gradient training: a fresh random order each pass, one update per batch.

    The paper keeps "a constant random order"; a fresh one is as good and needs no choice.

    Parameters
    ----------
    net, loss, optimizer
        What is trained.
    callbacks : iterable of Callback
        Called in order at each hook.
    batch_size : int
        Patterns per update; the paper updates after every single one.
    threads : int
        Shards of a batch that run at once; the results do not depend on it.
    distort : Distortion, optional
        Applied to all training images before each pass.
    rng : numpy.random.Generator, optional
        Draws distortions, orders and samples; default seed 0.

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
        rng: np.random.Generator | None = None,
    ) -> None:
        self.net, self.loss, self.optimizer = net, loss, optimizer
        self.callbacks = list(callbacks)
        self.batch_size, self.threads, self.distort = batch_size, threads, distort
        self.rng = rng if rng is not None else np.random.default_rng(0)
        self.epoch = self.position = self.errors = 0
        self.loss_sum = 0.0
        self.history: list[dict[str, Any]] = []
        self.stop = False
        self._pass_state = self.rng.bit_generator.state

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
            the paper's Fig. 5, and what the callbacks add.

        Raises
        ------
        ShapeError
            If the labels are not classes of the network.
        DivergenceError
            If a callback finds that training has failed.
        """
        if train.labels.max(initial=0) >= self.net.out_shape[0]:
            raise ShapeError(
                f"The network has {self.net.out_shape[0]} classes; {train.name} has labels up to {train.labels.max()}."
            )
        self.train, self.images, self.epochs = train, train.images, epochs
        self.shards = Shards(self.net, self.loss, threads=self.threads)
        # BLAS on threads of its own would change the bits, and slow down products this small.
        limits = threadpool_limits(1, user_api="blas")
        try:
            self._call("on_train_begin")
            while self.epoch < epochs and not self.stop:
                order = self._begin_pass(len(train))
                while self.position < len(order) and not self.stop:
                    self._update(order)
                    self._call("on_batch_end")
                if self.position == len(order):
                    self._end_pass(len(order))
            self._call("on_train_end")
        finally:
            limits.restore_original_limits()
            self.shards.close()
        return self.history

    def _update(self, order: np.ndarray) -> None:
        """Update on the next batch; or, one pattern at a time, on the next patterns up to a round position."""
        rates = self.optimizer.rates_of_plain_step() if self.batch_size == 1 else None
        if rates is not None:
            batch = order[self.position : (self.position // ROUND + 1) * ROUND]
            done = self.shards.step(self.images[batch], self.train.labels[batch], rates, self.loss_sum)
        if rates is None or done is None:
            batch = order[self.position : self.position + self.batch_size]
            loss, errors = self.shards.gradient(self.images[batch], self.train.labels[batch])
            self.optimizer.step()
            done = self.loss_sum + loss, errors
        self.loss_sum = done[0]
        self.errors += done[1]
        self.position += len(batch)

    def _begin_pass(self, n: int) -> np.ndarray:
        if self.position == 0:
            self._pass_state = self.rng.bit_generator.state
        else:  # resumed within a pass: draw again what was drawn at its beginning
            self.rng.bit_generator.state = self._pass_state
        if self.distort:
            self.images = self.distort(self.train.images, self.rng)
        order = self.rng.permutation(n)
        self._call("on_pass_begin")
        return order

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
        arrays = {f"parameter/{p.name}": p.value for p in self.net.parameters()}
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
        split: dict[str, dict[str, np.ndarray]] = {"parameter": {}, "optimizer": {}}
        for name, array in arrays.items():
            kind, _, rest = name.partition("/")
            split.setdefault(kind, {})[rest] = array
        own = {p.name: p.value for p in self.net.parameters()}
        if own.keys() != split["parameter"].keys():
            raise CheckpointError(
                f"The checkpoint has parameters {sorted(split['parameter'])}; expected {sorted(own)}."
            )
        self.optimizer.load_state_dict(split["optimizer"])
        for name, value in own.items():
            value[...] = split["parameter"][name]
        try:
            self.epoch, self.position, self.errors = (int(note[k]) for k in ("epoch", "position", "errors"))
            self.loss_sum, self.history = float(note["loss_sum"]), list(note["history"])
            self.rng.bit_generator.state = self._pass_state = note["random"]
            for callback in self.callbacks:
                callback.load_state(note["callbacks"].get(type(callback).__name__, {}))
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"The note of the checkpoint is incomplete: {error!r}.") from error
