"""Training on several processes or machines: the ranks of an MPI job share the shards of every batch.

Every rank holds the whole network and the same data, and computes the gradients of its shards. They are added up in
the order of `tree_sum` - in pairs of ranks where these are 2, 4, 8, ... with as many shards each, else by every
rank from what one collective gives to all - so all take the same step, and the run has the bits of one process with
the same batches. A batch of one shard is computed by all, and sends nothing.
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
_yield = getattr(os, "sched_yield", lambda: time.sleep(0))  # macOS and Windows lack it

_LAST_WORDS = "import sys; sys.stdin.buffer.read() or sys.stderr.write(sys.argv[1] + chr(10))"


class RanksLostError(LenetError):
    """The other ranks of an MPI job do not answer."""


class Ranks:
    """The processes of this MPI job; with mpi4py, which is imported here.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    neighbours : int
        Processes on this machine.
    timeout : float
        Seconds to wait for the others before `RanksLostError`; for ever unless set.

    Raises
    ------
    ConfigError
        If there is no mpi4py, or no MPI that it could use.
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                f"--distributed mpi needs mpi4py and an MPI library: pip install 'lenet5[mpi]' ({error})."
            ) from error
        self._mpi, self._all = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._all.rank, self._all.size
        self.neighbours = self._all.Split_type(MPI.COMM_TYPE_SHARED).size
        self.timeout = math.inf
        self._plans: dict[int, tuple[list[range], list[list[tuple[int, int]]], bool]] = {}
        self._rooms: dict[tuple[str, int, np.dtype], np.ndarray] = {}

    def share(self, shards: int, rank: int | None = None) -> range:
        """Return the shards of a rank, by default this one: neighbours, nearly as many for each."""
        rank = self.rank if rank is None else rank
        return range(rank * shards // self.size, (rank + 1) * shards // self.size)

    def exchange(self, sums: Sum | None, figures: np.ndarray) -> None:
        """Give every rank the sums and the figures of all.

        Parameters
        ----------
        sums : Sum, optional
            Of the vectors of this rank's shards; of all shards afterwards, finished.
        figures : ndarray of float64 (shards, ...)
            Of which this rank has filled in its shards.
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
        """Return every rank's shards and blocks, and whether all have one block alike, and are 2, 4, 8, ... ranks."""
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
        """Exchange blocks of equal size with neighbours 1, 2, 4, ... ranks away."""
        _, size, block = sums.blocks.pop()
        received, away = self._room("received", block.size, block.dtype), 1
        while away < self.size:
            partner = self.rank ^ away
            self._wait(self._all.Irecv(received, partner), self._all.Isend(block, partner))
            block += received  # left + right is right + left
            away *= 2
        sums.blocks.append((0, self.size * size, block))

    def _gather_blocks(self, sums: Sum, blocks: list[list[tuple[int, int]]]) -> None:
        """Give all blocks of every rank to all."""
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
        """Whether any rank wants to stop; all ranks get the same answer."""
        found = np.zeros(1, np.uint8)
        self._wait(self._all.Iallreduce(np.array([stop], np.uint8), found, self._mpi.MAX))
        return bool(found[0])

    @contextlib.contextmanager
    def one_by_one(self) -> Iterator[None]:
        """Run the block on rank 0 first, so that the others find its downloads and repaired folders."""
        if self.rank:
            self._wait(self._all.Ibarrier())
        yield
        if not self.rank:
            self._wait(self._all.Ibarrier())

    def meet(self) -> None:
        """Wait for all ranks."""
        self._wait(self._all.Ibarrier())

    @contextlib.contextmanager
    def last_words(self, text: str) -> Iterator[None]:
        """Print `text` on stderr if MPI kills the job inside the block, as it does when a rank has died.

        A separate process prints it, since all processes of the job are killed.
        """
        if self.rank:
            yield
            return
        words = [sys.executable, "-S", "-c", _LAST_WORDS, text]
        with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as witness:
            try:
                yield
            finally:  # an error has words of its own
                witness.communicate(b"done")

    def abort(self, code: int) -> None:
        """End all ranks, which may be waiting for this one, with an exit code; this one in any case."""
        if hasattr(signal, "SIGALRM"):  # not on Windows
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_LAST_SECONDS)  # if the network is cut, MPI itself may wait for ever
        self._all.Abort(code)

    def _room(self, name: str, length: int, dtype: np.dtype) -> np.ndarray:
        key = name, length, dtype
        if key not in self._rooms:
            self._rooms[key] = np.empty(length, dtype)
        return self._rooms[key]

    def _wait(self, *requests: Any) -> None:
        """Wait in small steps, so that Ctrl-C and SIGTERM are noticed, and others on this processor get on."""
        deadline = time.monotonic() + self.timeout
        for request in requests:
            while not request.Test():
                _yield()
                if time.monotonic() > deadline:
                    raise RanksLostError(
                        f"no word from the other ranks for {self.timeout:g} s: one of them, its machine or the network "
                        "has "
                        "failed."
                    )
