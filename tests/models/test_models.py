"""The networks by name: shapes, numbers of parameters and connections, derivatives, and specs."""

import json

import numpy as np
import pytest

import lenet5
from lenet5 import gradcheck, models
from lenet5.errors import ConfigError, LenetError
from lenet5.models import MODELS, from_spec, summary
from lenet5.models.__main__ import main
from lenet5.models.later import VARIATIONS

# (name, options): (parameters, connections, shapes of the stages)
COUNTS = {
    ("lenet5",): (60_000, 340_908, ["6x28x28", "6x14x14", "16x10x10", "16x5x5", "120x1x1", "84", "10"]),
    # LeCun et al. 1990: 2,578 parameters, 98,442 connections.
    ("lenet1",): (2_578, 98_442, ["4x24x24", "4x12x12", "12x8x8", "12x4x4", "10"]),
    ("lenet4",): (50_698, 262_306, ["4x28x28", "8x14x14", "16x10x10", "16x5x5", "120x1x1", "10"]),
    ("lenet5-mattwang44",): (59_956, 339_332, ["6x28x28", "6x14x14", "16x10x10", "16x5x5", "120x1x1", "84", "10"]),
    ("caffe",): (1_256_080, 6_573_470, ["20x28x28", "20x14x14", "50x14x14", "50x7x7", "500", "10"]),
    ("d2l",): (61_706, 429_342, ["6x28x28", "6x14x14", "16x10x10", "16x5x5", "120", "84", "10"]),
    ("lenet5-cifar10",): (62_006, 664_542, ["6x28x28", "6x14x14", "16x10x10", "16x5x5", "120", "84", "10"]),
    ("tensorflow-tutorial", "original"): (
        832 + 51_264 + 3_212_288 + 10_250, 13_960_202, ["32x28x28", "32x14x14", "64x14x14", "64x7x7", "1024", "10"]),
    ("tensorflow-tutorial", "third-stage"): (
        832 + 51_264 + 204_928 + 6_423_552 + 10_250, 27_238_026,
        ["32x28x28", "32x14x14", "64x14x14", "64x7x7", "128x7x7", "128x7x7", "1024", "10"]),
    ("tensorflow-tutorial", "7x7"): (
        832 + 100_416 + 3_212_288 + 10_250, 23_593_994, ["32x28x28", "32x14x14", "64x14x14", "64x7x7", "1024", "10"]),
    ("tensorflow-tutorial", "half-width"): (
        416 + 12_832 + 1_606_656 + 10_250, 4_476_938, ["16x28x28", "16x14x14", "32x14x14", "32x7x7", "1024", "10"]),
    ("tensorflow-tutorial", "sigmoid"): (
        832 + 51_264 + 3_212_288 + 10_250, 13_960_202, ["32x28x28", "32x14x14", "64x14x14", "64x7x7", "1024", "10"]),
    ("tensorflow-tutorial", "dense-128"): (
        832 + 51_264 + 401_536 + 1_290, 11_140_490, ["32x28x28", "32x14x14", "64x14x14", "64x7x7", "128", "10"]),
    ("tensorflow-tutorial", "extra-dense"): (
        832 + 51_264 + 3_212_288 + 131_200 + 1_290, 14_082_442,
        ["32x28x28", "32x14x14", "64x14x14", "64x7x7", "1024", "128", "10"]),
}  # fmt: skip


def build(name, variation=None, **more):
    return from_spec({"name": name} | ({"variation": variation} if variation else {}) | more)


@pytest.mark.parametrize("case", COUNTS, ids="-".join)
def test_counts_and_shapes(case):
    parameters, connections, shapes = COUNTS[case]
    net = build(*case)
    assert (net.theta.size, net.connections()) == (parameters, connections)
    rows = [row for row in summary(net) if row["connections"]]
    assert ["x".join(map(str, row["shape"])) for row in rows] == shapes
    assert sum(row["parameters"] for row in rows) == parameters


def test_every_network_is_counted():
    assert {case[0] for case in COUNTS} == set(MODELS)
    assert {case[1] for case in COUNTS if len(case) > 1} == set(VARIATIONS)


@pytest.mark.parametrize("name", MODELS)
def test_the_spec_builds_the_same_network_again(name):
    net = build(name, seed=3)
    assert json.loads(json.dumps(net.spec)) == net.spec
    again = from_spec(net.spec, seed=3)
    assert again.spec == net.spec
    np.testing.assert_array_equal(again.theta, net.theta)


@pytest.mark.parametrize("name", MODELS)
def test_channels_size_and_classes(name):
    net = build(name, channels=2, size=36, classes=7)
    images = np.random.default_rng(0).integers(256, size=(3, 30, 28, 2), dtype=np.uint8)
    assert net.in_shape == (2, 36, 36)
    assert net.predict_proba(images).shape == (3, 7)
    for wrong in ({"channels": 0}, {"size": 3}, {"classes": 0}, {"scale": "big"}, {"init": "zeros"}, {"wings": 2}):
        with pytest.raises(LenetError):
            build(name, **wrong)


def test_rbf_units_need_a_code_for_every_class():
    assert build("lenet5-mattwang44", classes=12).out_shape == (12,)
    for name in ("lenet5", "lenet5-mattwang44"):
        for classes in (-1, 0, 95):
            with pytest.raises(ConfigError):
                build(name, classes=classes)


@pytest.mark.parametrize("name", ["lenet1", "lenet4", "lenet5-mattwang44", "d2l", "lenet5-cifar10"])
def test_derivatives(name):
    net, loss = build(name, seed=1), lenet5.SquaredError()
    x = np.random.default_rng(1).uniform(-0.1, 1.175, (2, *net.in_shape))
    # Some of the windows and ReLUs of lenet5-cifar10 are close to a kink: only a shorter step does not cross it.
    step, tolerance = (3e-7, 1e-5) if name == "lenet5-cifar10" else (1e-4, 1e-7)
    report = gradcheck.check(net, x=x, loss=loss, samples=8, step=step)
    assert max(report.gradient.values()) < tolerance, f"\n{report}"


@pytest.mark.parametrize("activation", ["scaled-tanh", "tanh", "sigmoid", "relu", "leaky-relu", "prelu", "elu"])
def test_every_activation_learns_to_fit_a_few_patterns(activation):
    net = models.d2l(activation=activation, seed=0)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(20, 28, 28), dtype=np.uint8), np.arange(20) % 10
    data = lenet5.Dataset(images, labels.astype(np.uint8), "noise", ())
    optimizer = lenet5.Adam(net.parameters(), lr=5e-3)
    trainer = lenet5.Trainer(net, lenet5.SoftmaxCrossEntropy(), optimizer, batch_size=20)
    losses = [record["loss"] for record in trainer.fit(data, epochs=120)]
    assert losses[-1] < 0.5 * losses[0]


def test_names_of_networks_and_codes():
    with pytest.raises(ConfigError, match="lenet5, lenet4"):
        from_spec({"name": "alexnet"})
    assert lenet5.lenet5(classes=94)["output"].codes.shape == (94, 84)
    with pytest.raises(ConfigError, match="softmax' needs none"):
        lenet5.lenet5(classes=95)
    with pytest.raises(ConfigError, match="a code for each"):
        lenet5.lenet5(codes="abc", classes=4)
    assert lenet5.lenet5(output="softmax", classes=95).out_shape == (95,)
    assert not lenet5.lenet5(output="dense").outputs_penalties


def test_norm_and_dropout_in_front_of_and_behind_every_squash():
    plain, both = models.d2l(), models.d2l(norm=True, dropout=0.3)
    names = [type(layer).__name__ for layer in both]
    assert names.count("BatchNorm") == 4 and names.count("Dropout") == 2
    assert both.theta.size == plain.theta.size + 2 * (6 + 16 + 120 + 84)
    assert from_spec(both.spec).spec == both.spec


def test_the_command(capsys):
    assert main(["lenet1", "caffe"]) == 0
    out = capsys.readouterr().out
    assert "2,578" in out and "1,256,080" in out and "92,288" in out
    assert main(["d2l", "--json", "--classes", "4"]) == 0
    table = json.loads(capsys.readouterr().out)["d2l"]
    assert table[-1] == {
        "name": "output", "kind": "Dense", "shape": [4], "parameters": 340, "kept": 340, "connections": 340,
        "multiply_adds": 336,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="unknown network lenet6"):
        main(["lenet6"])
