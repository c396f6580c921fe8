"""Training on several processes or machines: the ranks of an MPI job share the shards of every batch.

Every rank holds the whole network and the same data, and computes the gradients of its shards. The gradients are added
in the order of `tree_sum`, so all ranks take the same step, and the run is bit-identical to a single process with the
same batches. If the number of ranks and the number of shards per rank are powers of two, ranks exchange sums in pairs;
otherwise, one collective operation sends all blocks to all ranks. If a batch has a single shard, every rank computes
it, and nothing is sent.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np

from ..errors import ConfigError, LenetError
from .tree_sum import Sum, blocks_of

__all__ = ["Ranks", "RanksLostError"]

_LAST_SECONDS = 10
_yield = getattr(os, "sched_yield", lambda: time.sleep(0))  # not available on macOS and Windows

_LAST_WORDS = "import sys; sys.stdin.buffer.read() or sys.stderr.write(sys.argv[1] + chr(10))"


class RanksLostError(LenetError):
    """The other ranks of an MPI job do not respond."""


class Ranks:
    """The processes of this MPI job; requires mpi4py.

    Attributes
    ----------
    rank, size : int
        Index of this process, from 0, and number of processes in the job.
    neighbours : int
        Number of processes on this machine.
    timeout : float
        Time in seconds to wait for other ranks before `RanksLostError` is raised. Default: unlimited.

    Raises
    ------
    ConfigError
        If mpi4py or an MPI library is not installed.
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                f"--distributed mpi needs mpi4py and an MPI library: pip install 'lenet5-numpy[mpi]' ({error})."
            ) from error
        self._mpi, self._all = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._all.rank, self._all.size
        self.neighbours = self._all.Split_type(MPI.COMM_TYPE_SHARED).size
        self.timeout = math.inf
        self._plans: dict[int, tuple[list[range], list[list[tuple[int, int]]], bool]] = {}
        self._rooms: dict[tuple[str, int, np.dtype], np.ndarray] = {}

    def share(self, shards: int, rank: int | None = None) -> range:
        """Return the consecutive shards of a rank (default: this rank); shards are divided as evenly as possible."""
        rank = self.rank if rank is None else rank
        return range(rank * shards // self.size, (rank + 1) * shards // self.size)

    def exchange(self, sums: Sum | None, figures: np.ndarray) -> None:
        """Combine the sums and results of all ranks; afterwards, every rank has the totals and all results.

        Parameters
        ----------
        sums : Sum, optional
            Sum over this rank's shards, which is replaced by the sum over all shards.
        figures : ndarray of float64 (shards, ...)
            Results per shard. The caller has filled in those of this rank's shards; the others are received.
        """
        shares, blocks, alike = self._plan(len(figures))
        self._gather_figures(figures, shares)
        if sums is None:
            return
        if alike:
            self._add_in_pairs(sums)
        else:
            self._gather_blocks(sums, blocks)
        sums.finish()

    def _plan(self, shards: int) -> tuple[list[range], list[list[tuple[int, int]]], bool]:
        """Return every rank's shards and blocks (see `tree_sum`), and whether ranks can add their sums in pairs.

        They can if their number is a power of two and every rank has a single block, all of the same size.
        """
        if shards not in self._plans:
            shares = [self.share(shards, rank) for rank in range(self.size)]
            blocks = [blocks_of(share) for share in shares]
            sizes = {tuple(size for _, size in own) for own in blocks}
            alike = self.size & (self.size - 1) == 0 and sizes == {(len(shares[0]),)}
            self._plans[shards] = shares, blocks, alike
        return self._plans[shards]

    def _gather_figures(self, figures: np.ndarray, shares: list[range]) -> None:
        width, mine = figures[0].size, shares[self.rank]
        own, everyone = np.zeros((self._longest(shares), width)), np.empty((self.size, self._longest(shares), width))
        own[: len(mine)] = figures[mine.start : mine.stop]
        self._wait(self._all.Iallgather(own, everyone))
        for share, part in zip(shares, everyone, strict=True):
            figures[share.start : share.stop] = part[: len(share)]

    def _add_in_pairs(self, sums: Sum) -> None:
        """Exchange and add blocks of equal size with ranks at distances 1, 2, 4, ..."""
        _, size, block = sums.blocks.pop()
        received, away = self._room("received", block.size, block.dtype), 1
        while away < self.size:
            partner = self.rank ^ away
            self._wait(self._all.Irecv(received, partner), self._all.Isend(block, partner))
            block += received  # addition of two terms is commutative, even in floating point
            away *= 2
        sums.blocks.append((0, self.size * size, block))

    def _gather_blocks(self, sums: Sum, blocks: list[list[tuple[int, int]]]) -> None:
        """Send all blocks of every rank to all ranks, and add them up."""
        length = self._longest(blocks)
        own = self._room("own", length * sums.length, sums.dtype).reshape(length, -1)
        everyone = self._room("everyone", self.size * own.size, sums.dtype).reshape(self.size, length, -1)
        for k, (_, _, block) in enumerate(sums.blocks):
            own[k] = block
        self._wait(self._all.Iallgather(own, everyone))
        sums.clear()
        for found, received in zip(blocks, everyone, strict=True):
            for (first, size), block in zip(found, received, strict=False):
                sums.add(first, block, size)

    @staticmethod
    def _longest(lists: Sequence[Sized]) -> int:
        return max(map(len, lists))

    def agreed(self, stop: bool) -> bool:
        """Return whether any rank wants to stop; all ranks get the same answer."""
        found = np.zeros(1, np.uint8)
        self._wait(self._all.Iallreduce(np.array([stop], np.uint8), found, self._mpi.MAX))
        return bool(found[0])

    @contextlib.contextmanager
    def one_by_one(self) -> Iterator[None]:
        """Run the block on rank 0 first, so that downloads and repairs are complete before the other ranks run it."""
        if self.rank:
            self._wait(self._all.Ibarrier())
        yield
        if not self.rank:
            self._wait(self._all.Ibarrier())

    def meet(self) -> None:
        """Wait until all ranks have called this method."""
        self._wait(self._all.Ibarrier())

    @contextlib.contextmanager
    def last_words(self, text: str) -> Iterator[None]:
        """Print `text` to stderr if MPI kills the job within the block, which happens if a rank dies.

        A separate process prints it, because all processes of the job are killed.
        """
        if self.rank:
            yield
            return
        words = [sys.executable, "-S", "-c", _LAST_WORDS, text]
        with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as witness:
            try:
                yield
            finally:  # exceptions are reported separately
                witness.communicate(b"done")

    def abort(self, code: int) -> None:
        """Abort all ranks with exit code `code`, because they may be waiting for this one.

        This process ends even if MPI hangs.
        """
        if hasattr(signal, "SIGALRM"):  # not on Windows
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_LAST_SECONDS)  # if the connection is down, MPI itself may wait forever
        self._all.Abort(code)

    def _room(self, name: str, length: int, dtype: np.dtype) -> np.ndarray:
        key = name, length, dtype
        if key not in self._rooms:
            self._rooms[key] = np.empty(length, dtype)
        return self._rooms[key]

    def _wait(self, *requests: Any) -> None:
        """Wait in small steps, so that Ctrl-C and SIGTERM are handled and other ranks on the same core can run."""
        deadline = time.monotonic() + self.timeout
        for request in requests:
            while not request.Test():
                _yield()
                if time.monotonic() > deadline:
                    raise RanksLostError(
                        f"no response from other ranks for {self.timeout:g} s: one of them, its machine or the network "
                        "has failed."
                    )
