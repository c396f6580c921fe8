"""``python -m benchmarks.ranks``: measure training on 1, 2 and 4 MPI ranks, and predict it for up to 1,024.

The command alternates between the numbers of ranks, several times. Every rank is bound to one processor and has one
thread. It measures an update of the paper's network (gradient of the batch, and SDLM step), and separately the exchange
of its 60,000 parameters. A model predicts the times for more ranks on the computer networks in `NETWORKS`. ``--json
FILE`` writes the results, ``--page FILE`` writes a page about them. Needs ``pip install mpi4py mpich``.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from lenet5 import losses, models, optim
from lenet5.files import atomic_write
from lenet5.run.build import circumstances
from lenet5.training.mpi import Ranks
from lenet5.training.shards import SHARD, Shards
from lenet5.training.tree_sum import Sum

BATCHES = (64, 256, 1024)
PARAMETERS = 60_000  # of the paper's network
# Latency (s) and bandwidth (bytes per second) of a message between two machines.
NETWORKS = {"10 Gb/s Ethernet": (30e-6, 1.1e9), "100 Gb/s InfiniBand": (2e-6, 11e9)}


def measure(seconds: float) -> None:
    """Run the measurements as one of several ranks; rank 0 prints the medians as JSON."""
    ranks = Ranks()
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[ranks.rank % len(processors)]})
    net = models.lenet5(seed=0)
    optimizer = optim.SDLM(net.parameters(), lr=5e-4)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(max(BATCHES), 28, 28), dtype=np.uint8), rng.integers(10, size=max(BATCHES))
    shards = Shards(net, losses.MAP(0.1, scale=0.5), ranks=ranks)
    shards.curvature(images[:500], labels[:500])
    optimizer.observe()

    def update(batch: int) -> None:
        shards.gradient(images[:batch], labels[:batch])
        optimizer.step()

    sums = Sum(np.zeros_like(net.theta))

    def exchange() -> None:
        figures = np.zeros((ranks.size * 2, 2))
        sums.clear()
        for k in ranks.share(len(figures)):
            sums.add(k, net.theta)
        if ranks.size > 1:
            ranks.exchange(sums, figures)

    found = {f"update_us_{batch}": median(lambda batch=batch: update(batch), ranks, seconds) for batch in BATCHES}
    found["exchange_us"] = median(exchange, ranks, seconds)
    found["step_us"] = median(optimizer.step, ranks, seconds)
    if ranks.rank == 0:
        print(json.dumps(found))


def median(call: Any, ranks: Ranks, seconds: float) -> float:
    """Return the median time in microseconds of a call that all ranks make together."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not ranks.agreed(time.perf_counter() > end):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def model(batch: int, ranks: int, network: tuple[float, float], pattern: float, step: float, add: float) -> float:
    """Return the predicted time of an update in seconds: the busiest rank's shards, exchange in pairs, SDLM step.

    A rank adds up the gradients of its shards. Then, log2(ranks) times, it exchanges 240 kB with another rank and adds
    the gradient it received. The model holds for at most as many ranks as shards.
    """
    latency, bandwidth = network
    own = math.ceil(math.ceil(batch / SHARD) / ranks)
    rounds = math.ceil(math.log2(ranks))
    size = 4 * PARAMETERS
    return min(batch, own * SHARD) * pattern + own * add + rounds * (latency + size / bandwidth + add) + step


def page(figures: dict[str, Any]) -> str:
    """Return the page about the results, in Markdown."""
    one, median_of = figures["medians"]["1"], figures["medians"]
    step, add = one["step_us"] * 1e-6, figures["add_us"] * 1e-6
    pattern = (one["update_us_1024"] * 1e-6 - step) / 1024
    where = f"{figures['machine']}, {figures['cpu']}, {figures['date'][:10]}, commit {str(figures['commit'])[:10]}"
    networks = [f"{lat * 1e6:.0f} us and {rate / 1e9:.1f} GB/s ({name})" for name, (lat, rate) in NETWORKS.items()]
    lines = [
        "# Several machines", "",
        "This page gives the speed of `python -m lenet5.train --distributed mpi`, measured on one machine and "
        "predicted for several. `python -m benchmarks.ranks --page docs/several-machines.md --json "
        "results/speed/ranks.json` wrote it.", "",
        f"It was measured on {where}. Each rank is bound to a processor and has one thread. Times are medians of "
        f"{figures['rounds']} rounds. With more ranks than processors, ranks wait for each other.", "",
        "| ranks | " + " | ".join(f"update, batch {b:,} | gain" for b in BATCHES) + " | exchange of 240 kB |",
        "| --- |" + " --- |" * (2 * len(BATCHES) + 1),
    ]  # fmt: skip
    for ranks, found in median_of.items():
        cells = []
        for batch in BATCHES:
            key = f"update_us_{batch}"
            cells.append(f"{found[key] / 1e3:.2f} ms | {one[key] / found[key]:.2f}x")
        exchange = f"{found['exchange_us']:.0f} us" if ranks != "1" else "-"
        lines.append(f"| {ranks} | {' | '.join(cells)} | {exchange} |")
    lines += [
        "", "## The model", "",
        "The time T of an update is predicted as", "",
        "T = patterns of the busiest rank x t_pattern + its shards x t_add + log2(ranks) x (latency + 240 kB / "
        "bandwidth + t_add) + t_step", "",
        f"with t_pattern = {pattern * 1e6:.1f} us, t_add = {add * 1e6:.0f} us (adding {PARAMETERS:,} values), t_step = "
        f"{step * 1e6:.0f} us, all measured with one rank. A batch has batch / {SHARD} shards; "
        "more ranks than shards bring no gain. The model assumes machines like this one, one rank per processor, no "
        "contention between pairs, ranks of equal speed (the slowest sets the pace), and these latencies and "
        f"bandwidths: {', '.join(networks)}.", "",
    ]  # fmt: skip
    local = (0.0, 4 * PARAMETERS / max((median_of["2"]["exchange_us"] * 1e-6 - add), 1e-9))
    lines += ["This table compares model and measurement; "
              "the exchange measured between two ranks replaces a network:", "",
              "| ranks | batch | model | measured | model / measured |", "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for ranks in [r for r in median_of if int(r) <= figures["processors"]]:
        for batch in BATCHES:
            said = model(batch, int(ranks), local, pattern, step, add) * 1e3
            found = median_of[ranks][f"update_us_{batch}"] / 1e3
            lines.append(f"| {ranks} | {batch:,} | {said:.2f} ms | {found:.2f} ms | {said / found:.2f} |")
    lines += ["", "## When it pays", "", "Predicted gain over one rank (-: more ranks than shards):", ""]
    counts = (8, 16, 64, 256, 1024)
    for name, network in NETWORKS.items():
        lines += [f"| {name}: batch | " + " | ".join(f"{r:,} ranks" for r in counts) + " |",
                  "| --- |" + " --- |" * len(counts)]  # fmt: skip
        for batch in (64, 256, 1024, 4096, 16384, 65536):
            base = model(batch, 1, network, pattern, step, add)
            gains = [
                f"{base / model(batch, r, network, pattern, step, add):.1f}x" if r * SHARD <= batch else "-"
                for r in counts
            ]
            lines.append(f"| {batch:,} | " + " | ".join(gains) + " |")
        lines.append("")
    lines += [
        f"A network of {PARAMETERS:,} parameters is small: an update of {SHARD} patterns takes "
        f"{SHARD * pattern * 1e3:.2f} ms, and a 10 Gb/s network needs {4 * PARAMETERS / 1.1e9 * 1e3:.2f} ms to send "
        "one gradient. Several ranks pay if each has several shards of every batch: batches of thousands on tens of "
        "ranks. They do not pay for the paper's own training with one pattern per update (every rank then computes "
        "the whole update, and nothing is sent), nor for more ranks than shards. Batches of thousands also need "
        "other learning rates and more epochs for the same error, which these tables ignore. To train many "
        "networks, give each its own processor with `lenet5.reproduce` and joblib instead. If the number of ranks "
        "is not a power of two, or does not divide the number of shards, every rank receives all gradients in one "
        "collective operation, whose cost grows with the number of ranks. Choose 2, 4, 8, ... ranks and batches "
        f"that are multiples of {SHARD} x "
        "ranks.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs per number of ranks (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=0.5, metavar="SECONDS", help="length of each measurement (default: 0.5)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE")
    parser.add_argument("--page", metavar="FILE", help="write a Markdown page about the results to FILE")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.seconds)
        return 0
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mpiexec is None:
        parser.error("mpiexec was not found: install it with pip install mpi4py mpich")
    rows: dict[str, list[dict[str, float]]] = {"1": [], "2": [], "4": []}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for _ in range(args.rounds):
        for ranks, found in rows.items():
            words = [mpiexec, "-n", ranks, sys.executable, "-m", "benchmarks.ranks", "--measure"]
            words += ["--seconds", str(args.seconds)]
            done = subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ | threads)
            found.append(json.loads(done.stdout))
    one, other = np.ones(PARAMETERS, np.float32), np.ones(PARAMETERS, np.float32)
    adds = []
    for _ in range(500):
        start = time.perf_counter()
        one += other
        adds.append(time.perf_counter() - start)
    figures = {
        "command": "python -m benchmarks.ranks",
        **circumstances(),
        "processors": len(os.sched_getaffinity(0)),
        "rounds": args.rounds,
        "add_us": statistics.median(adds) * 1e6,
        "medians": {
            ranks: {key: round(statistics.median(row[key] for row in found), 1) for key in found[0]}
            for ranks, found in rows.items()
        },
    }
    text = page(figures)
    print(text)
    for path, content in ((args.json, json.dumps(figures, indent=1) + "\n"), (args.page, text)):
        if path:
            with atomic_write(path, text=True) as file:
                file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
