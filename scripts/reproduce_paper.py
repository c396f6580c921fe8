"""Train the paper's network on MNIST with several seeds, and write down what came out.

    python scripts/reproduce_paper.py --data-dir MNIST

Every run is the default command, ``python -m lenet5.train --seed S``, in a process of its own; finished
runs are kept, interrupted ones are continued. Writes one JSON per run, ``summary.json`` and
``curves.png`` to results/paper. With --ship, seed 0 becomes the weights that the package comes with.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lenet5 import plots, storage
from lenet5.files import atomic_write

# name: options beside the defaults
VARIANTS = {
    "paper": [],
    "average-pooling": ["--model.subsampling", "average"],
}


def train(folder: Path, options: list[str], data_dir: str | None) -> str:
    """Train one run, unless it is finished, and return its command."""
    data = ["--data-dir", data_dir] if data_dir else []
    command = ["-m", "lenet5.train", "--dataset", "mnist", *options]
    if not (folder / "run.json").exists():
        begun = (folder / "config.json").exists()
        words = ["-m", "lenet5.train", "--resume", str(folder)] if begun else [*command, "--out", str(folder)]
        with (folder.parent / f"{folder.name}.log").open("a") as log:
            subprocess.run([sys.executable, *words, *data, "--threads", "1"], check=True, stdout=log, stderr=log)
    return " ".join(["python", *command])


def record(folder: Path, command: str) -> dict:
    """Everything that is known about a finished run, for one small file."""
    config = json.loads((folder / "config.json").read_text()) | {"data_dir": None}
    history = json.loads((folder / "history.json").read_text())
    run = json.loads((folder / "run.json").read_text())
    run["provenance"].pop("source")  # a folder of this machine; the hashes of the files stay
    return {"command": command, "config": config, **run, "history": history}


def write(path: Path, value: object) -> None:
    """Write JSON, whole or not at all."""
    with atomic_write(path, text=True) as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def spread(values: list[float]) -> dict:
    """Mean and sample standard deviation."""
    return {
        "each": values,
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with the four files of MNIST")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N-1 (default 3)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (default 2)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"), help="where the runs are kept")
    parser.add_argument("--out", type=Path, default=Path("results/paper"))
    parser.add_argument("--ship", action="store_true", help="make seed 0 the package's weights")
    args = parser.parse_args()

    names = {(v, s): f"{v}-seed-{s}" for v in args.variants for s in range(args.seeds)}
    args.runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        jobs = {
            key: pool.submit(train, args.runs / name, ["--seed", str(key[1]), *VARIANTS[key[0]]], args.data_dir)
            for key, name in names.items()
        }
        records = {key: record(args.runs / names[key], job.result()) for key, job in jobs.items()}

    summary = {}
    for variant in args.variants:
        runs = {key: r for key, r in records.items() if key[0] == variant}
        for key, r in runs.items():
            write(args.out / f"{names[key]}.json", r)
        histories = [r["history"] for r in runs.values()]
        summary[variant] = {
            "command": f"python scripts/reproduce_paper.py --seeds {args.seeds}",
            "test_error": spread([h[-1]["test_error"] for h in histories]),
            "train_error": spread([h[-1]["train_error"] for h in histories]),
            "test_error_after_pass_1": spread([h[0]["test_error"] for h in histories]),
            "minutes": spread([round(sum(row["seconds"] for row in h) / 60, 2) for h in histories]),
            **{k: next(iter(runs.values()))[k] for k in ("date", "versions", "machine", "commit")},
        }
        figure = plots.learning_curves({f"seed {key[1]}": r["history"] for key, r in runs.items()}, data="mnist")
        plots.save(figure, args.out / f"{variant}.png")
        errors = summary[variant]["test_error"]
        print(f"{variant}: test error {errors['mean']:.2%} (s.d. {errors['sd'] or 0:.2%}) over {args.seeds} seeds")
    write(args.out / "summary.json", summary)

    if args.ship:
        weights = args.runs / names["paper", 0] / "weights.npz"
        shutil.copyfile(weights, storage.PRETRAINED)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        write(storage.PRETRAINED.with_suffix(".json"), records["paper", 0] | {"weights_sha256": digest})


if __name__ == "__main__":
    main()
