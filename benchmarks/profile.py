"""Where lenet5's own time goes: layer by layer, cold start, memory."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

import lenet5
from lenet5.compiled import compiled
from lenet5.shards import Shards

from .peers import SCALE, J, data


def profile() -> dict:
    """Return everything that this module measures."""
    return {"layers_us": layers(), "step_us": step(), "start_s": start(), "scaling_us": scaling()}


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
    """Forward and backward of each layer's own methods for one pattern, calls from Python included."""
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


def step() -> dict[str, float]:
    """One pattern, single thread: the layers' methods against the compiled network, and what Python adds."""
    images, labels = data(100)
    net = lenet5.lenet5()
    loss, optimizer = lenet5.MAP(J, scale=SCALE), lenet5.SDLM(net.parameters(), lr=1e-5)
    slow, fast = Shards(net, loss, use_compiled=False), Shards(net, loss)
    rates, table = optimizer.rates_of_plain_step(), compiled(net, loss=loss)
    x = net.prepare(images)

    def by_layers() -> None:
        slow.gradient(images[:1], labels[:1])
        optimizer.step()

    return {
        "layers: gradient and update": median_us(by_layers),
        "update alone": median_us(optimizer.step),
        "prepare one image": median_us(lambda: net.prepared(images[:1])),
        "compiled, one call per pattern": median_us(lambda: fast.step(images[:1], labels[:1], rates, 0.0)),
        "compiled, 100 patterns a call": median_us(lambda: fast.step(images, labels, rates, 0.0)) / 100,
        "compiled, forward": median_us(lambda: table.forward(x)) / 100,
        "compiled, gradient": median_us(lambda: table.gradient(x, labels, loss)) / 100,
    }


def start() -> dict[str, float]:
    """Seconds until `import lenet5` is done, and until the first passes have ended, cold and warm."""

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


def scaling() -> dict[str, float]:
    """Microseconds per sample of a gradient as the batch, and the number of patterns, grow."""
    net, loss = lenet5.lenet5(), lenet5.MAP(J, scale=SCALE)
    shards, result = Shards(net, loss), {}
    for n in (64, 128, 256, 1024):
        images, labels = data(n)
        result[f"batch {n}"] = round(median_us(lambda i=images, y=labels: shards.gradient(i, y)) / n, 2)
    return result
