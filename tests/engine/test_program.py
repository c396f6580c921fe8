"""The compiled network equals its layers' methods, and can be called by many threads at once."""

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import lenet5
from lenet5 import ConfigError, Dense, SoftmaxCrossEntropy, engine
from lenet5.errors import LenetWarning
from lenet5.layers import BatchNorm, Conv2D, Dropout, Flatten, Layer, MaxPool2D, PReLU, ReLU, Tanh
from lenet5.models import from_spec
from lenet5.parameter import Parameter
from lenet5.training.shards import Shards

RNG = np.random.default_rng(3)
X = RNG.uniform(-0.1, 1.175, (5, 1, 32, 32)).astype(np.float32)


def agree(net, x=X):
    """Assert that compiled outputs equal those of the layers' methods; return them."""
    y = net.eval().forward(x).copy()
    np.testing.assert_allclose(net.outputs(x), y, rtol=1e-4, atol=1e-4 * np.abs(y).max())
    return y


class Cubed(Layer):
    """y = x^3, without compiled code."""

    def forward(self, x):
        self._x = x
        return self._done(x**3)

    def backward(self, dy, *, to_input=True):
        self._expect(dy)
        return 3 * self._x**2 * dy if to_input else None

    def bbprop(self, hy, *, to_input=True):
        self._expect(hy)
        return 9 * self._x**4 * hy if to_input else None


def test_an_attribute_cannot_be_changed():
    net = lenet5.lenet5()
    before = agree(net)
    for name, attribute, value in [
        ("C1.ScaledTanh", "amplitude", 0.5),
        ("C1", "kernel_size", (3, 3)),
        ("C1", "weight", Parameter("weight", np.zeros((6, 1, 5, 5), np.float32))),
        ("S2", "stride", 1),
        ("output", "codes", np.zeros((10, 84))),
    ]:
        with pytest.raises(ConfigError, match=attribute):
            setattr(net[name], attribute, value)
    with pytest.raises(ValueError, match="read-only"):
        net["output"].codes[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        net["C3"].channels[0] = 2
    np.testing.assert_array_equal(agree(net), before)


def test_layers_cannot_be_replaced():
    net = lenet5.lenet5()
    with pytest.raises(ConfigError, match="layers"):
        net.layers = (*net.layers[:-1], Dense(10))
    with pytest.raises(TypeError):
        net.layers[0] = Dense(10)


def test_values_may_change_and_both_halves_see_it():
    net = lenet5.lenet5()
    before = agree(net)
    net["F6"].weight.value = 0.5 * net["F6"].weight.value
    net["C1"].bias.value[...] += 0.1
    net.theta = net.theta * 0.9
    assert np.abs(agree(net) - before).max() > 0.1


def test_weights_bound_elsewhere_are_noticed():
    net = lenet5.lenet5()
    before = agree(net)
    weight = net["F6"].weight
    weight.bind(value=weight.value * 0.5)
    assert np.abs(agree(net) - before).max() > 0.1
    assert net.program() is None


def test_a_layer_that_is_built_again_is_noticed():
    net = lenet5.lenet5()
    before = agree(net)
    net["F6"].build(net["F6"].in_shape, rng=np.random.default_rng(9))
    assert np.abs(agree(net) - before).max() > 0.1


def test_a_network_that_is_built_again_is_noticed():
    net = lenet5.lenet5()
    before = agree(net)
    net.build(net.in_shape, rng=np.random.default_rng(9))
    assert np.abs(agree(net) - before).max() > 0.1 and net.program() is not None


def test_copies_are_networks_of_their_own():
    net = lenet5.lenet5()
    before = agree(net)
    twin = copy.deepcopy(net)
    other = pickle.loads(pickle.dumps(net))
    for each in (twin, other):
        np.testing.assert_array_equal(agree(each), before)
        each.theta *= 0.5
        assert np.abs(agree(each) - before).max() > 0.1 and each.program() is not None
    np.testing.assert_array_equal(agree(net), before)


def test_a_replica_shares_the_numbers():
    net = from_spec({"name": "d2l", "norm": True})
    twin = net.replica()
    net.theta *= 0.5
    net["C1.BatchNorm"].running_mean[...] = 0.3
    x = RNG.uniform(size=(3, 1, 28, 28)).astype(np.float32)
    np.testing.assert_array_equal(twin.eval().forward(x), net.eval().forward(x))
    agree(twin, x)


def test_a_method_that_is_overridden_counts():
    class Shifted(Tanh):
        def _f(self, x, y):
            super()._f(x, y)
            y += 0.25

    class Padded(Conv2D):
        def geometry(self, size):
            return super().geometry(size)

    for make in (Shifted, lambda: Padded(2, 3, name="c")):
        net = lenet5.Sequential([Conv2D(2, 3, name="first"), make(), Flatten(), Dense(4, name="last")])
        net.build((1, 32, 32), rng=np.random.default_rng(0))
        assert net.program() is None
        agree(net)
    with pytest.raises(ConfigError, match="forward"):  # a method replaced in an instance
        lenet5.lenet5()["C1.ScaledTanh"].forward = np.zeros_like
    patched = Tanh()
    patched.forward = np.zeros_like
    net = lenet5.Sequential([Conv2D(2, 3, name="first"), patched])
    net.build((1, 32, 32), rng=np.random.default_rng(0))
    assert net.program() is None


def test_running_statistics_are_those_of_the_moment():
    net = from_spec({"name": "d2l", "norm": True})
    x = RNG.uniform(size=(20, 1, 28, 28)).astype(np.float32)
    before = agree(net, x)
    net["C3.BatchNorm"].running_mean += 0.5
    net["C3.BatchNorm"].running_variance[...] *= 2
    assert np.abs(agree(net, x) - before).max() > 1e-3


def wrong_answers(calls, expected, threads, total):
    """Make `total` random calls from several threads; return those with unexpected answers."""
    wrong, keys = [], list(expected)

    def ask(seed):
        rng = np.random.default_rng(seed)
        for _ in range(total // threads):
            c, k = keys[rng.integers(len(keys))]
            if not np.array_equal(calls[c](k), expected[c, k]):
                wrong.append((seed, c, k))

    workers = [threading.Thread(target=ask, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


@pytest.mark.parametrize(
    ("make", "total"),
    [
        (lambda: lenet5.lenet5(), 2000),
        (lambda: from_spec({"name": "d2l", "norm": True, "dropout": 0.5}), 480),
        (
            lambda: lenet5.Sequential(
                [Conv2D(3, 5, name="c"), Cubed(), MaxPool2D(2), Flatten(), Dense(10, name="output")]
            ),
            480,
        ),
    ],
    ids=["compiled", "norm", "uncompiled"],
)
@pytest.mark.parametrize("threads", [4, 16])
def test_many_threads_get_the_answers_of_one(make, total, threads):
    net = make()
    if not net.in_shape:
        net.build((1, 28, 28), rng=np.random.default_rng(0))
    x = [RNG.uniform(size=(n, *net.in_shape)).astype(np.float32) for n in (1, 2, 17, 40)]
    calls = [
        lambda k: net.predict(x[k]), lambda k: net.predict_proba(x[k]), lambda k: net.outputs(x[k]),
        lambda k: net.feature_maps(x[k])["output"],
    ]  # fmt: skip
    expected = {(c, k): calls[c](k) for c in range(4) for k in range(4)}
    assert not wrong_answers(calls, expected, threads, total)


@pytest.mark.parametrize("threads", [4, 16])
def test_an_estimator_and_its_network_are_asked_by_many_threads(threads):
    """Threads call an estimator and its network 2,000 times, in random order."""
    images = RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    labels = np.arange(40) % 10
    model = lenet5.LeNet5Classifier(epochs=1, random_state=0).fit(images, labels)
    net = model.net_
    calls = [
        lambda k: model.predict(images[:k]), lambda k: model.predict_proba(images[:k]),
        lambda k: net.predict(images[:k] / 255), lambda k: net.predict_proba(images[:k]),
        lambda k: net.feature_maps(images[k])["F6"],
    ]  # fmt: skip
    expected = {(c, k): call(k) for c, call in enumerate(calls) for k in (1, 5, 33)}
    assert not wrong_answers(calls, expected, threads, 2000)


def mixed():
    return lenet5.Sequential(
        [
            Conv2D(3, 5, padding="same", name="C1"), ReLU(), MaxPool2D(2), BatchNorm(),
            Conv2D(4, 3, stride=2, name="C3"), PReLU(),
            Cubed(), Dropout(0.3), Flatten(), Dense(12, name="F6"), Tanh(), Dense(10, name="output"),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("n", [5, 19, 70])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 2e-4)])
def test_stretches_equal_methods(n, dtype, tolerance):
    """Compiled parts of a network equal the methods; the cube and two divisions increase rounding errors to 2e-4."""
    net, loss = mixed(), SoftmaxCrossEntropy()
    net.build((1, 16, 16), dtype=dtype, rng=np.random.default_rng(0))
    assert [type(layer) for layer in net.uncompiled(training=True)] == [BatchNorm, Cubed]
    assert [type(layer) for layer in net.uncompiled()] == [Cubed]
    x, labels = RNG.normal(size=(n, 1, 16, 16)).astype(dtype), RNG.integers(10, size=n)
    fast, slow = Shards(net, loss), Shards(net, loss, use_compiled=False)
    params = net.parameters()
    for what, part in (("gradient", params.grad), ("curvature", params.hess)):
        fast.key = slow.key = (2, 9)
        expected = getattr(slow, what)(x, labels), part.copy()
        part[...] = np.nan
        value, errors = getattr(fast, what)(x, labels)
        assert value == pytest.approx(expected[0][0], rel=tolerance) and errors == expected[0][1]
        assert np.abs(part - expected[1]).max() <= tolerance * np.abs(expected[1]).max()


class Counted(engine.Compilation):
    def __init__(self):
        self.expected, self.names = 0, []

    def begin(self, functions):
        self.expected += functions

    def done(self, name, *, cached):
        self.names.append(name)


def test_only_what_is_needed_is_compiled():
    code = (
        "import numpy as np, lenet5\n"
        "from lenet5 import engine\n"
        "class Told(engine.Compilation):\n"
        "    def begin(self, functions): print('begin', functions)\n"
        "    def done(self, name, *, cached): print(name)\n"
        "engine.compiling(Told())\n"
        "net = lenet5.lenet5()\n"
        "net.outputs(np.zeros((1, 1, 32, 32), np.float32))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *names = done.stdout.split("\n")[:-1]
    assert first == "begin 5" and sorted(names) == [
        "activation_tanh_forward", "conv_forward_5x5", "dense_forward", "rbf_forward", "subsample_subsample",
    ]  # fmt: skip


@pytest.mark.parametrize("switch", ["NUMBA_DISABLE_JIT", "no numba", "narrow"])
def test_without_a_compiler_and_on_other_processors(switch):
    """Without a compiler the layers' methods are used; processors without AVX use narrower vectors."""
    net = lenet5.lenet5(seed=1)
    x = np.arange(40 * 784, dtype=np.int64).reshape(40, 28, 28) % 256
    code = (
        f"import sys\nif {switch == 'no numba'}: sys.modules['numba'] = None\n"
        "import numpy as np, lenet5\n"
        "x = (np.arange(40 * 784) % 256).astype(np.uint8).reshape(40, 28, 28)\n"
        "net = lenet5.lenet5(seed=1)\n"
        "data = lenet5.Dataset(x, (np.arange(40) % 10).astype(np.uint8), 'some')\n"
        "y = net.outputs(x)\n"
        "trainer = lenet5.Trainer(net, lenet5.MAP(scale=0.5), lenet5.SGD(net.parameters(), lr=1e-4))\n"
        "trainer.fit(data, epochs=1)\n"
        "print(*y.ravel(), *net.theta[:100])"
    )
    switches = {"NUMBA_DISABLE_JIT": {"NUMBA_DISABLE_JIT": "1"}, "no numba": {}}
    narrow = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse2"}
    if switch == "narrow" and engine.target() == "generic":
        pytest.skip("this processor has no wider vectors")
    environment = os.environ | switches.get(switch, narrow)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = np.array(done.stdout.split(), float)
    y = net.outputs(x.astype(np.uint8))
    np.testing.assert_allclose(found[: y.size], y.ravel(), rtol=1e-4)
    data = lenet5.Dataset(x.astype(np.uint8), (np.arange(40) % 10).astype(np.uint8), "some")
    lenet5.Trainer(net, lenet5.MAP(scale=0.5), lenet5.SGD(net.parameters(), lr=1e-4)).fit(data, epochs=1)
    np.testing.assert_allclose(found[y.size :], net.theta[:100], rtol=1e-3, atol=1e-5)


def test_a_layer_without_a_compiled_half_is_named_once():
    net = mixed()
    net.build((1, 16, 16), rng=np.random.default_rng(0))
    data = lenet5.Dataset(
        RNG.integers(0, 256, (32, 16, 16), dtype=np.uint8), np.arange(32, dtype=np.uint8) % 10, "some"
    )
    net.prepare = lambda images, out=None, dtype=np.float32: (images[:, None] / np.float32(255)).astype(dtype)
    trainer = lenet5.Trainer(net, SoftmaxCrossEntropy(), lenet5.SGD(net.parameters(), lr=1e-3), batch_size=8)
    with pytest.warns(LenetWarning, match="Cubed") as caught:
        trainer.fit(data, epochs=1)
        trainer.fit(data, epochs=2)
    assert len(caught) == 1
