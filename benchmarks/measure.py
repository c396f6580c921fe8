"""Time all libraries in turn, in one process with a given number of threads.

``python -m benchmarks`` runs this module for each number of threads. It prints the results as JSON.
"""

import gc
import importlib
import json
import statistics
import sys
import time

from .peers import PEERS, TRAINS

NEEDS = {"torch": "torch", "torch.compile": "torch", "jax": "jax", "onnxruntime": "onnxruntime"}


def compare(task: str, batch: int, threads: int, libraries: list[str], seconds: float) -> list[dict]:
    """Time one task in all libraries, alternating A B C A B C; return a row for each library."""
    calls = {}
    for name in libraries:
        if task == "train" and name not in TRAINS:
            continue
        try:
            importlib.import_module(NEEDS.get(name, "lenet5"))
            call = PEERS[name](batch, threads)[task == "infer"]
            for _ in range(5):  # warm up: compilation, caches, thread pools
                call()
        except Exception as error:
            print(f"skipped {name} ({task}, batch {batch}, {threads} threads): {str(error)[:150]!r}", file=sys.stderr)
            continue
        start = time.perf_counter()
        call()
        # Repeat calls for 20 ms: long enough to be measured precisely, short enough to alternate often.
        repeats = max(1, round(0.02 / (time.perf_counter() - start)))
        calls[name] = (call, repeats)
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, (call, repeats) in calls.items():
            time.sleep(0.01)  # until spinning threads of the previous library have stopped
            call()
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            times[name].append((time.perf_counter() - start) / repeats / batch * 1e6)
    return [
        {
            "task": task,
            "batch": batch,
            "threads": threads,
            "library": name,
            "median_us_per_sample": round(statistics.median(values), 2),
            "min": round(min(values), 2),
            "max": round(max(values), 2),
            "runs": len(values),
        }
        for name, values in times.items()
    ]


def main() -> None:
    """Run the measurements described by the JSON argument, and print the results as JSON."""
    job = json.loads(sys.argv[1])
    rows = []
    for task, batch in job["cells"]:
        rows += compare(task, batch, job["threads"], job["libraries"], job["seconds"])
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
