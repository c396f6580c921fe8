"""Classes `Table`, `Row` and `Column`, which define tables of our results next to published ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ACCURACY", "ERROR", "PASSES", "TRAINING", "Column", "Row", "Table"]


@dataclass(frozen=True)
class Column:
    """Column of a table: a quantity from the result of each run.

    Parameters
    ----------
    heading : str
        Heading of the column, and key of the published result in `Row.theirs`.
    key : str
        Key in the ``result`` of a run's record. "test_error@3" means "test_error" after epoch 3.
    form : str
        Format of a value. If it ends in "%", values are shown as percentages.
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
    """Row of a table: one recipe, run with several seeds.

    Parameters
    ----------
    label : str
        Name of the row.
    config : mapping
        Nested options of a `TrainConfig`.
    theirs : mapping of str to str
        Heading of a column -> published result, in its authors' format.
    note : str
        Note on the differences from the published method, and on the reasons for different results.
    classifier : str
        Key of `classifiers.CLASSIFIERS`, to train a classifier instead of a network.
    committee : tuple of Row and int, optional
        A row whose networks are saved (`keep`), and the number of its seeds. These networks are combined, and no
        network is trained.
    keep : bool
        Whether to save the trained networks next to their records.
    network : str
        Key of `networks.NETWORKS`, for a network that replaces the one of `config`.
    images : str
        Key of `images.IMAGES`, for a transformation of all training and test images.
    variant : str
        Key of `variants.VARIANTS`, for a change of the trainer that no option provides.
    measures : tuple of str
        Quantities to measure: keys of `measures.MEASURES` and `neighbours.MEMORIES` (after training), and of
        `measures.WATCHERS` (after each epoch). Classifiers support only "rejected".
    keys : mapping of str to str
        Heading of a column -> key in the ``result`` of a record, if it differs from `Column.key`.
    seeds : int, optional
        Maximum number of runs, for deterministic or expensive rows.
    dataset : str
        Data set of the row, if it differs from that of the table.
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
    """A table or figure to reproduce.

    Parameters
    ----------
    name : str
        Name of the table in commands and folders.
    title : str
        Heading of the page.
    text : str
        Introduction of the page.
    rows : tuple of Row
        Rows of the table.
    columns : tuple of Column
        Columns of the table.
    dataset : str
        Name of the data set.
    curves : tuple of str
        Keys of the history to draw as a function of the epoch. The first is drawn in ``curves.png``, the others in
        files named after their keys. "kept" draws loss and error as a function of the number of parameters.
    """

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...] = (ERROR,)
    dataset: str = "mnist"
    curves: tuple[str, ...] = ("test_error",)
