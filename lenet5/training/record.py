"""History of a training run: one record per epoch, which can be printed as a table or plotted."""

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["History"]

# Columns of the printed table, with the format of their values.
_COLUMNS = {
    "epoch": "{:d}", "kept": "{:,d}", "lr": "{:.1e}", "loss": "{:.4f}", "train_error": "{:.2%}",
    "validation_loss": "{:.4f}", "validation_error": "{:.2%}", "test_loss": "{:.4f}", "test_error": "{:.2%}",
    "seconds": "{:.1f}",
}  # fmt: skip


class History(list[dict[str, Any]]):
    """Records of the epochs in order: a list of dictionaries, suitable for `json.dump` and `pandas.DataFrame`.

    ``history["test_error"]`` is the list of the test errors of all epochs.

    Attributes
    ----------
    data, net : str
        Names of the data set and the network, for the title of `plot`.
    """

    data = net = ""

    @overload  # type: ignore[override]
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    def __getitem__(self, key: int | slice | str) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if self and not any(key in record for record in self):
            raise KeyError(f"no column {key!r}; the columns are {', '.join(self[-1])}")
        return [record.get(key) for record in self]

    def rows(self) -> list[list[str]]:
        """Return the history as a table of text cells: a row of headings, then one row per epoch."""
        shown = [name for name in _COLUMNS if any(record.get(name) is not None for record in self)]
        cells = [
            ["" if record.get(name) is None else _COLUMNS[name].format(record[name]) for name in shown]
            for record in self
        ]
        return [[name.replace("_", " ") for name in shown], *cells]

    def __str__(self) -> str:
        rows = self.rows()
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, wide, strict=True)) for row in rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = self.rows()
        text = "".join(f"<th>{cell}</th>" for cell in head)
        lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{text}</tr></thead><tbody>{lines}</tbody></table>"

    def plot(self) -> "Figure":
        """Plot the errors against the epoch; see `lenet5.plots.learning_curves`."""
        from ..plots import learning_curves

        return learning_curves({"one run": self}, data=self.data, net=self.net)
