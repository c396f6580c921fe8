"""Registry of all tables of results that this package can reproduce."""

from .base import Column, Row, Table
from .damage import DAMAGE
from .lines import LINES
from .paper import PAPER
from .predecessors import PREDECESSORS

__all__ = ["TABLES", "Column", "Row", "Table"]

TABLES: dict[str, Table] = {table.name: table for table in (*PAPER, *LINES, DAMAGE, *PREDECESSORS)}
