"""Definition of tables: rows of runs, columns of figures, and the figures of others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ACCURACY", "ERROR", "PASSES", "TRAINING", "Column", "Row", "Table"]


@dataclass(frozen=True)
class Column:
    """One figure of every run.

    Parameters
    ----------
    heading : str
        Also the key of the others' figure in `Row.theirs`.
    key : str
        In the ``result`` of a run's record; of "test_error@3" in the history of its third pass.
    form : str
        Format of a value; of "%" formats means and spreads are given in per cent.
    """

    heading: str
    key: str
    form: str = ".2%"


ERROR = Column("test error", "test_error")
TRAINING = Column("training error", "train_error")
ACCURACY = Column("test accuracy", "test_accuracy")
PASSES = Column("passes", "epoch", ".0f")


@dataclass(frozen=True)
class Row:
    """One recipe, run with several seeds.

    Parameters
    ----------
    label : str
    config : mapping
        Options of a `TrainConfig`, nested.
    theirs : mapping of str to str
        Heading of a column -> what others found, as they print it.
    note : str
        A sentence: how this differs from what they did, and why the figures do.
    classifier : str
        Key of `classifiers.CLASSIFIERS`, in place of a network.
    committee : tuple of Row and int, optional
        The networks of that row's first so many seeds, answering together, in place of training. That row keeps them.
    keep : bool
        Write the trained networks beside their records.
    network : str
        Key of `networks.NETWORKS`, in place of the configuration's.
    images : str
        Key of `images.IMAGES`: a change of all images, of training and test set alike.
    variant : str
        Key of `variants.VARIANTS`: a change of the trainer that no configuration can make.
    measures : tuple of str
        Keys of `measures.MEASURES` and `neighbours.MEMORIES`, taken after training, and of `measures.WATCHERS`, taken
        after each pass. Of a classifier: "rejected" or nothing.
    keys : mapping of str to str
        Heading of a column -> key in the ``result``, where this row's is another than the column's.
    seeds : int, optional
        At most so many; for what is deterministic, or dear.
    dataset : str
        In place of the table's.
    """

    label: str
    config: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    classifier: str = ""
    committee: "tuple[Row, int] | None" = None
    keep: bool = False
    network: str = ""
    images: str = ""
    variant: str = ""
    measures: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    seeds: int | None = None
    dataset: str = ""


@dataclass(frozen=True)
class Table:
    """A table or figure.

    Parameters
    ----------
    name, title, text : str
    rows : tuple of Row
    columns : tuple of Column
    dataset : str
    curves : tuple of str
        Keys of the history that are drawn against passes: the first as ``curves.png``, others under their names. Of
        "kept" loss and error are drawn against the parameters that are left.
    """

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...] = (ERROR,)
    dataset: str = "mnist"
    curves: tuple[str, ...] = ("test_error",)
