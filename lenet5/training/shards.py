"""Split batches into shards, whose sums are bit-identical for any number of threads and machines.

A batch is split into shards of a fixed size. Each shard is propagated forward and backward in a workspace that uses the
network's parameters, and the results are added in an order that depends only on their number (`tree_sum`). Gradients
and curvatures are computed in training mode, everything else in evaluation mode. Layers that have compiled code
use it.

If the patterns of a batch depend on each other (batch normalisation), gradients and curvatures are not sums over
shards. They are computed for the whole batch on one thread.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..engine.jit import HAVE_NUMBA
from ..engine.row import criterion_of
from ..errors import LenetWarning
from ..files import forget
from ..losses import Loss
from ..network import Sequential
from .tree_sum import Sum
from .workers import GRADIENTS, CompiledNetwork, Layers, Stretches

if TYPE_CHECKING:
    from .mpi import Ranks

__all__ = ["SHARD", "Shards", "cores"]

SHARD = 32
# Number of shards that a thread processes per task if no gradients are computed (otherwise GRADIENTS). Larger tasks
# reduce the overhead.
RUN = 16
_FORGET = 1024  # number of shards after which the memory of mapped images is released

T = TypeVar("T")


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Shards:
    """Compute gradients, curvatures and errors of batches of any size.

    Parameters
    ----------
    net : Sequential
        Network. Gradients and curvatures are written to `grad` and `hess` of its parameters.
    loss : Loss
    threads : int
        Number of threads. A batch of a single shard runs on the caller's thread.
    ranks : Ranks, optional
        Processes that share the shards of each batch. All processes must call the same methods with the same patterns.
    use_compiled : bool
        Whether to use compiled code if possible, instead of the layers' NumPy methods.

    Attributes
    ----------
    steps : bool
        Whether `step` is available, which requires that the network and the loss are compiled.
    key : tuple of int
        Seed of the layers' random draws for the next batch; every shard appends the index of its first pattern. Set it
        before each batch; it is not modified.
    """

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        *,
        threads: int = 1,
        ranks: "Ranks | None" = None,
        use_compiled: bool = True,
    ) -> None:
        self.net, self.ranks = net, ranks
        self._sums: dict[str, Sum] = {}
        self.steps = use_compiled and net.program(training=True) is not None and criterion_of(loss) is not None
        make = CompiledNetwork if self.steps else Stretches if use_compiled else Layers
        self._workers: list[Layers] = [make(net, loss) for _ in range(threads)]
        if use_compiled and not self.steps:
            _tell_once(net, loss)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._whole = net.couples_patterns
        self.key: tuple[int, ...] = ()

    def close(self) -> None:
        """Shut down the threads."""
        if self._pool:
            self._pool.shutdown()

    def gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Set `grad` of the network to the gradient of the batch's mean loss.

        Parameters
        ----------
        images : ndarray
            Input of ``net.prepare``, or prepared floats (N, *in_shape).
        labels : integer ndarray (N,)

        Returns
        -------
        loss : float
            Sum of the losses over the batch.
        errors : int
            Number of patterns that were misclassified before the update.
        """
        return self._sum("gradient", images, labels, self.net.parameters().grad)

    def curvature(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Set `hess` of the network to the mean curvatures of the batch (eqs. 23 to 27).

        Arguments and results are those of `gradient`. The layers' running statistics are restored afterwards, because
        this is not a training step.
        """
        running = self.net.running().values()
        before = [array.copy() for array in running]
        sums = self._sum("curvature", images, labels, self.net.parameters().hess)
        for array, values in zip(running, before, strict=True):
            array[...] = values
        return sums

    def step(self, images: np.ndarray, labels: np.ndarray, rates: np.ndarray, total: float) -> tuple[float, int]:
        """Update the parameters after every pattern: value -= rates * grad. Only available if `steps` is True.

        `key` is the seed for the first pattern; its last element is incremented for each further pattern.

        Returns
        -------
        loss : float
            `total` plus the losses, added one by one, so that the result does not depend on the grouping of patterns.
        errors : int
        """
        worker = self._workers[0]
        assert isinstance(worker, CompiledNetwork)
        if self.net.parameters().pruned:
            rates = rates * self.net.parameters().kept
        return worker.step(images, labels, rates, total, self.key)

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Return the sum of the losses and the number of errors, without changing `grad` and `hess`."""
        parts, figures, mine = self._parts(len(labels), SHARD)
        work = self._map(lambda worker, part: worker.evaluate(images[part], labels[part]), parts[mine], RUN)
        for k, result in zip(range(mine.start, mine.stop), work, strict=True):
            figures[k] = result
            if k % _FORGET == 0:
                forget(images)
        if self.ranks and len(parts) > 1:
            self.ranks.exchange(None, figures)
        return _totals(figures)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the last layer's outputs (N, classes)."""
        parts = self._parts(len(images), SHARD)[0]
        return np.concatenate(list(self._map(lambda worker, part: worker.outputs(images[part]).copy(), parts, RUN)))

    def _sum(self, kind: str, images: np.ndarray, labels: np.ndarray, total: np.ndarray) -> tuple[float, int]:
        n = len(labels)
        run = GRADIENTS if self._pool else 1  # on one thread, use a single workspace, which stays in the cache
        parts, figures, mine = self._parts(n, n if self._whole else SHARD)

        def differentiate(worker: Layers, part: slice) -> tuple[float, int, np.ndarray]:
            out = worker.room[part.start // SHARD % run]
            key = (*self.key, part.start)
            return *worker.derivatives(kind, images[part], labels[part], n, out, key), out

        sums = self._sums.get(kind)
        if sums is None or sums.total is not total:
            sums = self._sums[kind] = Sum(total)
        sums.clear()
        work = self._map(differentiate, parts[mine], run)
        for k, (*result, flat) in zip(range(mine.start, mine.stop), work, strict=True):
            figures[k] = result
            sums.add(k, flat)
        if self.ranks and len(parts) > 1:
            self.ranks.exchange(sums, figures)
        else:
            sums.finish()
        return _totals(figures)

    def _parts(self, n: int, size: int) -> tuple[list[slice], np.ndarray, slice]:
        """Return the shards of n patterns, an array for their losses and errors, and this rank's slice of shards."""
        parts = [slice(start, min(start + size, n)) for start in range(0, n, max(size, 1))]
        share = self.ranks.share(len(parts)) if self.ranks and len(parts) > 1 else range(len(parts))
        return parts, np.zeros((len(parts), 2)), slice(share.start, share.stop)

    def _map(self, work: Callable[[Layers, slice], T], parts: list[slice], run: int) -> Iterator[T]:
        """Yield work(worker, part) for every shard, in order. A worker processes up to `run` shards at a time."""
        run = min(run, -(-len(parts) // len(self._workers)))
        runs = iter([parts[k : k + run] for k in range(0, len(parts), max(run, 1))])
        while chunk := list(islice(runs, len(self._workers))):
            if self._pool is None or len(chunk) == 1:
                yield from (work(self._workers[0], part) for parts in chunk for part in parts)
            else:
                for results in self._pool.map(
                    lambda worker, parts: [work(worker, p) for p in parts], self._workers, chunk
                ):
                    yield from results


def _totals(figures: np.ndarray) -> tuple[float, int]:
    """Return the total loss and number of errors of all shards; losses are added one by one in order."""
    return sum(figures[:, 0].tolist()), int(figures[:, 1].sum())


def _tell_once(net: Sequential, loss: Loss) -> None:
    """Warn, once per network, if a layer or the loss is not compiled."""
    layers: dict[str, list[str]] = {}
    for layer in net.uncompiled(training=True):
        layers.setdefault(type(layer).__name__, []).append(layer.name)
    slow = [f"{kind} ({', '.join(names)})" for kind, names in layers.items()]
    if criterion_of(loss) is None:
        slow.append(type(loss).__name__)
    if not HAVE_NUMBA or not slow or net.told:
        return
    net.told = True
    warnings.warn(
        f"No compiled version of {', '.join(slow)} exists for training, so NumPy methods are used. Updates on single "
        "patterns take about 3 times as long, and updates on batches of 64 about 1.2 times.",
        LenetWarning,
        stacklevel=4,
    )
