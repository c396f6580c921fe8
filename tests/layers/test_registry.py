"""Files of networks with user-defined layers."""

import numpy as np
import pytest
from layer_cases import CASES

import lenet5
from lenet5 import datasets, layers
from lenet5.errors import CheckpointError, ConfigError
from lenet5.layers.registry import described, made
from lenet5.models.registry import from_spec, spec_of


@pytest.mark.parametrize("name", CASES)
def test_every_layer_comes_back(name):
    make, in_shape = CASES[name]
    layer = make()
    layer.build(in_shape, rng=np.random.default_rng(0))
    told = described(layer)
    if told is None:
        pytest.fail(f"{layer} is not described")
    again = made(told)
    again.build(in_shape, rng=np.random.default_rng(0))
    assert type(again) is type(layer) and again.name == layer.name and described(again) == told
    x = np.random.default_rng(1).uniform(0.1, 1, (2, *in_shape)).astype(np.float32)
    np.testing.assert_array_equal(again.eval().forward(x), layer.eval().forward(x))


def test_networks_within_networks_come_back(tmp_path):
    inner = lenet5.Sequential([lenet5.Conv2D(4, 3, padding=(0, 1), name="a"), lenet5.PReLU()], name="inner")
    net = lenet5.Sequential([lenet5.Conv2D(3, 3), inner, lenet5.Flatten(), lenet5.Dense(4, init="he")])
    net.build((1, 9, 7), rng=np.random.default_rng(3))
    lenet5.save(tmp_path / "net.npz", net)
    again = lenet5.load(tmp_path / "net.npz")
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7), dtype=np.uint8)
    np.testing.assert_array_equal(again.outputs(images), net.outputs(images))
    assert [layer.name for layer in again.sublayers()] == [layer.name for layer in net.sublayers()]


@pytest.mark.parametrize("scale", ["paper", "signed"])
def test_their_preparation_comes_back(tmp_path, scale):
    from functools import partial

    prepare = partial(datasets.prepare, size=28, scale=scale)
    net = lenet5.Sequential([lenet5.Flatten(), lenet5.Dense(3)], prepare=prepare)
    net.build((1, 28, 28))
    lenet5.save(tmp_path / "net.npz", net)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(lenet5.load(tmp_path / "net.npz").outputs(images), net.outputs(images))
    net.prepare = lambda images, **options: prepare(images, **options)
    assert spec_of(net) is None


def test_classes_of_ones_own_are_registered(tmp_path):
    class Twice(layers.Layer):
        """y = 2 x."""

        def forward(self, x):
            return 2 * x

    def make():
        net = lenet5.Sequential([lenet5.Flatten(), Twice(), lenet5.Dense(3)])
        net.build((1, 4, 4))
        return net

    net = make()
    lenet5.save(tmp_path / "net.npz", net)
    with pytest.raises(CheckpointError, match=r"lenet5\.layers\.register"):
        lenet5.load(tmp_path / "net.npz")
    assert layers.register(Twice) is Twice is layers.register(Twice)
    try:
        lenet5.save(tmp_path / "net.npz", net)
        assert isinstance(lenet5.load(tmp_path / "net.npz")["Twice"], Twice)
        with pytest.raises(ConfigError, match="A layer class named Twice is already registered"):
            layers.register(type("Twice", (layers.Layer,), {}))
    finally:
        del layers.LAYERS["Twice"]
    with pytest.raises(CheckpointError, match="Unknown layer 'Twice'"):
        lenet5.load(tmp_path / "net.npz")
    with pytest.raises(ConfigError, match="layer class"):
        layers.register(int)


GOOD = {"layers": [{"kind": "Dense", "name": "d", "units": 3}], "in_shape": [4], "size": 4, "scale": "unit"}


@pytest.mark.parametrize(
    "change",
    [
        {"layers": [{"kind": "Dense", "units": 10**12}]},
        {"layers": [{"kind": "Dense", "units": "3"}]},
        {"layers": [{"kind": "Dense", "unit": 3}]},
        {"layers": [{"kind": "system", "units": 3}]},
        {"layers": [{"kind": ["Dense"]}]},
        {"layers": [{"kind": "Dense", "units": 3, "init": {"init": "os.system"}}]},
        {"layers": [{"kind": "Dense", "units": 3, "init": "her"}]},
        {"layers": []},
        {"layers": "Dense"},
        {"layers": [[]]},
        {"layers": [None]},
        {"in_shape": [0]},
        {"in_shape": "28"},
        {"in_shape": [2.5]},
        {"size": None},
        {"size": [1 << 40]},
        {"scale": "log"},
        {"scale": None},
    ],
)
def test_descriptions_of_strangers(change, tmp_path):
    with pytest.raises(lenet5.LenetError):
        net = from_spec(GOOD)
        lenet5.save(tmp_path / "net.npz", net)
        arrays, meta = lenet5.training.checkpoint.load(tmp_path / "net.npz")
        lenet5.training.checkpoint.save(tmp_path / "net.npz", arrays, meta | {"model": GOOD | change})
        lenet5.load(tmp_path / "net.npz")
