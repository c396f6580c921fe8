"""Command ``python -m lenet5.reproduce``: list tables, run them, and combine them in a report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ..command import Parser, command, report_compiling
from ..errors import ConfigError
from ..training.shards import cores
from .sweep import report
from .sweep import run as sweep
from .tables import TABLES

__all__ = ["main"]

_EPILOG = """`list` prints the names and titles of all tables. `run NAME ...` (or `run all`) performs the missing runs
and writes OUT/NAME/ with a JSON record per run, table.md and curves.png. `report` combines all tables in OUT/report.md.
Finished runs are not repeated. Repeat the command of an interrupted sweep to resume it. To use a cluster, call
lenet5.reproduce.run(...) inside joblib.parallel_config("dask") or ("ray"). Exit codes: 0 done, 2 invalid option,
3 no data, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m lenet5.reproduce",
        positional="{list,run,report} [NAME ...]",
        description="Reproduce tables and figures of the paper and of four earlier projects.",
        epilog=_EPILOG,
    )
    parser.add_argument("what", metavar="{list,run,report}", help="action")
    parser.add_argument("names", metavar="NAME", nargs="*", help="tables to run, or all")
    parser.add_option("--seeds", type=int, default=5, metavar="N", help="number of runs per row (default: 5)")
    parser.add_switch("--quick", help="quick check with one seed, 600 images and two epochs")
    parser.add_option(
        "--jobs", type=int | None, default=None, metavar="N", help="number of parallel runs (default: all cores)"
    )
    parser.add_option("--out", default="results", metavar="DIR", help="folder for the results (default: results)")
    parser.add_option("--data-dir", type=str | None, default=None, metavar="DIR", help="folder with the data files")
    options = parser.parse(argv)
    what, names, out = options["what"], options["names"], Path(options["out"])
    if what not in ("list", "run", "report"):
        raise ConfigError(f"unknown action {what!r}: choose list, run or report.")
    if names and what != "run":
        raise ConfigError(f"{what} takes no names; found {', '.join(names)}.")
    if what == "list":
        width = max(map(len, TABLES))
        print("\n".join(f"{name:<{width}}  {len(table.rows):>2} rows  {table.title}" for name, table in TABLES.items()))
        return 0
    if what == "report":
        report(out)
        print(f"see {out / 'report.md'}")
        return 0
    if not names:
        raise ConfigError(f"run needs the names of tables, or all. The tables are {', '.join(TABLES)}.")
    if options["jobs"] is not None and options["jobs"] < 1:
        raise ConfigError(f"--jobs must be at least 1; found {options['jobs']}.")
    report_compiling()
    chosen = list(TABLES) if "all" in names else names
    sweep(
        *chosen,
        seeds=options["seeds"],
        quick=options["quick"],
        jobs=options["jobs"] or cores(),
        out=out,
        data_dir=options["data_dir"],
        say=lambda text: print(text, flush=True),
    )
    written = out / "quick" if options["quick"] else out
    print("\n".join(f"see {written / name / 'table.md'}" for name in chosen))
    return 0


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
