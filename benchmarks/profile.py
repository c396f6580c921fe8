"""Profile lenet5: time per layer, start-up time, memory, scaling."""

import copy
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import lenet5
from lenet5.engine.program import LANES, Program
from lenet5.training.shards import Shards, cores

from .peers import SCALE, J, data


def profile() -> dict:
    """Run all measurements of this module."""
    return {
        "layers_us": layers(),
        "compiled_layers_us": compiled_layers(),
        "step_us": step(),
        "distortions_us": distort(),
        "start_s": start(),
        "memory_mb": memory(),
        "scaling": scaling(),
        "threads_us": threads(),
    }


def median_us(call: Callable[[], object], seconds: float = 0.3) -> float:
    """Return the median duration of a call in microseconds."""
    call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return round(statistics.median(times) * 1e6, 2)


def layers() -> dict[str, dict[str, float]]:
    """Measure the methods forward and backward of each layer for one pattern, in microseconds."""
    net = lenet5.lenet5()
    x = net.prepare(data(1)[0])
    dy_of, result = {}, {}
    for layer in net:
        y = layer.forward(x)
        result[layer.name] = {"forward": median_us(lambda layer=layer, x=x: layer.forward(x))}
        dy_of[layer.name] = np.ones_like(y)
        x = y.copy()
    for k, layer in enumerate(net):
        dy = dy_of[layer.name]
        result[layer.name]["backward"] = median_us(lambda layer=layer, dy=dy, k=k: layer.backward(dy, to_input=k > 0))
    return result


def compiled_layers() -> dict[str, dict[str, float]]:
    """Measure the compiled forward pass of each layer in microseconds per pattern, singly and several side by side.

    A layer's time is the difference between the programs with and without the layer; differences of 0.1 us are noise.
    """
    net = lenet5.lenet5()
    images, _ = data(10 * LANES)
    x = net.prepare(images)
    result: dict[str, dict[str, float]] = {}
    for title, batch in (("one by one", 1), (f"{LANES} side by side", len(x))):
        before = 0.0
        for k in range(1, len(net.layers) + 1):
            part = lenet5.Sequential(copy.deepcopy(net).layers[:k])
            part.build(net.in_shape, rng=np.random.default_rng(0))
            program = part.program()
            assert program is not None

            def run(program: Program = program, n: int = batch) -> None:
                for first in range(0, len(x), n):
                    program.outputs(x[first : first + n])

            now = median_us(run) / len(x)
            result.setdefault(net.layers[k - 1].name, {})[title] = round(now - before, 2)
            before = now
    return result


def step() -> dict[str, float]:
    """Measure an update from one pattern on one thread: by the layers' methods, compiled, and with 100 in one call."""
    images, labels = data(100)
    net = lenet5.lenet5()
    loss, optimizer = lenet5.MAP(J, scale=SCALE), lenet5.SDLM(net.parameters(), lr=1e-5)
    slow, fast = Shards(net, loss, use_compiled=False), Shards(net, loss)
    rates, table = optimizer.rates_of_plain_step(), net.program(training=True)
    x, grad = net.prepare(images), np.empty_like(net.theta)

    def by_layers() -> None:
        slow.gradient(images[:1], labels[:1])
        optimizer.step()

    return {
        "layers: gradient and update": median_us(by_layers),
        "update alone": median_us(optimizer.step),
        "prepare one image": median_us(lambda: net.prepared(images[:1])),
        "compiled, one call per pattern": median_us(lambda: fast.step(images[:1], labels[:1], rates, 0.0)),
        "compiled, 100 patterns a call": median_us(lambda: fast.step(images, labels, rates, 0.0)) / 100,
        "compiled, forward": median_us(lambda: table.outputs(x)) / 100,
        "compiled, gradient": median_us(lambda: table.gradient(x, labels, loss, 100, grad)) / 100,
    }


def distort() -> dict[str, float]:
    """Measure each distortion per image; compare the slowest with an update of one pattern."""
    images, labels = data(1000)
    net = lenet5.lenet5()
    loss, rates = lenet5.MAP(J, scale=SCALE), np.full_like(net.theta, 1e-5)
    shards, rng = Shards(net, loss), np.random.default_rng(0)
    per_image = {
        name: round(median_us(lambda change=change: change(images, rng)) / 1000, 2)
        for name, change in lenet5.datasets.DISTORTIONS.items()
    }
    update = median_us(lambda: shards.step(images[:100], labels[:100], rates, 0.0)) / 100
    return per_image | {"share of an update, at most": round(max(per_image.values()) / update, 3)}


def start() -> dict[str, float]:
    """Measure the seconds that `import lenet5` takes, and a short training with and without compilation."""

    def seconds(*words: str, cache: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, env=os.environ | {"LENET5_CACHE": cache})
        return round(time.perf_counter() - begin, 2)

    train = ("-m", "lenet5.train", "--dataset", "digits", "--train-size", "50", "--epochs", "1", "--quiet", "--out")
    with tempfile.TemporaryDirectory() as scratch:
        return {
            "python alone": seconds("-c", "pass", cache=scratch),
            "import lenet5": seconds("-c", "import lenet5", cache=scratch),
            "first command, nothing compiled": seconds(*train, f"{scratch}/a", cache=scratch),
            "first command, compiled before": seconds(*train, f"{scratch}/b", cache=scratch),
        }


def memory() -> dict[str, float]:
    """Measure the peak memory in MB of training, and of predicting memory-mapped images, in separate processes."""
    result = {}
    with tempfile.TemporaryDirectory() as scratch:
        found = os.environ.get("LENET5_DATA")
        data_set = ("--dataset", "mnist") if found else ("--dataset", "digits")
        words = ("-m", "lenet5.train", *data_set, "--epochs", "1", "--quiet", "--out", f"{scratch}/run")
        result[f"training on {data_set[1]}, one pass"] = peak_mb(*words)
        for n in (100_000, 1_000_000):
            path = Path(scratch, "images.idx")
            with open(path, "wb") as file:  # a sparse file of zeros
                file.write(bytes((0, 0, 8, 3)) + b"".join(side.to_bytes(4, "big") for side in (n, 28, 28)))
                file.truncate(16 + n * 784)
            script = "import lenet5, sys; lenet5.pretrained().predict(lenet5.datasets.read_idx(sys.argv[1], mmap=True))"
            result[f"predicting {n:,} mapped images"] = peak_mb("-c", script, str(path))
    return result


def peak_mb(*words: str) -> float:
    """Return the peak memory in MB of a Python process with the given arguments."""
    code = "import resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return round(float(done.stdout.split()[-1]))


def scaling() -> list[dict[str, float | str]]:
    """Measure microseconds per sample on one thread, for growing batches, numbers of patterns and layer widths.

    `per_arithmetic` is the time per multiply-add, relative to width 1.
    """
    rows: list[dict[str, float | str]] = []
    net, loss = lenet5.lenet5(), lenet5.MAP(J, scale=SCALE)
    shards = Shards(net, loss)
    rates = np.full_like(net.theta, 1e-6)
    for n in (64, 128, 256, 1024, 4096):
        images, labels = data(n)
        took = median_us(lambda i=images, y=labels: shards.gradient(i, y)) / n
        rows.append({"what": "gradient of one batch", "size": n, "us_per_sample": round(took, 2)})
    for n in (1000, 2000, 4000):
        images, labels = data(n)
        took = median_us(lambda i=images, y=labels: shards.step(i, labels=y, rates=rates, total=0.0)) / n
        rows.append({"what": "patterns, one update each", "size": n, "us_per_sample": round(took, 2)})
    unit = 0.0
    for width in (1, 2, 4):
        wide_net, images, labels = wide(width), *data(64)
        wide_shards = Shards(wide_net, lenet5.SoftmaxCrossEntropy())
        took = median_us(lambda s=wide_shards, i=images, y=labels: s.gradient(i, y)) / 64
        connections = wide_net.connections()
        unit = unit or took / connections
        rows.append(
            {
                "what": "width, batch 64",
                "size": width,
                "us_per_sample": round(took, 2),
                "connections": connections,
                "per_arithmetic": round(took / connections / unit, 2),
            }
        )
    return rows


def threads(batch: int = 256, seconds: float = 4.0) -> dict[str, float]:
    """Measure microseconds per sample of a batch's gradient on 1, 2, 4, ... threads, up to the number of cores."""
    net, loss = lenet5.lenet5(), lenet5.MAP(J, scale=SCALE)
    counts = [n for n in (1, 2, 4, 8, 16) if n <= cores()]
    pools = {n: Shards(net, loss, threads=n) for n in counts}
    times: dict[int, list[float]] = {n: [] for n in counts}
    images, labels = data(batch)
    end = time.perf_counter() + seconds
    while not times[1] or time.perf_counter() < end:
        for n, shards in pools.items():
            for _ in range(20):  # in a row, as in training: idle processors take time to wake up
                begin = time.perf_counter()
                shards.gradient(images, labels)
                times[n].append((time.perf_counter() - begin) / batch * 1e6)
    for shards in pools.values():
        shards.close()
    medians = {n: statistics.median(values) for n, values in times.items()}
    result = {f"batch {batch}, {n} threads": round(value, 2) for n, value in medians.items()}
    return result | {f"1 to {n} threads": round(medians[1] / value, 2) for n, value in medians.items() if n > 1}


def wide(width: int) -> lenet5.Sequential:
    """Return a LeNet-5 with `width` times as many maps and units, without Table I, and with scores for a softmax."""
    from lenet5.layers import Conv2D, Dense, Flatten, ScaledTanh, Subsampling

    net = lenet5.Sequential(
        [
            Conv2D(6 * width, 5, name="C1"), ScaledTanh(), Subsampling(name="S2"), ScaledTanh(),
            Conv2D(16 * width, 5, name="C3"), ScaledTanh(), Subsampling(name="S4"), ScaledTanh(),
            Conv2D(120 * width, 5, name="C5"), ScaledTanh(), Flatten(), Dense(84 * width, name="F6"), ScaledTanh(),
            Dense(10, name="output"),
        ],
        prepare=lenet5.datasets.prepare,
    )  # fmt: skip
    net.build((1, 32, 32), rng=np.random.default_rng(0))
    return net
