"""Connection tables: which maps a convolution connects."""

import numpy as np

from ..errors import ConfigError

__all__ = ["TABLE_I", "parse_table"]

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
