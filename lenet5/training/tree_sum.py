"""Add vectors in a fixed order, regardless of the number of processes that share the work.

The terms are the leaves of a binary tree. Blocks of 1, 2, 4, ... consecutive terms whose first index is a multiple of
their size are added in pairs; the remaining blocks are added from right to left. A process that has consecutive terms
can add up the blocks within them, and a process that receives all blocks can complete the sum. The result is
bit-identical to that of a single process.
"""

import numpy as np

__all__ = ["Sum", "blocks_of"]


class Sum:
    """Sum of vectors, added in an order that depends only on their indices.

    Parameters
    ----------
    total : ndarray (n,)
        Array for the result of `finish`; it is also used for intermediate sums.

    Attributes
    ----------
    dtype : numpy dtype
    length : int
        Length of each vector.
    blocks : list of (int, int, ndarray)
        Index of the first term, number of terms and sum of each block so far, from left to right.
    """

    def __init__(self, total: np.ndarray) -> None:
        self.total, self.dtype, self.length = total, total.dtype, total.size
        self._free: list[np.ndarray] = []
        self.blocks: list[tuple[int, int, np.ndarray]] = []

    def clear(self) -> None:
        """Discard all terms, but keep the allocated memory."""
        self._free += [block for _, _, block in self.blocks[1:]]
        self.blocks.clear()

    def add(self, first: int, term: np.ndarray, size: int = 1) -> None:
        """Add the term with index `first`, or the sum of a block of `size` terms that starts at `first`."""
        if not self._ends_beside(first, size):
            room = self.total if not self.blocks else self._free.pop() if self._free else np.empty_like(self.total)
            room[...] = term
            self.blocks.append((first, size, room))
            return
        block = term
        while self._ends_beside(first, size):
            first, size, left = self.blocks[-1][0], 2 * size, self.blocks.pop()[2]
            left += block
            if block is not term:
                self._free.append(block)
            block = left
        self.blocks.append((first, size, block))

    def finish(self) -> None:
        """Add up the remaining blocks; the result is in `total`."""
        while len(self.blocks) > 1:
            block = self.blocks.pop()[2]
            self.blocks[-1][2][...] += block
            self._free.append(block)
        self.blocks.clear()

    def _ends_beside(self, first: int, size: int) -> bool:
        """Return whether a block of `size` terms that starts at `first` can be paired with the last block."""
        return bool(self.blocks) and self.blocks[-1][:2] == (first - size, size) and (first - size) % (2 * size) == 0


def blocks_of(terms: range) -> list[tuple[int, int]]:
    """Split a range of terms into blocks; return the first index and the size of each block."""
    found, first = [], terms.start
    while first < terms.stop:
        size = 1 << (terms.stop - first).bit_length() - 1
        size = min(size, first & -first) if first else size
        found.append((first, size))
        first += size
    return found
