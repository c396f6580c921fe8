"""Exported C source, compiled with all warnings as errors, compared with the original network."""

import ctypes
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, models
from lenet5.analysis.pruning import delete
from lenet5.arrays import Learned
from lenet5.errors import ConfigError

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror")
pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs a C compiler, gcc or clang")


def filled(net, seed=3):
    """Fill running statistics and biases with random values, as after training; return the network."""
    rng = np.random.default_rng(seed)
    for key, array in net.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if key.endswith("variance") else rng.normal(0, 0.3, array.shape)
    for p in net.parameters():
        if p.name.endswith("bias"):
            p.value[...] = rng.normal(0, 0.2, p.value.shape)
    return net


def built(*layers, shape=(1, 28, 28)):
    net = lenet5.Sequential(layers)
    net.build(shape, rng=np.random.default_rng(5))
    return filled(net)


NETWORKS = {
    "shipped": lenet5.pretrained,
    "lenet4": models.lenet4,
    "lenet1": models.lenet1,
    "mattwang44": models.mattwang44,
    "softmax": lambda: filled(models.lenet5(output="softmax", subsampling="max")),
    "norm": lambda: filled(models.d2l(norm=True, dropout=0.5)),
    "relu": lambda: filled(models.d2l(activation="relu", subsampling="max")),
    "colour": lambda: filled(models.cifar10()),
    "table": lambda: models.lenet5(dtype=np.float64, classes=3),
    **{name: lambda name=name: filled(models.d2l(activation=name)) for name in ("leaky-relu", "prelu", "elu", "tanh")},
    "odd": lambda: built(
        lenet5.Conv2D(4, (3, 4), stride=(2, 1), padding="same"), lenet5.PReLU(), lenet5.Repeat(2),
        lenet5.ZeroPad2D(1, 0, 2, 1), lenet5.Subsampling(3, stride=2, coefficient=0.3), lenet5.BatchNorm(),
        lenet5.ELU(0.7), lenet5.AvgPool2D(3, stride=1), lenet5.MaxPool2D(2), lenet5.LeakyReLU(0.2), lenet5.Dropout(),
        lenet5.Flatten(), lenet5.BatchNorm(), lenet5.Dense(9, bias=0.2), lenet5.Sigmoid(), lenet5.Dense(5),
        lenet5.BatchNorm(), lenet5.PReLU(-0.4),
    ),
    "ends in maps": lambda: built(lenet5.Conv2D(3, 5), lenet5.Tanh(), lenet5.AvgPool2D(24), shape=(1, 28, 28)),
    "bends after a negative scale": lambda: negative(built(
        lenet5.Conv2D(3, 5), lenet5.BatchNorm(), lenet5.LeakyReLU(0.3), lenet5.Flatten(), lenet5.Dense(4)
    )),
}  # fmt: skip


def negative(net):
    net.layers[1].weight.value[...] = [-0.7, 0.0, 0.9]
    return net


def images_for(net, count):
    if net.in_shape[0] == 3:
        return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return datasets.load("digits")[1].images[:count]


def compiled(path, compiler, *flags):
    library = path.with_suffix(f".{compiler}.so")
    subprocess.run([compiler, *STRICT, "-O2", "-fPIC", "-shared", *flags, "-o", library, path, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def asked(library, images, classes):
    """Return the classes and outputs of the C library, and check that it does not write beyond `out`."""
    out, found = np.full((len(images), classes + 1), 7.0, np.float32), []
    images = np.ascontiguousarray(images)
    for image, row in zip(images, out, strict=True):
        found.append(library.predict(image.ctypes.data_as(ctypes.c_void_p), row.ctypes.data_as(ctypes.c_void_p)))
    assert (out[:, -1] == 7.0).all()
    return np.array(found), out[:, :-1]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_float32(name, compiler, tmp_path):
    net = NETWORKS[name]()
    images, classes = images_for(net, 40), int(np.prod(net.out_shape))
    lenet5.export(net, tmp_path / "net.c")
    found, out = asked(compiled(tmp_path / "net.c", compiler), images, classes)
    expected = net.outputs(images).reshape(len(images), -1)
    # Sums are formed in another order, so that some last digits differ.
    assert np.abs(out - expected).max() <= 5e-6 * np.abs(expected).max()
    assert (found == (out.argmin(axis=1) if net.outputs_penalties else out.argmax(axis=1))).all()
    if len(net.out_shape) == 1:
        assert (found == net.predict(images)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_int8(name, tmp_path):
    net = NETWORKS[name]()
    images, classes = images_for(net, 200), int(np.prod(net.out_shape))
    lenet5.export(net, tmp_path / "net.c", int8=True, images=images)
    _, out = asked(compiled(tmp_path / "net.c", COMPILERS[0]), images, classes)
    expected = net.outputs(images).reshape(len(images), -1)
    # The step of 8 bits is 1/255 of the range, and rounding errors of several layers add up.
    assert np.abs(out - expected).mean() <= 0.03 * np.ptp(expected)
    assert np.abs(out - expected).max() <= 0.15 * np.ptp(expected)
    assert np.corrcoef(out.ravel(), expected.ravel())[0, 1] > 0.99


def weighted(factor, bias):
    """Return a network with a convolution whose second map has small weights and a bias."""
    net = built(lenet5.Conv2D(3, 5), lenet5.ReLU(), lenet5.Flatten(), lenet5.Dense(4))
    net.layers[0].weight.value[1] *= factor
    net.layers[0].bias.value[1] = bias
    return net


def constant(*layers):
    """Return a network with sub-sampling that multiplies by 0."""
    return built(lenet5.Conv2D(3, 5), lenet5.Subsampling(2, coefficient=0.0), *layers, lenet5.Dense(4))


def normalised():
    net = built(lenet5.Conv2D(3, 5), lenet5.BatchNorm(), lenet5.ReLU(), lenet5.Flatten(), lenet5.Dense(4))
    net.layers[1].weight.value[1], net.layers[1].bias.value[1] = 0.0, 2.0
    return net


AWKWARD = {
    "a map of small weights": lambda: weighted(1e-4, 1.0),
    "a map of tiny weights": lambda: weighted(1e-7, 1.0),
    "a map without weights": lambda: weighted(0, 1.0),
    "a map with neither": lambda: weighted(0, 0.0),
    "a map normalised to a constant": normalised,
    "sub-sampling to constants": lambda: constant(lenet5.ScaledTanh(), lenet5.Flatten()),
    "sub-sampling to zeros": lambda: unbiased(constant(lenet5.ScaledTanh(), lenet5.Flatten())),
    "ELU first": lambda: built(lenet5.ELU(), lenet5.Flatten(), lenet5.Dense(4)),
    "squash first": lambda: built(lenet5.ScaledTanh(), lenet5.Flatten(), lenet5.Dense(4)),
}


def unbiased(net):
    for layer in net.layers[:2]:
        layer.bias.value[...] = 0
    return net


@pytest.mark.parametrize("name", AWKWARD)
def test_int8_of_maps_that_hardly_vary(name, tmp_path):
    net = AWKWARD[name]()
    images = images_for(net, 50)
    lenet5.export(net, tmp_path / "net.c", int8=True, images=images)
    _, out = asked(compiled(tmp_path / "net.c", COMPILERS[0]), images, 4)
    expected = net.outputs(images)
    assert np.abs(out - expected).max() <= 0.015 * np.abs(expected).max()


def test_int8_reads_as_well(tmp_path):
    train, test = datasets.load("digits")
    net = lenet5.pretrained()
    lenet5.export(net, tmp_path / "net.c", int8=True, images=train.images[:1000])
    found, _ = asked(compiled(tmp_path / "net.c", COMPILERS[0]), test.images, 10)
    assert (found != test.labels).mean() <= (net.predict(test.images) != test.labels).mean() + 0.01


def test_ten_thousand_images_of_mnist(tmp_path):
    try:
        train, test = datasets.load("mnist", download=False)
    except lenet5.LenetError:
        pytest.skip("needs MNIST on disk")
    net = lenet5.pretrained()
    lenet5.export(net, tmp_path / "float.c")
    found, out = asked(compiled(tmp_path / "float.c", COMPILERS[0]), test.images, 10)
    assert (found == net.predict(test.images)).all()
    np.testing.assert_allclose(out, net.outputs(test.images), rtol=1e-4)
    lenet5.export(net, tmp_path / "int8.c", int8=True, images=train.images[:1000])
    quantised, _ = asked(compiled(tmp_path / "int8.c", COMPILERS[0]), test.images, 10)
    assert (quantised != test.labels).mean() <= (found != test.labels).mean() + 0.001


def stated(path):
    text = path.read_text()
    numbers = {name: int(value.replace(",", "")) for name, value in re.findall(r"^ \* (\w+) +([\d,]+)", text, re.M)}
    parameters = int(re.search(r"([\d,]+) of them", text)[1].replace(",", ""))
    return text, numbers | {"parameters": parameters}


@pytest.mark.parametrize("int8", [False, True])
def test_sizes_are_as_stated(int8, tmp_path):
    path = tmp_path / "net.c"
    lenet5.export(
        lenet5.pretrained(), path, **({"int8": True, "images": images_for(lenet5.pretrained(), 50)} if int8 else {})
    )
    text, numbers = stated(path)
    sizes = {"float": 4, "int32_t": 4, "uint16_t": 2, "int8_t": 1}
    arrays = re.findall(r"^static const (\w+) \w+\[(\d+)\] = ", text, re.M)
    assert numbers["constants"] == sum(sizes[kind] * int(count) for kind, count in arrays)
    kind, count = re.search(r"static (\w+) room\[(\d+)\]", text).groups()
    assert numbers["activations"] == sizes[kind] * int(count) <= (6_000 if int8 else 24_576)
    assert numbers["parameters"] <= (64_000 if int8 else 4 * 61_000)
    assert numbers["MACs"] == sum(layer.multiply_adds() for layer in lenet5.pretrained().sublayers())
    # In the object file, the activations are the only uninitialised data.
    subprocess.run([COMPILERS[0], *STRICT, "-Os", "-c", "-o", tmp_path / "net.o", path], check=True)
    if shutil.which("size"):
        row = subprocess.run(
            ["size", tmp_path / "net.o"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[1]
        assert numbers["activations"] <= int(row.split()[2]) < numbers["activations"] + 64


def test_kernels_that_are_zero_are_left_out(tmp_path):
    net = models.d2l(activation="relu")
    lenet5.export(net, tmp_path / "whole.c")
    net["C3"].weight.value[2, 1] = 0
    net["C3"].weight.value[5] = 0
    lenet5.export(net, tmp_path / "pruned.c")
    sizes = [stated(tmp_path / name)[1]["parameters"] for name in ("whole.c", "pruned.c")]
    assert sizes[0] - sizes[1] == 4 * 7 * 25
    images = images_for(net, 20)
    _, out = asked(compiled(tmp_path / "pruned.c", COMPILERS[0]), images, 10)
    np.testing.assert_allclose(out, net.outputs(images), atol=1e-5)


def pruned(net, share=0.1):
    """Delete most weights of a network at random; return the network."""
    params = net.parameters()
    rng = np.random.default_rng(7)
    delete(net, rng.random(params.value.size) + ["weight" not in p.name for p in params for _ in range(p.size)],
           keep=int(share * params.value.size))  # fmt: skip
    return net


PRUNED = {
    "shipped": lambda: pruned(lenet5.pretrained()),
    "table and table": lambda: pruned(models.lenet4(), 0.05),
    "relu": lambda: pruned(filled(models.d2l(activation="relu", subsampling="max"))),
    "norm": lambda: pruned(NETWORKS["norm"]()),
    "far apart": lambda: pruned(built(  # distances between inputs do not fit into a byte
        lenet5.Conv2D(3, 3, stride=(2, 3)), lenet5.Tanh(), lenet5.Conv2D(4, 5), lenet5.Tanh(), lenet5.Flatten(),
        lenet5.Dense(6), lenet5.Tanh(), lenet5.Dense(4),
    ), 0.05),
}  # fmt: skip


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", PRUNED)
def test_pruned_weights_are_left_out(name, compiler, tmp_path, monkeypatch):
    net = PRUNED[name]()
    images, classes = images_for(net, 40), net.out_shape[0]
    lenet5.export(net, tmp_path / "net.c")
    text, numbers = stated(tmp_path / "net.c")
    assert "convolve_sparse(" in text
    kept, codes = int(net.parameters().kept.sum()), net.layers[-1].codes
    # In addition to the kept weights, biases, scales and zeros that bridge long distances are written.
    there = 1.1 * kept + (0 if codes is None else codes.size) + 350
    assert numbers["parameters"] < 4 * there < 0.4 * 4 * net.theta.size
    _, out = asked(compiled(tmp_path / "net.c", compiler), images, classes)
    expected = net.outputs(images)
    assert np.abs(out - expected).max() <= 5e-6 * np.abs(expected).max()
    lenet5.export(net, tmp_path / "int8.c", int8=True, images=images)
    text, eight = stated(tmp_path / "int8.c")
    if net.theta.size > 55_000:  # in small networks multipliers take more than weights
        assert "convolve_sparse_q(" in text and eight["constants"] < numbers["constants"]
    found = asked(compiled(tmp_path / "int8.c", compiler), images, classes)
    monkeypatch.setattr(sys.modules["lenet5.export.int8"], "sparse", lambda *arguments: None)
    lenet5.export(net, tmp_path / "whole.c", int8=True, images=images)
    assert "sparse" not in (tmp_path / "whole.c").read_text()
    for one, other in zip(found, asked(compiled(tmp_path / "whole.c", compiler), images, classes), strict=True):
        np.testing.assert_array_equal(one, other)  # sums of integers do not depend on their order


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("name", ["shipped", "odd", "pruned"])
def test_no_undefined_behaviour(name, int8, compiler, tmp_path):
    net = PRUNED["far apart"]() if name == "pruned" else NETWORKS[name]()
    images = images_for(net, 8)
    lenet5.export(net, tmp_path / "net.h", **({"int8": True, "images": images} if int8 else {}))
    (tmp_path / "images.bin").write_bytes(images.tobytes())
    classes = net.out_shape[0]
    (tmp_path / "main.c").write_text(
        f"""#include <stdio.h>
#include "net.h"
#include "net.h"
int main(int argc, char **argv)
{{
    uint8_t image[784];
    float out[{classes}];
    int i;
    FILE *file = fopen(argv[argc - 1], "rb");
    while (file && fread(image, 1, 784, file) == 784) {{
        printf("%d", predict(image, out));
        for (i = 0; i < {classes}; i++)
            printf(" %.9g", (double)out[i]);
        printf("\\n");
    }}
    return 0;
}}
"""
    )
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(
        [compiler, *STRICT, *flags, "-o", tmp_path / "main", tmp_path / "main.c", "-lm"], capture_output=True, text=True
    )
    if "cannot find" in built.stderr:
        pytest.skip(f"{compiler} has no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "main", tmp_path / "images.bin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = np.array([line.split() for line in done.stdout.splitlines()], float)
    assert len(rows) == len(images)
    if not int8:
        np.testing.assert_allclose(rows[:, 1:], net.outputs(images), atol=5e-6 * np.abs(rows[:, 1:]).max())


def test_more_kernels_than_a_table_counts(tmp_path):
    net = built(lenet5.Conv2D(260, 1), lenet5.Conv2D(260, 1, stride=14), lenet5.Flatten(), lenet5.Dense(4))
    net.layers[1].weight.value[0, 0] = 0
    images = images_for(net, 2)
    lenet5.export(net, tmp_path / "net.c")
    _, out = asked(compiled(tmp_path / "net.c", COMPILERS[0]), images, 4)
    np.testing.assert_allclose(out, net.outputs(images), atol=5e-6 * np.abs(out).max())


def test_layers_whose_arrays_would_share_a_name(tmp_path):
    first, second = lenet5.Conv2D(3, 5), lenet5.Conv2D(3, 5)
    first.name, second.name = "A", "A.weight"
    net = built(first, second, lenet5.Flatten(), lenet5.Dense(4))
    images = images_for(net, 3)
    lenet5.export(net, tmp_path / "net.c")
    _, out = asked(compiled(tmp_path / "net.c", COMPILERS[0]), images, 4)
    np.testing.assert_allclose(out, net.outputs(images), atol=5e-6 * np.abs(out).max())


@pytest.mark.parametrize("value", ["*\\ int x;", "ab\0cd", "/\\* x", "\r*/ q", "*\n/", "x" * 300])
def test_notes_stay_in_their_comment(value, tmp_path):
    lenet5.export(models.lenet1(), tmp_path / "net.c", notes={value: value})
    compiled(tmp_path / "net.c", COMPILERS[0])
    comment = (tmp_path / "net.c").read_text().partition("*/")[0]
    assert comment.count("x") >= 2 * value.count("x")  # broken into lines, but complete


def test_names_of_classes_and_notes(tmp_path):
    names = ('a "quote"', "back\\slash", "tri??/graph", "*/ int", "Ünï\n2", "plain", "6", "7", "8", "9")
    net = models.lenet5()
    net.learned = Learned(names)
    lenet5.export(net, tmp_path / "net.c", notes={"dataset": "mine */ #error /* ??/ \\ \n int x;"})
    library = compiled(tmp_path / "net.c", COMPILERS[0], "-trigraphs", "-Wtrigraphs")
    found = (ctypes.c_char_p * 10).in_dll(library, "lenet5_classes")
    assert [each.decode() for each in found] == list(names)


def test_what_cannot_be_written(tmp_path):
    class Own(lenet5.Layer):
        def forward(self, x):
            return x

    class Other(lenet5.ScaledTanh):
        def _f(self, x, y):
            y[...] = x

    for layer, name in ((Own(), "Own"), (Other(), "Other")):
        net = built(layer, lenet5.Flatten(), lenet5.Dense(3))
        with pytest.raises(ConfigError, match=f"{name} has no `operation`"):
            lenet5.export(net, tmp_path / "net.c")
    with pytest.raises(ConfigError, match="images=train.images"):
        lenet5.export(lenet5.pretrained(), tmp_path / "net.c", int8=True)
    failed = lenet5.lenet5()
    failed["C1"].weight.value[0] = np.nan
    for options in ({}, {"int8": True, "images": images_for(failed, 5)}):
        with pytest.raises(ConfigError, match="not finite"):
            lenet5.export(failed, tmp_path / "net.c", **options)
    large = lenet5.lenet5(dtype=np.float64)
    large["F6"].bias.value[0] = 1e39
    broken = built(lenet5.Conv2D(3, 5), lenet5.BatchNorm(), lenet5.Flatten(), lenet5.Dense(4))
    broken.layers[1].running()["mean"][0] = np.nan
    for net in (large, broken):
        for options in ({}, {"int8": True, "images": images_for(net, 5)}):
            with pytest.raises(ConfigError, match="not finite in float32"):
                lenet5.export(net, tmp_path / "net.c", **options)
    far = built(lenet5.Flatten(), lenet5.Dense(84), lenet5.ScaledTanh(), lenet5.RBF(np.full((3, 84), 40.0)))
    with pytest.raises(ConfigError, match="cannot represent the codes"):
        lenet5.export(far, tmp_path / "net.c", int8=True, images=images_for(far, 5))
    with pytest.raises(ConfigError, match="vectors"):
        lenet5.export(built(lenet5.Dense(3), shape=(5,)), tmp_path / "net.c")
    assert not list(tmp_path.iterdir())
