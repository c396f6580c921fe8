"""Kill a training run with SIGKILL at random moments, resume it, and compare the bits.

    python scripts/kill_and_resume.py -n 50

Each trial starts the same short run on the embedded digits, with a checkpoint after nearly every update,
kills it after a random time, resumes it to its end, and compares parameters and optimiser state with those of
a run that nobody interrupted.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lenet5 import checkpoint

COMMAND = [sys.executable, "-m", "lenet5.train", "--quiet"]
RUN = ["--dataset", "digits", "--train-size", "600", "--epochs", "3", "--checkpoint-minutes", "0.0005"]


def bits(folder: Path) -> dict[str, bytes]:
    """Return every array of a run's checkpoint as bytes."""
    return {name: array.tobytes() for name, array in checkpoint.load(folder / "checkpoint.npz")[0].items()}


def trial(folder: Path, seconds: float) -> str:
    """Start, kill after `seconds`, resume; say where it was killed."""
    process = subprocess.Popen([*COMMAND, *RUN, "--out", str(folder)])
    try:
        process.wait(seconds)
        where = "after its end"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        where = "before its first checkpoint"
        if (folder / "checkpoint.npz").exists():
            note = checkpoint.load(folder / "checkpoint.npz")[1]["trainer"]
            where = f"past pass {note['epoch']}, pattern {note['position']}"
    begun = (folder / "config.json").exists()
    subprocess.run([*COMMAND, *(["--resume", str(folder)] if begun else [*RUN, "--out", str(folder)])], check=True)
    return where


def main() -> int:
    """Run the command; 0 if every trial ended with the same bits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=50, help="trials (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    args = parser.parse_args()
    moments, equal = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as scratch:
        straight = Path(scratch) / "straight"
        subprocess.run([*COMMAND, *RUN, "--out", str(straight)], check=True)  # compiles, where nothing is cached
        expected = bits(straight)
        start = time.monotonic()
        subprocess.run([*COMMAND, *RUN, "--out", str(Path(scratch) / "timed")], check=True)
        length = time.monotonic() - start
        for k in range(args.n):
            folder = Path(scratch) / str(k)
            where = trial(folder, moments.uniform(0, length))
            same = bits(folder) == expected
            equal += same
            print(f"{k + 1:>3}: killed {where}: {'same bits' if same else 'OTHER BITS'}", flush=True)
    print(f"{equal} of {args.n} ended with the same bits as the uninterrupted run")
    return 0 if equal == args.n else 1


if __name__ == "__main__":
    sys.exit(main())
