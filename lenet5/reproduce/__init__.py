"""Reproduce tables and figures of the paper and of four earlier projects, with several seeds."""

from .sweep import report, run
from .tables import TABLES, Column, Row, Table

__all__ = ["TABLES", "Column", "Row", "Table", "report", "run"]
