"""With PyTorch and Keras installed: the same outputs and gradients, and their files."""

import importlib.util
import os

import numpy as np
import pytest

import lenet5
from lenet5 import interop, models
from lenet5.errors import CheckpointError

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install torch")
needs_keras = pytest.mark.skipif(
    None in map(importlib.util.find_spec, ("torch", "keras", "h5py")),
    reason="needs Keras 3: pip install keras torch h5py",
)


def filled(net):
    rng = np.random.default_rng(3)
    for key, array in net.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if key.endswith("variance") else rng.normal(0, 0.3, array.shape)
    return net


def odd():
    net = lenet5.Sequential([
        lenet5.Conv2D(4, (3, 4), stride=(2, 1), padding="same", name="A"), lenet5.PReLU(), lenet5.Repeat(2),
        lenet5.ZeroPad2D(1, 0, 2, 1), lenet5.Subsampling(3, stride=2, coefficient=0.3, name="B"), lenet5.BatchNorm(),
        lenet5.ELU(0.7), lenet5.AvgPool2D(3, stride=1), lenet5.MaxPool2D(2), lenet5.LeakyReLU(0.2), lenet5.Dropout(),
        lenet5.Flatten(), lenet5.BatchNorm(), lenet5.PReLU(), lenet5.Dense(9, bias=0.2), lenet5.Sigmoid(),
        lenet5.Dense(5), lenet5.Tanh(),
    ])  # fmt: skip
    net.build((1, 28, 28), rng=np.random.default_rng(5))
    return filled(net)


NETWORKS = {
    "shipped": lenet5.pretrained,
    "norm": lambda: filled(models.d2l(norm=True, dropout=0.5)),
    "caffe": models.caffe,
    "tensorflow-tutorial": models.tensorflow_tutorial,
    "third-stage": lambda: models.tensorflow_tutorial(variation="third-stage"),
    "lenet5-cifar10": models.cifar10,
    "lenet4": models.lenet4,
    "lenet1": lambda: models.lenet1(dtype=np.float64),
    "elu": lambda: models.d2l(activation="elu", dtype=np.float64),
    "odd": odd,
}


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def batch(net):
    return np.random.default_rng(1).normal(size=(6, *net.in_shape)).astype(net.dtype)


@needs_torch
@pytest.mark.parametrize("name", NETWORKS)
def test_torch_computes_the_same(name):
    import torch

    net = NETWORKS[name]()
    x, (state, module) = batch(net), interop.to_torch(net)
    assert {key: value.shape for key, value in state.items()} == {
        k: tuple(v.shape) for k, v in module.state_dict().items()
    }
    y, given = net.forward(x).copy(), module(torch.from_numpy(x))
    assert relative(given.detach().numpy(), y) <= 1e-5
    dy = np.random.default_rng(2).normal(size=y.shape).astype(net.dtype)
    net.backward(dy)
    given.backward(torch.from_numpy(dy))
    gradients = {key: p.grad for key, p in module.named_parameters()} | dict(module.named_buffers())
    twin = interop.from_torch(gradients, NETWORKS[name]())  # read the gradients as if they were parameters
    for own, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert np.abs(own.grad).max() > 0 and relative(theirs.value, own.grad) <= 1e-5, own.name


@needs_torch
def test_table_i_stays_when_trained():
    import torch

    module = interop.to_torch(models.lenet5()).module
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        module(torch.randn(4, 1, 32, 32)).square().sum().backward()
        optimiser.step()
    back = interop.from_torch(module, "lenet5")
    assert (back["C3"].weight.value != models.lenet5()["C3"].weight.value).all()


@needs_torch
def test_files_of_torch(tmp_path):
    import torch

    net = models.d2l(seed=4)
    lenet5.export(net, tmp_path / "mine.pt")
    np.testing.assert_array_equal(interop.from_torch(tmp_path / "mine.pt", "d2l").theta, net.theta)
    torch.save({"epoch": 3, "model_state_dict": interop.to_torch(net).module.state_dict()}, tmp_path / "checkpoint.pth")
    np.testing.assert_array_equal(interop.from_torch(tmp_path / "checkpoint.pth", "d2l").theta, net.theta)
    half = {key: value.bfloat16() for key, value in interop.to_torch(net).module.state_dict().items()}
    assert np.abs(interop.from_torch(half, "d2l").theta - net.theta).max() < 0.01
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")  # a pickled object: refused, not run
    good = (tmp_path / "mine.pt").read_bytes()
    for data in (b"", b"text", good[: len(good) // 2], (tmp_path / "module.pt").read_bytes()):
        (tmp_path / "bad.pt").write_bytes(data)
        with pytest.raises(CheckpointError, match=r"torch\.save\(model\.state_dict"):
            interop.from_torch(tmp_path / "bad.pt", "d2l")
    with pytest.raises(CheckpointError, match="only weights; found other objects. Save"):
        interop.from_torch(tmp_path / "module.pt", "d2l")


@needs_torch
def test_a_module_of_a_stranger_computes_what_the_network_does():
    import torch
    from torch import nn

    theirs = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU(),
        nn.Linear(120, 84), nn.BatchNorm1d(84), nn.ReLU(), nn.Linear(84, 7),
    )  # fmt: skip
    theirs.train()
    for _ in range(3):
        theirs(torch.randn(8, 1, 32, 32))
    net = interop.from_torch(theirs, "lenet5-cifar10")
    x = batch(net)
    assert (
        net.out_shape == (7,) and relative(net.forward(x), theirs.eval()(torch.from_numpy(x)).detach().numpy()) <= 1e-5
    )


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "torch")
    import keras

    return keras


@needs_keras
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore")  # Keras's own warnings
def test_keras_computes_the_same(name, keras, tmp_path):
    net = NETWORKS[name]()
    x = batch(net)
    lenet5.export(net, tmp_path / "x.keras")
    lenet5.export(net, tmp_path / "x.weights.h5")
    model = keras.models.load_model(tmp_path / "x.keras")
    for _ in range(2):
        assert relative(model.predict(x.transpose(0, 2, 3, 1), verbose=0), net.forward(x)) <= 1e-5
        for weights in model.weights:
            weights.assign(0 * weights)
        model.load_weights(tmp_path / "x.weights.h5")
    model.save(tmp_path / "y.keras")
    model.save_weights(tmp_path / "y.weights.h5")
    for path in (tmp_path / "y.keras", tmp_path / "y.weights.h5"):
        twin = NETWORKS[name]()
        twin.theta = 0
        back = interop.from_keras(path, twin)
        np.testing.assert_array_equal(back.theta, net.theta)


@needs_keras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_a_model_of_a_stranger(keras, ending, tmp_path):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu", name="second"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu", name="aaa"), layers.Dense(10),
    ])  # fmt: skip
    for weights in model.weights:
        weights.assign(np.random.default_rng(0).normal(size=weights.shape) * 0.1)
    path = tmp_path / f"theirs{ending}"
    (model.save if ending == ".keras" else model.save_weights)(path)
    net = interop.from_keras(path, "d2l", activation="relu", subsampling="max")
    x = batch(net)
    assert relative(net.forward(x), model.predict(x.transpose(0, 2, 3, 1), verbose=0)) <= 1e-5
