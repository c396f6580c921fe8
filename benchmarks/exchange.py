"""``python -m benchmarks.exchange``: compare exported networks, run by other libraries, with the originals.

Networks are exported as ONNX, C (float32 and 8 bits), PyTorch modules and Keras models, and run on the 10,000 test
images of MNIST (random images for `lenet5-cifar10`). The command prints how many predicted classes differ, and the
largest difference of outputs relative to the largest output for the image. ``--json FILE`` writes the results. Needs
MNIST on disk, ``pip install onnx onnxruntime torch keras h5py``, and a C compiler.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

import lenet5
from lenet5 import datasets, interop, models
from lenet5.files import atomic_write
from lenet5.run.build import circumstances

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def normalised() -> Any:
    """Return d2l with batch normalisation and random running statistics."""
    net, rng = models.d2l(norm=True), np.random.default_rng(0)
    for name, array in net.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if name.endswith("variance") else rng.normal(0, 0.3, array.shape)
    return net


NETWORKS: dict[str, Callable[[], Any]] = {
    "shipped weights": lenet5.pretrained,
    "d2l with norm": normalised,
    "caffe": models.caffe,
    "tensorflow-tutorial": models.tensorflow_tutorial,
    "lenet5-cifar10": models.cifar10,
}


def compared(net: Any, images: np.ndarray, outputs: np.ndarray) -> dict[str, Any]:
    """Compare another program's outputs with ours; count differing classes, and return the largest difference."""
    own = net.outputs(images)
    best = (np.argmin if net.outputs_penalties else np.argmax)(outputs, axis=1)
    apart = np.abs(outputs - own).max(axis=1) / np.abs(own).max(axis=1)
    return {"classes_that_differ": int((best != net.predict(images)).sum()), "relative": float(f"{apart.max():.2g}")}


def by_onnx(net: Any, images: np.ndarray, folder: Path) -> np.ndarray:
    """Export the network to ONNX; return the outputs of ONNX Runtime for uint8 images."""
    import onnxruntime

    lenet5.export(net, folder / "net.onnx", prepare=True, outputs=["scores"])
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"))
    return np.concatenate([session.run(None, {"images": images[k : k + 500]})[0] for k in range(0, len(images), 500)])


def by_torch(net: Any, images: np.ndarray, folder: Path) -> np.ndarray:
    """Convert the network to a PyTorch module; return its outputs."""
    import torch

    module = interop.to_torch(net).module
    with torch.no_grad():
        parts = [module(torch.from_numpy(net.prepared(images[k : k + 500]))) for k in range(0, len(images), 500)]
    return np.concatenate([part.numpy() for part in parts])


def by_keras(net: Any, images: np.ndarray, folder: Path) -> np.ndarray:
    """Export the network as a Keras model; return its outputs."""
    import keras

    lenet5.export(net, folder / "net.keras")
    model = keras.models.load_model(folder / "net.keras")
    return model.predict(net.prepared(images).transpose(0, 2, 3, 1), verbose=0, batch_size=500)


def gradients(net: Any, images: np.ndarray) -> float:
    """Return the largest difference of gradients from PyTorch's, relative to a parameter's largest gradient."""
    import torch

    x, module = net.prepared(images[:16]), interop.to_torch(net).module
    y = net.forward(x)
    dy = np.random.default_rng(0).normal(size=y.shape).astype(y.dtype)
    net.backward(dy)
    module(torch.from_numpy(x)).backward(torch.from_numpy(dy))
    theirs = {name: p.grad for name, p in module.named_parameters()} | dict(module.named_buffers())
    twin = interop.from_torch(theirs, net.replica() if net.spec is None else models.from_spec(net.spec))
    pairs = zip(net.parameters(), twin.parameters(), strict=True)
    return max(float(np.abs(own.grad - other.value).max() / np.abs(own.grad).max()) for own, other in pairs)


def both_ways(net: Any, folder: Path) -> bool:
    """Return whether the weights are bit-identical after export to PyTorch or Keras and import back."""
    twin = models.from_spec(net.spec)
    same = [np.array_equal(interop.from_torch(interop.to_torch(net).module, twin).theta, net.theta)]
    for name in ("net.keras", "net.weights.h5"):
        lenet5.export(net, folder / name)
        same.append(np.array_equal(interop.from_keras(folder / name, models.from_spec(net.spec)).theta, net.theta))
    return all(same)


def by_c(net: Any, train: Any, test: Any, folder: Path, *, int8: bool) -> dict[str, Any]:
    """Run the exported C source on the test images; return the comparison, the test error, and sizes in bytes."""
    source, library = folder / "net.c", folder / f"net{int8:d}.so"
    lenet5.export(net, source, **({"int8": True, "images": train.images[:1000]} if int8 else {}))
    subprocess.run(["cc", *STRICT, "-O2", "-fPIC", "-shared", "-o", library, source, "-lm"], check=True)
    predict = ctypes.CDLL(str(library)).predict
    out, answers = np.zeros((len(test), 10), np.float32), np.zeros(len(test), int)
    for k, image in enumerate(test.images):
        answers[k] = predict(image.ctypes.data_as(ctypes.c_void_p), out[k].ctypes.data_as(ctypes.c_void_p))
    subprocess.run(["cc", *STRICT, "-Os", "-c", "-o", folder / "net.o", source], check=True)
    stated = {line.split()[1]: line for line in source.read_text().partition("*/")[0].splitlines() if "bytes" in line}
    numbers = [int(word.replace(",", "")) for word in stated["constants"].split() if word[0].isdigit()]
    size = subprocess.run(["size", folder / "net.o"], capture_output=True, text=True, check=True).stdout.split()
    return {
        **compared(net, test.images, out),
        "error": float((answers != test.labels).mean()),
        "bytes_of_constants": numbers[0],
        "bytes_of_weights": numbers[1],
        "bytes_of_activations": int(stated["activations"].split()[2].replace(",", "")),
        "bytes_of_code": int(size[6]) - numbers[0],
    }


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(": ")[2])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    options = parser.parse_args()
    train, test = datasets.load("mnist", download=False)
    coloured = np.random.default_rng(0).integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, build in NETWORKS.items():
            net = build()
            images = coloured if net.in_shape[0] == 3 else test.images
            row: dict[str, Any] = {
                by: compared(net, images, run(net, images, folder))
                for by, run in {"onnx": by_onnx, "torch": by_torch, "keras": by_keras}.items()
            }
            row["torch"]["gradients"] = float(f"{gradients(net, images):.2g}")
            figures[what] = row | {"same_bits_back": both_ways(net, folder)}
            print(what, json.dumps(figures[what]), flush=True)
        net = lenet5.pretrained()
        for int8 in (False, True):
            figures[f"c {'int8' if int8 else 'float32'}"] = by_c(net, train, test, folder, int8=int8)
    print(json.dumps(figures, indent=1))
    if options.json:
        with atomic_write(options.json, text=True) as file:
            json.dump(
                {"command": "python -m benchmarks.exchange", "networks": figures} | circumstances(), file, indent=1
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
