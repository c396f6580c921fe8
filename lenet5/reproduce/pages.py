"""Tables as Markdown and pictures: others' figures beside the mean, interval and spread of ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.metrics import interval
from ..files import atomic_write
from .base import Column, Row, Table
from .jobs import read_record, recipe

__all__ = ["join", "write"]


def write(table: Table, out: Path) -> None:
    """Write ``table.md`` and, if there are epochs, the pictures of one table."""
    found = _found(table, out)
    with atomic_write(out / table.name / "table.md", text=True) as file:
        file.write(_markdown(table, found, level=1))
    if any(record["history"] for _, records in found for record in records):
        from .. import plots

        runs = {row.label: [record["history"] for record in records] for row, records in found}
        title = f"{table.name} on {_datasets(found)}"
        for key, name in _pictures(table).items():
            drawn = plots.pruned(runs, title=title) if key == "kept" else plots.compared(runs, key=key, title=title)
            plots.save(drawn, out / table.name / name)


def join(tables: Sequence[Table], out: Path) -> str:
    """Write all tables to ``report.md``, and return its text."""
    parts = [
        "# Results\n\nMade by `python -m lenet5.reproduce report` from the records beside it.\n",
        _summary(tables, out),
    ]
    for table in tables:
        text = _markdown(table, _found(table, out), level=2)
        for key, name in _pictures(table).items():
            if (out / table.name / name).exists():
                drawn = "Loss and test error against parameters" if key == "kept" else f"{key} against passes"
                text += f"\n![{drawn.replace('_', ' ')}]({table.name}/{name})\n"
        parts.append(text)
    text = "\n".join(parts)
    with atomic_write(out / "report.md", text=True) as file:
        file.write(text)
    return text


def _pictures(table: Table) -> dict[str, str]:
    """Return the file of each curve."""
    return {key: f"{key.replace('_', '-')}.png" if k else "curves.png" for k, key in enumerate(table.curves)}


def _summary(tables: Sequence[Table], out: Path) -> str:
    """Return one table of the first figure of every row that others have a figure for."""
    lines = ["## In one table", "", "Every row that others have a figure for; below are all rows and figures.", ""]
    lines += [_line(["table", "row", "figure", "theirs", "ours", "runs"]), _line(["---"] * 6)]
    for table in tables:
        for row, records in _found(table, out):
            theirs = _theirs(table, row, records)
            for column in [c for c in table.columns if c.heading in theirs][:1]:
                figures = [theirs[column.heading], _figure(row, column, records), str(len(records) or "not run")]
                lines.append(_line([table.name, row.label, column.heading, *figures]))
    return "\n".join(lines) + "\n"


def _theirs(table: Table, row: Row, records: list[dict[str, Any]]) -> Mapping[str, str]:
    """Return others' figures, unless ours are of another data set or a quick run, where they would mislead."""
    like = all(record["dataset"] == (row.dataset or table.dataset) and not record.get("quick") for record in records)
    return row.theirs if like else {}


def _found(table: Table, out: Path) -> list[tuple[Row, list[dict[str, Any]]]]:
    """Return the finished runs of each row as it is now, in the order of their seeds."""
    read = (read_record(path) for path in (out / table.name).glob("*-seed-*.json"))
    records = sorted((r for r in read if r is not None), key=lambda record: record["seed"])
    found = []
    for row in table.rows:
        own = [record for record in records if (record["row"], record["recipe"]) == (row.label, recipe(row))]
        # Of one data set: that of the newest, where there are runs on another one that had stood in for it.
        newest = max(own, key=lambda record: record["date"])["dataset"] if own else ""
        found.append((row, [record for record in own if record["dataset"] == newest]))
    return found


def _markdown(table: Table, found: list[tuple[Row, list[dict[str, Any]]]], *, level: int) -> str:
    theirs = [column for column in table.columns if any(column.heading in row.theirs for row in table.rows)]
    heads = [""]
    for column in table.columns:
        heads += [f"{column.heading}: theirs", "ours"] if column in theirs else [column.heading]
    heads += ["runs", "minutes each", "what differs"]
    lines = [f"{'#' * level} {table.title}", "", table.text, "", _line(heads), _line(["---"] * len(heads))]
    for row, records in found:
        cells = [row.label]
        for column in table.columns:
            cells += [_theirs(table, row, records).get(column.heading, "")] if column in theirs else []
            cells.append(_figure(row, column, records))
        minutes = f"{np.mean([_seconds(r) for r in records]) / 60:.1f}" if records else ""
        lines.append(_line([*cells, str(len(records) or "not run"), minutes, row.note]))
    records = [record for _, some in found for record in some]
    if records:
        commits = {_short(record.get("commit")) for record in records}
        hours = sum({record["key"]: _seconds(record) for record in records}.values()) / 3600
        # Those of before there was a better clock are wall time, which other work on the machine stretches.
        clock = "processor" if all("processor_seconds" in record for record in records) else "wall"
        quick = " --quick" if records[0].get("quick") else ""
        date, machine = min(record["date"] for record in records)[:10], records[0]["machine"]
        lines += [
            "",
            "Ours: mean ± half-width of its 95 % t interval (s.d.) over seeds 0, 1, ... at the last pass, on "
            f"{_datasets(found)}. "
            f"`python -m lenet5.reproduce run {table.name}{quick}`, {date}, commit {', '.join(sorted(commits))}, "
            f"{machine}; {hours:.1f} hours of {clock} time.",
        ]
    return "\n".join(lines) + "\n"


def _short(commit: str | None) -> str:
    """Abbreviate a commit, but not the word that the tree was changed."""
    return "unknown" if commit is None else commit[:7] + ("-dirty" if commit.endswith("-dirty") else "")


def _seconds(record: dict[str, Any]) -> float:
    """Return the processor time of a run, or its wall time."""
    return record.get("processor_seconds", record["seconds"])


def _datasets(found: list[tuple[Row, list[dict[str, Any]]]]) -> str:
    sets = {
        f"{record['dataset']} ({record['test_images']:,} test images)" for _, records in found for record in records
    }
    return ", ".join(sorted(sets))


def _figure(row: Row, column: Column, records: list[dict[str, Any]]) -> str:
    """Return mean, half-width of its 95 % interval, and s.d., such as "0.99 % ± 0.07 (0.06)"."""
    key, _, when = row.keys.get(column.heading, column.key).partition("@")
    passes = [{entry["epoch"]: entry for entry in record["history"]} for record in records]
    found = [history.get(int(when), {}) for history in passes] if when else [record["result"] for record in records]
    values = [entry.get(key) for entry in found]
    known = [value for value in values if value is not None]
    if not known:
        return "-" if records else ""
    percent = column.form.endswith("%")
    factor, form, unit = (100, column.form[:-1] + "f", " %") if percent else (1, column.form, "")
    scaled = factor * np.array(known)
    text = f"{scaled.mean():{form}}{unit}"
    if len(scaled) > 1 and scaled.std() > 0:
        text += f" ± {interval(scaled):{form}} ({scaled.std(ddof=1):{form}})"
    return text if len(known) == len(values) else f"{text}, {len(values) - len(known)} without"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
