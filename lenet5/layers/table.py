"""Connection tables of convolutions, and helper functions for convolutions."""

import numpy as np

from ..errors import ConfigError

__all__ = ["TABLE_I", "folded", "pair_of", "parse_table"]

# Table I: maps of S2 (rows 0 to 5) that each map of C3 (columns 0 to 15) is connected to.
# The first six maps of C3 use three adjacent maps, the next six use four, the next three use two pairs of adjacent
# maps, and the last one uses all.
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
        If the rows differ in length or contain other characters.
    """
    lines = [line.split() for line in table.strip().splitlines()]
    signs = {sign for line in lines for sign in line}
    if len({len(line) for line in lines}) != 1 or not signs <= {"X", "."}:
        raise ConfigError(
            "A connection table must have rows of equal length, with the characters X and . separated by spaces."
        )
    return np.array(lines) == "X"


def pair_of(value: int | tuple[int, int], what: str, *, least: int) -> tuple[int, int]:
    """Return an int as a pair, or a pair unchanged; raise ConfigError unless they are ints of at least `least`."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ConfigError(f"{what} must be an int of at least {least} or a pair of such ints; found {value!r}.")
    return int(pair[0]), int(pair[1])


def folded(a: np.ndarray) -> np.ndarray:
    """View an array (N, D, P) as (1, D, N) if P is 1, as in C5, so that one matrix product replaces N small ones."""
    return a.transpose(2, 1, 0) if a.shape[2] == 1 else a
