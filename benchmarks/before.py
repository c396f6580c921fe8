"""Compare the speed of two versions: ``python -m benchmarks.before DIR`` (DIR: a checkout of the older version).

Each version runs in its own process. The versions alternate within each task, so that other load on the machine affects
both. The command prints the median times in microseconds per sample, and the median ratio of new to old.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]


def tasks() -> dict[str, tuple[Callable[[], object], int]]:
    """Return the tasks of the imported version by name: a function to time, and the number of samples it processes."""
    import lenet5
    from lenet5.models import from_spec

    try:
        from lenet5.training.shards import Shards
    except ImportError:  # older versions
        from lenet5.shards import Shards  # type: ignore[import-not-found,no-redef]

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (256, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 256)
    net, loss = lenet5.lenet5(), lenet5.MAP(0.1, scale=0.5)
    rates = np.full_like(net.theta, 1e-9)
    made: dict[str, tuple[Callable[[], object], int]] = {}
    one = Shards(net, loss)
    made["step of one pattern"] = (lambda: one.step(images[:100], labels[:100], rates, 0.0), 100)
    for threads in (1, 2):
        shards = Shards(net, loss, threads=threads)
        for n in (64, 256):
            made[f"gradient of {n}, {threads} threads"] = (
                lambda s=shards, n=n: s.gradient(images[:n], labels[:n]), n,
            )  # fmt: skip
    made["inference of 1"] = (lambda: net.outputs(images[:1]), 1)
    made["inference of 256"] = (lambda: net.outputs(images), 256)
    for name, options in {
        "dropout": {"dropout": 0.5},
        "prelu": {"activation": "prelu"},
        "dropout and prelu": {"dropout": 0.5, "activation": "prelu"},
        "norm": {"norm": True},
        "relu and maxima": {"activation": "relu", "subsampling": "max"},
    }.items():
        _add(made, f"d2l, {name}", from_spec({"name": "d2l", **options}), images, labels, steps=name != "norm")
    layers = lenet5.layers
    strided = lenet5.Sequential(
        [
            layers.Conv2D(6, 5, stride=2, padding=2, name="C1"), layers.Tanh(),
            layers.Conv2D(16, 5, stride=2, name="C3"), layers.Tanh(), layers.Flatten(),
            layers.Dense(84, name="F6"), layers.Tanh(), layers.Dense(10, name="output"),
        ],
        prepare=lenet5.datasets.prepare,
    )  # fmt: skip
    strided.build((1, 32, 32), rng=np.random.default_rng(0))
    _add(made, "strided", strided, images, labels)
    return made


def _add(made: dict, name: str, net: Any, images: np.ndarray, labels: np.ndarray, *, steps: bool = True) -> None:
    """Add training tasks for a network: in batches of 64 and, if `steps`, with one pattern per update."""
    import lenet5

    try:
        from lenet5.training import Trainer
    except ImportError:
        from lenet5.trainer import Trainer  # type: ignore[import-not-found,no-redef]
    data = lenet5.Dataset(images, labels.astype(np.uint8), "random")
    loss = lenet5.SoftmaxCrossEntropy()
    for batch in (1, 64) if steps else (64,):

        def epoch(batch: int = batch) -> None:
            optimizer = lenet5.SGD(net.parameters(), lr=1e-9)
            Trainer(net, loss, optimizer, batch_size=batch).fit(data, epochs=1)

        made[f"{name}: {'one pattern per update' if batch == 1 else 'batches of 64'}"] = epoch, len(images)


def work() -> None:
    """Time the task named on each line of stdin; print its median time in microseconds per sample."""
    import warnings

    warnings.simplefilter("ignore")
    made = tasks()
    for name in made:
        made[name][0]()  # compile
    print(json.dumps(list(made)), flush=True)
    for line in sys.stdin:
        call, samples = made[line.strip()]
        call()
        times = []
        end = time.perf_counter() + 0.15
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) / samples * 1e6)
        print(statistics.median(times), flush=True)


def start(folder: Path, cache: str) -> float:
    """Return the seconds from the start of the command `train` to its first update."""
    code = (
        "import os, sys, time\n"
        "try:\n    from lenet5.training.trainer import Trainer\n"
        "except ImportError:\n    from lenet5.trainer import Trainer\n"
        "call = Trainer._call\n"
        "def timed(self, hook):\n"
        "    if hook == 'on_batch_end':\n"
        "        print(time.time() - float(sys.argv[1]), flush=True)\n"
        "        os._exit(0)\n"
        "    call(self, hook)\n"
        "Trainer._call = timed\n"
        "from lenet5.train import run\n"
        "run(['--dataset', 'digits', '--quiet', '--out', sys.argv[2]])\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"PYTHONPATH": str(folder), "LENET5_CACHE": cache}
        words = [sys.executable, "-c", code, str(time.time()), f"{scratch}/run"]
        done = subprocess.run(words, env=environment, cwd=folder, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def starts(before: Path, rounds: int = 3) -> list[dict[str, Any]]:
    """Time the first `train` command, with an empty cache of compiled code, and the second; return a row for each."""
    times: dict[str, list[list[float]]] = {"first command, to its first update": [[], []], "second command": [[], []]}
    for _ in range(rounds):
        for k, folder in enumerate((before, ROOT)):
            with tempfile.TemporaryDirectory() as cache:
                for found in times.values():
                    found[k].append(start(folder, cache))
    medians = {name: [round(statistics.median(of), 2) for of in found] for name, found in times.items()}
    return [{"task": name, "before_s": a, "after_s": b, "ratio": round(b / a, 3)} for name, (a, b) in medians.items()]


def main() -> None:
    """Run the two versions alternately, and print a row for each task."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before", description=__doc__.splitlines()[0])
    parser.add_argument("before", metavar="DIR", help="checkout of the older version")
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="measurements per task and version (default: 15)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="run only tasks whose name contains TEXT")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE")
    parser.add_argument("--start", action="store_true", help="time only the start of a first and a second training")
    options = parser.parse_args()
    if options.start:
        rows = starts(Path(options.before).resolve())
        for row in rows:
            print(f"{row['task']:45} {row['before_s']:9.2f} {row['after_s']:9.2f} s   x {row['ratio']:.3f}")
        if options.json:
            Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
        return
    workers = [_start(Path(options.before)), _start(ROOT)]
    names = [json.loads(w.stdout.readline()) for w in workers]  # type: ignore[union-attr]
    rows = []
    for name in names[1]:
        if options.only not in name:
            continue
        times: list[list[float]] = [[], []]
        for _ in range(options.rounds):
            for worker, found in zip(workers, times, strict=True):
                print(name, file=worker.stdin, flush=True)
                found.append(float(worker.stdout.readline()))  # type: ignore[union-attr]
        before, after = map(statistics.median, times)
        ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
        rows.append(
            {"task": name, "before_us": round(before, 2), "after_us": round(after, 2), "ratio": round(ratio, 3)}
        )
        print(f"{name:45} {before:9.2f} {after:9.2f} us  x {ratio:.3f}", flush=True)
    for worker in workers:
        worker.terminate()
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


def _start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": f"{folder}", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    code = f"import runpy; runpy.run_path({str(Path(__file__))!r})['work']()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


if __name__ == "__main__":
    main()
