"""The network of 1998: the paper's counts, derivatives compared with an independent implementation, and the API."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from reference import Reference

import lenet5
from lenet5 import MAP, MLE, ConfigError, SoftmaxCrossEntropy, SquaredError, bitmaps, gradcheck
from lenet5.engine.row import criterion_of
from lenet5.errors import ShapeError
from lenet5.files import forget
from lenet5.layers import (
    ELU,
    RBF,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Repeat,
    ScaledTanh,
    Sigmoid,
    Subsampling,
    Tanh,
    ZeroPad2D,
)
from lenet5.training.shards import Shards


def test_the_papers_counts():
    net = lenet5.lenet5()
    paper = {
        "C1": (156, 122_304, (6, 28, 28)),
        "S2": (12, 5_880, (6, 14, 14)),
        "C3": (1_516, 151_600, (16, 10, 10)),
        "S4": (32, 2_000, (16, 5, 5)),
        "C5": (48_120, 48_120, (120, 1, 1)),
        "F6": (10_164, 10_164, (84,)),
        "output": (0, 840, (10,)),
    }
    for name, (parameters, connections, shape) in paper.items():
        layer = net[name]
        assert sum(p.size for p in layer.parameters()) == parameters, name
        assert (layer.connections(), layer.out_shape) == (connections, shape), name
    assert net.theta.size == 60_000
    assert net.connections() == 340_908


def test_start_of_the_weights():
    net = lenet5.lenet5(seed=3)
    for name, fan_in in (("C1", 25), ("C5", 400), ("F6", 120)):
        bound = np.abs(net.parameters()[f"{name}.weight"].value).max() * np.sqrt(fan_in)
        assert 0.95 < bound <= 1, name
    assert not net.parameters()["C3.bias"].value.any()
    assert (net.parameters()["S2.coefficient"].value == 1).all()
    kernels = net.parameters()["C3.weight"].value
    # Map 15 is connected to six maps (fan-in 150), map 0 to three (75): the last six kernels are smaller.
    assert np.abs(kernels[-6:]).max() <= 1 / np.sqrt(150) < np.abs(kernels[:18]).max() <= 1 / np.sqrt(75)


def test_same_seed_same_weights_in_both_precisions():
    single, double = (lenet5.lenet5(seed=7, dtype=t) for t in (np.float32, np.float64))
    np.testing.assert_array_equal(single.theta, double.theta.astype(np.float32))
    assert (single.theta != lenet5.lenet5(seed=8).theta).any()


def test_derivatives_against_an_independent_recursion():
    net = lenet5.lenet5(dtype=np.float64, seed=1)
    rng = np.random.default_rng(0)
    net.theta += rng.normal(0, 0.02, net.theta.size)  # move biases and coefficients away from 0 and 1
    x, labels, j = rng.uniform(-0.1, 1.175, (3, 1, 32, 32)), np.array([3, 8, 0]), 0.7
    # Move F6 towards two codes, so that all terms of eq. 9's curvature contribute.
    net["F6"].bias.value[...] = 2 * (bitmaps.codes()[3] + bitmaps.codes()[8])
    loss = MAP(j)
    y = net.forward(x)
    value = loss.forward(y, labels)
    net.backward(loss.backward())
    net.bbprop(loss.bbprop())

    reference = Reference({p.name: p.value for p in net.parameters()}, bitmaps.codes())
    total, grads, hesses = 0.0, {}, {}
    for image, label, found in zip(x, labels, y, strict=True):
        penalties = reference.forward(image[0])
        np.testing.assert_allclose(found, penalties, rtol=1e-12)
        total += reference.loss(penalties, label, j) / 3
        for sums, part in zip((grads, hesses), reference.derivatives(penalties, label, j), strict=True):
            for name, v in part.items():
                sums[name] = sums.get(name, 0) + v / 3
    assert value == pytest.approx(total, rel=1e-12)
    assert grads.keys() == {p.name for p in net.parameters()}
    for p in net.parameters():
        for found, expected in ((p.grad, grads[p.name]), (p.hess, hesses[p.name])):
            assert np.abs(found - expected).max() < 1e-10 * np.abs(expected).max(), p.name


SMALL_TABLE = """
    X X . X
    . X X X
    X . X X
"""


def small_network(dtype):
    """Return a network with the kinds of layers that the paper's network lacks."""
    layers = [Conv2D(3, (3, 2), name="A"), Sigmoid(), MaxPool2D(3, stride=2, name="B")]
    layers += [Conv2D(4, 3, table=SMALL_TABLE, name="C"), ReLU(), AvgPool2D(2, name="D")]
    layers += [
        Subsampling(2, stride=1, name="E"),
        Sigmoid(),
        Tanh(),
        Flatten(),
        Dense(5, name="F"),
        Tanh(),
        Dense(6, name="G"),
    ]
    net = lenet5.Sequential(layers)
    net.build((2, 15, 16), dtype=dtype, rng=np.random.default_rng(0))
    return net


def padded_network(dtype):
    """Return a network with all kinds of padding, and kernels of many sizes."""
    layers = [Conv2D(4, 5, padding="same", name="A"), Tanh(), Conv2D(3, 3, padding=(1, 2), name="B"), ReLU()]
    layers += [
        ZeroPad2D(0, 1, 2, 1),
        MaxPool2D(2),
        Repeat(2),
        Conv2D(5, (7, 2), padding="same", name="C"),
        Tanh(),
        Conv2D(2, 1, name="D"),
        ELU(0.7),
    ]
    layers += [
        Conv2D(6, 4, padding=2, name="E"),
        LeakyReLU(0.2),
        Conv2D(7, (5, 8), name="F"),
        Flatten(),
        Dense(4, name="G"),
    ]
    net = lenet5.Sequential(layers)
    net.build((2, 9, 12), dtype=dtype, rng=np.random.default_rng(0))
    return net


# The rounding error of float32 is 6e-8, and sums of up to 784 terms are formed in another order.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize(
    "loss", [MAP(0.7, scale=0.5), MLE(), SoftmaxCrossEntropy(scale=2), SoftmaxCrossEntropy(0.1), SquaredError()]
)
@pytest.mark.parametrize("kind", ["trainable", "average", "max", "small", "padded"])
@pytest.mark.parametrize("n", [3, 19, 37])  # single patterns; 16 side by side and 3; a shard of 32 and 5
def test_the_compiled_network_equals_its_layers(kind, loss, dtype, tolerance, n):
    output = "rbf" if isinstance(loss, MAP | MLE) else "softmax"
    own = {"small": small_network, "padded": padded_network}
    net = own[kind](dtype) if kind in own else lenet5.lenet5(subsampling=kind, output=output, dtype=dtype)
    rng = np.random.default_rng(1)
    x = rng.uniform(-0.1, 1.175, (n, *net.in_shape)).astype(dtype)
    labels = rng.integers(net.out_shape[0], size=n)
    fast, slow = Shards(net, loss), Shards(net, loss, use_compiled=False)
    params = net.parameters()

    def close(found, expected):
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()

    y = net.forward(x).copy()
    close(net.outputs(x), y)
    for what, part in (("gradient", params.grad), ("curvature", params.hess)):
        value, errors = getattr(slow, what)(x, labels)
        expected = part.copy()
        part[...] = np.nan
        assert getattr(fast, what)(x, labels) == (pytest.approx(value, rel=tolerance), errors)
        close(part, expected)
    assert fast.evaluate(x, labels)[1] == slow.evaluate(x, labels)[1]

    rates = rng.uniform(0.001, 0.002, params.value.size).astype(dtype)
    start, total = params.value.copy(), 2.0
    for k in range(3):
        total += slow.gradient(x[k : k + 1], labels[k : k + 1])[0]
        params.value -= rates * params.grad
    end, params.value[...] = params.value.copy(), start
    assert fast.step(x[:3], labels[:3], rates, 2.0)[0] == pytest.approx(total, rel=10 * tolerance)
    assert np.abs(end - start).max() > 1e-4
    close(params.value, end)
    assert fast.steps and not slow.steps


def test_what_is_not_compiled_goes_through_its_layers():
    class Doubled(Dense):
        def forward(self, x):
            return 2 * super().forward(x)

    class OwnLoss(MLE):
        def backward(self):
            return 2 * super().backward()

    class Renamed(MLE):
        pass

    net = lenet5.Sequential([Doubled(3, name="d"), Flatten()])
    net.build((4,), rng=np.random.default_rng(0))
    assert net.program() is None and net.uncompiled() == [net["d"]]
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(net.outputs(x), net.forward(x))
    assert criterion_of(OwnLoss()) is None and criterion_of(Renamed()) and criterion_of(MLE())


@pytest.mark.parametrize("subsampling", ["trainable", "average", "max"])
@pytest.mark.parametrize(
    "loss", [MAP(scale=0.5), MLE(), SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1), SquaredError()]
)
def test_gradients_of_the_whole_network(subsampling, loss):
    output = "rbf" if isinstance(loss, MAP | MLE) else "softmax"
    net = lenet5.lenet5(subsampling=subsampling, output=output, seed=2)
    x = np.random.default_rng(1).uniform(-0.1, 1.175, (2, 1, 32, 32))
    # In some of the 1,176 windows above C1, the two largest values differ by less than 1e-4. A shorter step does not
    # change the maximum, but increases the rounding error to 1e-16 / step of a loss near 100.
    step, tolerance = (3e-7, 1e-5) if subsampling == "max" else (1e-4, 1e-7)
    report = gradcheck.check(net, x=x, loss=loss, samples=12, step=step)
    assert max(report.gradient.values()) < tolerance, f"\n{report}"


def test_curvature_of_every_layer_within_the_network():
    report = gradcheck.check(lenet5.lenet5(), batch=1, samples=1)
    assert len(report.curvature) == 12 + 13  # parameters, and inputs of layers
    assert report.ok, f"\n{report}"


def test_a_larger_image_gives_maps_of_outputs():
    net = lenet5.lenet5(seed=4)
    rng = np.random.default_rng(2)
    wide = rng.uniform(-0.1, 1.175, (2, 1, 32, 96)).astype(np.float32)
    y = net.forward(wide).copy()
    assert y.shape == (2, 10, 1, 17)
    # Column k is the output of the network at pixel 4k, because of two sub-samplings by 2.
    for k in (0, 5, 16):
        crop = np.ascontiguousarray(wide[:, :, :, 4 * k : 4 * k + 32])
        np.testing.assert_allclose(y[:, :, 0, k], net.forward(crop), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(net.sweep(wide), y, rtol=1e-4, atol=1e-4)
    with pytest.raises(ShapeError, match=r"net\.sweep"):
        net.predict(wide)
    assert net.forward(np.zeros((1, 1, 36, 40), np.float32)).shape == (1, 10, 2, 3)


def test_a_larger_image_can_be_differentiated():
    report = gradcheck.check(
        lenet5.lenet5(), x=np.random.default_rng(3).uniform(-0.1, 1.175, (1, 1, 32, 40)), samples=5
    )
    assert report.ok, f"\n{report}"


def test_images_in_every_form():
    net = lenet5.lenet5()
    images = np.random.default_rng(0).integers(0, 256, (600, 28, 28), dtype=np.uint8)
    prepared = net.prepare(images)
    assert prepared.shape == (600, 1, 32, 32) and prepared.dtype == np.float32
    labels = net.predict(images)
    assert labels.shape == (600,) and labels.dtype == np.int64
    np.testing.assert_array_equal(net.predict(prepared), labels)
    np.testing.assert_array_equal(net.predict(prepared.astype(np.float64)), labels)
    np.testing.assert_array_equal(net.predict(images[5]), labels[5:6])
    assert net.predict(images[:0]).shape == (0,)
    assert net.predict_proba(images[:0]).shape == (0, 10)
    np.testing.assert_array_equal(labels, net.outputs(images).argmin(axis=1))
    with pytest.raises(ShapeError):
        net.predict(prepared[:, 0])


def test_probabilities_are_shares_of_the_penalties():
    net = lenet5.lenet5()
    net["F6"].bias.value[...] = bitmaps.codes()[6] * 3  # close to the codes of 6 and 8
    p = net.predict_proba(np.zeros((28, 28), np.uint8))
    y = net.outputs(np.zeros((28, 28), np.uint8)).astype(np.float64)
    np.testing.assert_allclose(p, np.exp(-y) / np.exp(-y).sum(), rtol=1e-4, atol=1e-30)  # less is 0 in float32
    assert p.argmax() == 6 and p.sum() == pytest.approx(1)


def test_feature_maps_of_one_image_and_of_several():
    net = lenet5.lenet5()
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    maps = net.feature_maps(images[0])
    assert list(maps) == ["input", "C1", "S2", "C3", "S4", "C5", "F6", "output"]
    shapes = [(1, 32, 32), (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,)]
    assert [m.shape for m in maps.values()] == shapes
    both = net.feature_maps(images)
    for name, m in maps.items():
        np.testing.assert_allclose(both[name][0], m, rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(maps["C1"]).max() <= 1.7160  # maps are shown after the squashing function
    before = maps["F6"].copy()
    net.predict(images)
    np.testing.assert_array_equal(maps["F6"], before)  # copies, not the network's workspace


def test_theta_is_the_network():
    net = lenet5.lenet5()
    net.theta = np.arange(60_000)
    assert net["C1"].weight.value.ravel()[3] == 3
    assert net.parameters()["F6.bias"].value[-1] == 59_999
    with pytest.raises(KeyError, match="F6"):
        net["F7"]
    with pytest.raises(KeyError, match=r"F6\.bias"):
        net.parameters()["F6.biases"]


def test_copies_are_whole_networks():
    net = lenet5.lenet5()
    twin = copy.deepcopy(net)
    image = np.zeros((28, 28), np.uint8)
    before = net.outputs(image)
    net.theta[:] = 0
    np.testing.assert_array_equal(twin.outputs(image), before)
    twin.theta[:] = 5
    assert (twin["F6"].weight.value == 5).all() and (twin.outputs(image) != before).all()


def test_options_of_the_builder():
    assert lenet5.lenet5(subsampling="average").theta.size == 60_000 - 44
    assert lenet5.lenet5(output="softmax")["output"].out_shape == (10,)
    assert lenet5.lenet5(codes="0123456789ABCDEF").out_shape == (16,)
    for wrong in ({"subsampling": "mean"}, {"output": "tanh"}, {"init": "zeros"}, {"codes": "\u00e4"}):
        with pytest.raises(ConfigError):
            lenet5.lenet5(**wrong)


def test_layers_without_names_and_networks_in_networks():
    inner = lenet5.Sequential([Dense(5), Tanh(), Dense(4), Tanh()], name="inner")
    net = lenet5.Sequential([Dense(6), inner, Dense(3)])
    net.build((4,), rng=np.random.default_rng(0))
    assert [layer.name for layer in inner] == ["Dense", "Tanh", "Dense2", "Tanh2"]
    assert [p.name for p in net.parameters()][2] == "inner.Dense.weight"
    assert gradcheck.check(net, samples=20)
    net.theta[:] = 0
    assert not inner["Dense"].weight.value.any() and not inner.theta.any()
    again = pickle.loads(pickle.dumps(net))
    again.theta[:] = 1
    assert (again["inner"]["Dense"].bias.value == 1).all()


def test_assigned_values_stay_in_the_network():
    net = lenet5.lenet5()
    net["C1"].weight.value = np.full((6, 1, 5, 5), 2.0)
    assert (net.theta[:150] == 2).all()
    with pytest.raises(ValueError):
        net["C1"].weight.value = np.zeros(3)


def test_networks_of_ones_own():
    net = lenet5.Sequential([Dense(5, name="a"), ScaledTanh(), Dense(3, name="b"), ReLU()])
    net.build((4,), rng=np.random.default_rng(0))
    assert [layer.name for layer in net] == ["a", "a.ScaledTanh", "b", "b.ReLU"] and len(net) == 4
    assert gradcheck.check(net)
    assert net.predict(np.ones((2, 4), np.float32)).shape == (2,)
    with pytest.raises(ShapeError, match="not images"):
        net.predict(np.zeros((28, 28), np.uint8))
    for layers in ([], [Dense(2, name="a"), Dense(2, name="a")]):
        with pytest.raises(ConfigError):
            lenet5.Sequential(layers)


def test_nearest_and_farthest_codes():
    codes = bitmaps.codes()
    distance = (codes[:, None] != codes).sum(axis=2)
    assert distance[6, 8] == 12 == distance[distance > 0].min() and distance.max() == 50
    assert bitmaps.codes("".join(map(chr, range(32, 128)))).shape == (96, 84)
    assert bitmaps.draw(RBF("7").codes[0]).splitlines()[:3] == ["#######", ".....##", ".....##"]


def test_a_mapped_file_is_predicted_in_little_memory(tmp_path):
    resource = pytest.importorskip("resource")
    images, n = np.arange(784, dtype=np.uint8).reshape(28, 28), 150_000
    path = tmp_path / "images.idx"
    with open(path, "wb") as file:  # a sparse file of zeros that ends in one image
        file.write(bytes((0, 0, 8, 3)) + b"".join(side.to_bytes(4, "big") for side in (n, 28, 28)))
        file.truncate(16 + n * 784)
        file.seek(16 + (n - 1) * 784)
        file.write(images.tobytes())
    script = (
        "import lenet5, resource, sys; from lenet5.datasets import read_idx\n"
        "net, x = lenet5.pretrained(), read_idx(sys.argv[1], mmap=True)\n"
        "net.predict(x[:1000]); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "y = net.predict(x); print(len(y), y[-1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    count, last, grown = map(int, done.stdout.split())
    assert (count, last) == (n, lenet5.pretrained().predict(images)[0])
    kilobytes = 1024 if sys.platform == "darwin" else 1
    assert grown / kilobytes < 60_000 and resource  # the file has 118 MB, 60 MB are allowed


def test_changes_to_a_private_map_are_kept(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    private = np.memmap(tmp_path / "a", np.uint8, "c")
    shared = np.memmap(tmp_path / "a", np.uint8, "r+")
    private[:], shared[0] = 7, 5
    for array in (private, private[10:], shared, np.zeros(3)):
        forget(array)
    assert (private == 7).all() and shared[0] == 5 and shared[1] == 0
