"""Measure the time to load MNIST from 70,000 PNG files, one folder per class: ``python -m benchmarks.folder``."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from lenet5 import datasets
from lenet5.run.build import circumstances


def write(folder: Path) -> None:
    """Write all images of MNIST as PNG files, such as ``folder/train/5/0.png``."""
    for data, name in zip(datasets.load("mnist", download=False), ("train", "test"), strict=True):
        for kind in data.classes:
            (folder / name / kind).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
            Image.fromarray(image).save(folder / name / data.classes[label] / f"{number}.png")


def tree(process: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    found = [process]
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def memory(process: int) -> float:
    """Return the memory of a process and of all its descendants in MB; Linux only."""
    total = 0
    try:
        for each in tree(process):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except OSError:  # a process has ended
        pass
    return total / 1e3


def loaded(folder: str) -> tuple[float, float]:
    """Load the folder in a separate process; return the time in seconds and the peak memory in MB."""
    words = "import sys, time; from lenet5 import datasets; start = time.perf_counter(); "
    words += "datasets.from_folder(sys.argv[1], progress=True); print(time.perf_counter() - start)"
    with subprocess.Popen([sys.executable, "-c", words, folder], stdout=subprocess.PIPE, text=True) as process:
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.1)
        assert process.stdout is not None
        return round(float(process.stdout.read()), 2), round(peak)


def main() -> int:
    """Write the files, load them twice, compare them with MNIST, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch))
        (seconds, peak), (again, _) = loaded(scratch), loaded(scratch)
        found = [part.digest() for part in datasets.from_folder(scratch)]
    known = datasets.load("mnist", download=False)
    figures = {
        "images": sum(map(len, known)),
        "seconds": seconds,
        "seconds_again": again,
        "peak_mb": peak,
        "same_as_mnist": found == [part.digest() for part in known],
        "circumstances": circumstances(),
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
