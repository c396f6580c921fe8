"""Connection tables, which define the maps that a convolution connects, and helpers of convolutions."""

import numpy as np

from ..errors import ConfigError

__all__ = ["TABLE_I", "folded", "pair_of", "parse_table"]

# Table I: which maps of S2 (rows 0 to 5) each map of C3 (columns 0 to 15) looks at.
# The first six take three neighbours, the next six four, three take two pairs, the last takes all.
TABLE_I = """
    X . . . X X X . . X X X X . X X
    X X . . . X X X . . X X X X . X
    X X X . . . X X X . . X . X X X
    . X X X . . X X X X . . X . X X
    . . X X X . . X X X X . X X . X
    . . . X X X . . X X X X . X X X
"""


def parse_table(table: str) -> np.ndarray:
    """Read a connection table drawn with X and . into a boolean array (C, O).

    Raises
    ------
    ConfigError
        If the rows differ in length or hold other signs.
    """
    lines = [line.split() for line in table.strip().splitlines()]
    signs = {sign for line in lines for sign in line}
    if len({len(line) for line in lines}) != 1 or not signs <= {"X", "."}:
        raise ConfigError("A connection table has rows of one length, of the signs X and . between spaces.")
    return np.array(lines) == "X"


def pair_of(value: int | tuple[int, int], what: str, *, least: int) -> tuple[int, int]:
    """Return a number twice, or a pair as it is; raise ConfigError if they are not ints of at least `least`."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ConfigError(f"{what} is an int of at least {least} or a pair of them; found {value!r}.")
    return int(pair[0]), int(pair[1])


def folded(a: np.ndarray) -> np.ndarray:
    """View (N, D, P) as (1, D, N) if there is one position (C5): one product instead of N thin ones."""
    return a.transpose(2, 1, 0) if a.shape[2] == 1 else a
