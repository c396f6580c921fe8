"""``python -m benchmarks.big_data DIR``: measure training on data larger than memory.

DIR holds the data set that ``python -m lenet5.datasets make-distorted --out DIR`` writes. ``--make`` creates it and
measures time and memory. ``--pass`` measures time and memory of one epoch with one pattern per update. Both use
separate processes. ``--ratio`` trains alternately on DIR and on MNIST in memory, a few seconds each, and compares the
throughput. It first drops the file of images from the system's page cache, so that the images are read from disk.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lenet5 import datasets
from lenet5.files import atomic_write
from lenet5.run import build as runs
from lenet5.run import config
from lenet5.training import callbacks
from lenet5.training.trainer import Trainer


def run(*words: str) -> dict[str, float]:
    """Run a Python process; return its time in seconds and its peak memory in MB, mapped pages included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds": round(time.perf_counter() - start, 1), "peak_mb": round(peak)}


def make(folder: str, times: str) -> dict[str, float]:
    """Create the data set; return time, memory and throughput."""
    figures = run("-m", "lenet5.datasets", "make-distorted", "--times", times, "--out", folder)
    n = json.loads(Path(folder, "manifest.json").read_text())["times"] * 60_000
    return figures | {"images": n, "images_per_second": round(n / figures["seconds"])}


def one_pass(folder: str) -> dict[str, float]:
    """Train for one epoch with one pattern per update; return time, memory, throughput and test error."""
    with tempfile.TemporaryDirectory() as scratch:
        words = ("--dataset", "idx", "--data-dir", folder, "--mmap", "true", "--epochs", "1", "--threads", "1")
        figures = run("-m", "lenet5.train", *words, "--quiet", "--out", f"{scratch}/run")
        record = json.loads(Path(scratch, "run", "run.json").read_text())
    last, n = record["last"], record["train_images"]
    figures |= {"images": n, "patterns_per_second": round(n / last["seconds"]), "test_error": last["test_error"]}
    return figures


class Meter(callbacks.Callback):
    """Measures a trainer's throughput in slices of a few seconds, alternating with another trainer.

    The clock runs only during epochs, so the work before and after an epoch does not count.
    """

    other: "Meter"

    def __init__(self, seconds: float, slices: int) -> None:
        self.seconds, self.slices, self.rates = seconds, slices, list[float]()
        self.turn = threading.Semaphore(0)
        self.patterns, self.spent = 0, 0.0

    def on_train_begin(self, trainer: Trainer) -> None:
        """Wait for the first turn."""
        self.turn.acquire(timeout=600)

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Start the clock."""
        self.since, self.first = time.perf_counter(), trainer.position

    def on_batch_end(self, trainer: Trainer) -> None:
        """Hand over to the other trainer if the slice is over."""
        if self.spent + time.perf_counter() - self.since < self.seconds:
            return
        self._count(trainer.position)
        self.rates.append(self.patterns / self.spent)
        self.patterns, self.spent = 0, 0.0
        self.other.turn.release()
        trainer.stop = len(self.rates) > self.slices
        if not trainer.stop:
            self.turn.acquire(timeout=600)
        self.on_epoch_begin(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Stop the clock."""
        self._count(len(trainer.train))

    def _count(self, position: int) -> None:
        self.patterns += position - self.first
        self.spent += time.perf_counter() - self.since


def ratio(sets: dict[str, Any], batch_size: int, threads: int, seconds: float, slices: int) -> dict[str, Any]:
    """Train on two data sets alternately; return the throughput of every slice, medians, and the median ratio."""
    meters = {name: Meter(seconds, slices) for name in sets}
    one, other = meters.values()
    one.other, other.other = other, one
    with ThreadPoolExecutor(2) as pool:
        running = []
        for name, train in sets.items():
            settings = config.from_dict({"batch_size": batch_size, "threads": threads, "epochs": 1000}).resolved()
            trainer = runs.make_trainer(settings, train, guard=False, hooks=[meters[name]])
            running.append(pool.submit(trainer.fit, train, epochs=1000))
        one.turn.release()
        for future in running:
            future.result()
    # Each trainer's first slice is a warm-up.
    rates = {name: [round(rate) for rate in meter.rates[1:]] for name, meter in meters.items()}
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    medians = {name: statistics.median(values) for name, values in rates.items()}
    figures = {"batch_size": batch_size, "threads": threads, "seconds": seconds, "patterns_per_second": rates}
    return figures | {"medians": medians, "ratio": round(statistics.median(ratios), 3)}


def drop(path: Path) -> None:
    """Drop a file from the system's page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(": ")[2])
    parser.add_argument("folder", metavar="DIR", help="folder of the data set")
    parser.add_argument("--make", action="store_true", help="create the data set, and measure time and memory")
    parser.add_argument("--times", default="135", metavar="N", help="copies of MNIST, for --make (default: 135)")
    parser.add_argument("--pass", action="store_true", help="train for one epoch, and measure time and memory")
    parser.add_argument("--ratio", action="store_true", help="compare the throughput with that of MNIST in memory")
    parser.add_argument(
        "--seconds", type=float, default=4.0, metavar="SECONDS", help="length of each slice, for --ratio (default: 4)"
    )
    parser.add_argument(
        "--slices", type=int, default=10, metavar="N", help="slices per data set, for --ratio (default: 10)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the results to FILE")
    options = vars(parser.parse_args())
    figures: dict[str, Any] = {}
    if options["make"]:
        figures["make-distorted"] = make(options["folder"], options["times"])
    if options["pass"]:
        figures["one pass, batch 1"] = one_pass(options["folder"])
    if options["ratio"]:
        sets = {"mapped": datasets.load("idx", options["folder"], mmap=True)[0], "in memory": datasets.load("mnist")[0]}
        for batch_size, threads in ((1, 1), (64, 2)):
            key = f"batch {batch_size}, {threads} thread{'s' if threads > 1 else ''}"
            drop(Path(options["folder"], "train-images-idx3-ubyte"))
            figures[key] = ratio(sets, batch_size, threads, options["seconds"], options["slices"])
    print(json.dumps(figures, indent=1))
    if options["json"]:
        words = ["DIR" if word == options["folder"] else word for word in sys.argv[1:]]
        about = {"command": " ".join(["python -m benchmarks.big_data", *words])} | runs.circumstances()
        before = json.loads(options["json"].read_text()) if options["json"].exists() else {}
        with atomic_write(options["json"], text=True) as file:
            json.dump(before | {key: value | about for key, value in figures.items()}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
