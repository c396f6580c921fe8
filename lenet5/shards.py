"""Batches in shards: the same sums, and so the same bits, for any number of threads.

A batch is cut into shards of a fixed size. Each is run forward and backward on a workspace of its own
over the same parameters, and the results are added in the order of the shards.
"""

import copy
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np

from .losses import Loss
from .network import Sequential

__all__ = ["SHARD", "Shards", "cores"]

SHARD = 32

T = TypeVar("T")


def cores() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Shards:
    """Gradients, curvatures and errors of batches of any size.

    Parameters
    ----------
    net : Sequential
        Its parameters' `grad` and `hess` receive the sums.
    loss : Loss
    threads : int
        Workspaces that run at the same time. A batch of one shard runs on the caller's thread.
    """

    def __init__(self, net: Sequential, loss: Loss, *, threads: int = 1) -> None:
        self.net = net
        workspaces = [(net, loss)] + [(net.replica(), copy.copy(loss)) for _ in range(threads - 1)]
        self._workspaces = workspaces
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        params = net.parameters()
        self._total = {part: np.zeros_like(params.value) for part in ("grad", "hess")}

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()

    def gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Set `grad` of the network to that of the batch's mean loss.

        Parameters
        ----------
        images : ndarray
            What ``net.prepare`` takes, or prepared floats (N, *in_shape).
        labels : integer ndarray (N,)

        Returns
        -------
        loss : float
            Sum over the batch.
        errors : int
            Patterns whose prediction, before the update, was wrong.
        """
        return self._derivatives("grad", images, labels)

    def curvature(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Set `hess` of the network to the mean of eqs. 23 to 27 over the patterns, as `gradient` does."""
        return self._derivatives("hess", images, labels)

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Return the sum of the loss and the number of errors; no derivative is touched."""

        def measure(net: Sequential, loss: Loss, part: slice) -> tuple[float, int]:
            return _forward(net, loss, images[part], labels[part])[:2]

        results = list(self._map(measure, len(labels)))
        return sum(r[0] for r in results), sum(r[1] for r in results)

    def _derivatives(self, kind: str, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        n = len(labels)

        def differentiate(net: Sequential, loss: Loss, part: slice) -> tuple[float, int, np.ndarray, float]:
            value, errors, size = _forward(net, loss, images[part], labels[part])
            net.backward(loss.backward(), to_input=False)
            if kind == "hess":
                net.bbprop(loss.bbprop(), to_input=False)
            return value, errors, getattr(net.parameters(), kind), size / n

        if n <= SHARD:
            return differentiate(*self._workspaces[0], slice(0, n))[:2]
        total, loss_sum, error_sum = self._total[kind], 0.0, 0
        total[...] = 0
        for value, errors, flat, weight in self._map(differentiate, n):
            flat *= weight
            total += flat
            loss_sum += value
            error_sum += errors
        getattr(self.net.parameters(), kind)[...] = total
        return loss_sum, error_sum

    def _map(self, work: Callable[[Sequential, Loss, slice], T], n: int) -> Iterator[T]:
        """Yield work(net, loss, part) for each shard in order; a result holds until the next round."""
        parts = iter([slice(start, min(start + SHARD, n)) for start in range(0, n, SHARD)])
        while chunk := list(islice(parts, len(self._workspaces))):
            jobs = zip(self._workspaces, chunk, strict=False)
            if self._pool is None:
                yield from (work(net, loss, part) for (net, loss), part in jobs)
            else:
                yield from self._pool.map(lambda job: work(job[0][0], job[0][1], job[1]), jobs)


def _forward(net: Sequential, loss: Loss, images: np.ndarray, labels: np.ndarray) -> tuple[float, int, int]:
    y = net.forward(net.prepared(images))
    value = loss.forward(y, labels) * len(labels)
    return value, int((loss.predict(y) != labels).sum()), len(labels)
