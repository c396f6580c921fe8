"""``python -m benchmarks``: compare the speed of lenet5, PyTorch, JAX and ONNX Runtime in one run.

For every number of threads, one process, bound to as many processors, times all libraries in turn for each task and
batch size. The command prints the median time per sample, and the ratio of lenet5's time to that of the fastest peer.
``pip install 'lenet5-numpy[bench]'`` installs the other libraries; missing ones are reported and skipped.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from lenet5.files import atomic_write

from .peers import PEERS
from .profile import profile

CELLS = [("train", 1), ("train", 16), ("train", 64), ("train", 256), ("infer", 1), ("infer", 256)]


def measured(threads: int, libraries: list[str], seconds: float, cells: list[tuple[str, int]]) -> list[dict]:
    """Run `benchmarks.measure` with `threads` threads, bound to as many processors; return its results."""
    job = {"cells": cells, "threads": threads, "libraries": libraries, "seconds": seconds}
    pin = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

    def bind() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", json.dumps(job)],
        stdout=subprocess.PIPE, text=True, check=True, env=os.environ | pin, preexec_fn=bind,
    )  # fmt: skip
    rows = json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        peers = [
            r["median_us_per_sample"]
            for r in rows
            if r["library"] != "lenet5" and (r["task"], r["batch"]) == (row["task"], row["batch"])
        ]
        row["ratio_to_best_peer"] = round(row["median_us_per_sample"] / min(peers), 3) if peers else None
    return rows


def table(rows: list[dict]) -> str:
    """Format results as a Markdown table: microseconds per sample, and the ratio of lenet5 to the fastest peer."""
    names = [name for name in PEERS if any(r["library"] == name for r in rows)]
    lines = [
        "| task, batch, threads | " + " | ".join(names) + " | lenet5 / best peer |",
        "|---" * (len(names) + 2) + "|",
    ]
    for task, batch, threads in dict.fromkeys((r["task"], r["batch"], r["threads"]) for r in rows):
        cell = {r["library"]: r for r in rows if (r["task"], r["batch"], r["threads"]) == (task, batch, threads)}
        values = [f"{cell[n]['median_us_per_sample']:,.1f}" if n in cell else "-" for n in names]
        ratio = cell["lenet5"]["ratio_to_best_peer"] if "lenet5" in cell else None
        lines.append(f"| {task}, {batch}, {threads} | " + " | ".join(values) + f" | {ratio if ratio else '-'} |")
    return "\n".join(lines)


def plot(rows: list[dict], path: Path) -> None:
    """Draw the median times as bars on a logarithmic axis, grouped by task, batch size and number of threads."""
    from matplotlib.figure import Figure

    from lenet5 import plots

    cells = list(dict.fromkeys((r["task"], r["batch"], r["threads"]) for r in rows))
    names = [name for name in PEERS if any(r["library"] == name for r in rows)]
    colours = dict(zip(PEERS, ("#D55E00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7"), strict=True))
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for k, name in enumerate(names):
        mine = {(r["task"], r["batch"], r["threads"]): r for r in rows if r["library"] == name}
        where = [i + (k - len(names) / 2 + 0.5) * 0.16 for i, cell in enumerate(cells) if cell in mine]
        bars = [mine[cell]["median_us_per_sample"] for cell in cells if cell in mine]
        axes.bar(where, bars, 0.15, color=colours[name], label=name)
    labels = [f"{task}\nbatch {batch}\n{threads} thread{'s' * (threads > 1)}" for task, batch, threads in cells]
    axes.set_xticks(range(len(cells)), labels, fontsize=8)
    axes.set_yscale("log")
    axes.set_ylabel("microseconds per sample")
    axes.set_title("The paper's LeNet-5: training (forward, backward, update) and inference")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(names), fontsize=8)
    plots.save(figure, path)


def versions() -> dict[str, str]:
    """Return the processor and the versions of the libraries with which the results are measured."""
    found = {"python": platform.python_version(), "machine": machine(), "processors": str(os.cpu_count())}
    for name in ("lenet5", "numpy", "numba", "torch", "jax", "onnxruntime"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Return the processor's name on Linux, or its architecture on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="plot the results in FILE, a PNG")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="SECONDS", help="time per library and measurement (default: 3)"
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="numbers of threads (default: 1 2)"
    )
    parser.add_argument(
        "--libraries", nargs="+", choices=PEERS, default=list(PEERS), help="libraries to compare (default: all)"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="also profile lenet5, and write the profile to FILE"
    )
    args = parser.parse_args()

    rows = [row for n in args.threads for row in measured(n, args.libraries, args.seconds, CELLS)]
    print(", ".join(f"{k} {v}" for k, v in versions().items()))
    print("median microseconds per sample\n")
    print(table(rows))
    if args.json:
        with atomic_write(args.json, text=True) as file:
            file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    if args.plot:
        plot(rows, args.plot)
    if args.profile:
        result = profile() | {"versions": versions()}
        with atomic_write(args.profile, text=True) as file:
            json.dump(result, file, indent=1)
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
