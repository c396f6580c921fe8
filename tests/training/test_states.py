"""Training and evaluation mode: dropout, batch normalisation, and runs of networks with them."""

import copy
import pickle

import numpy as np
import pytest

import lenet5
from lenet5 import SDLM, SGD, BatchNorm, Dropout, SoftmaxCrossEntropy, datasets, gradcheck
from lenet5.errors import CheckpointError, ShapeError
from lenet5.layers import AvgPool2D, Conv2D, Dense, Flatten, ReLU, Tanh
from lenet5.training import callbacks, checkpoint
from lenet5.training.shards import SHARD, Shards
from lenet5.training.trainer import Trainer


def network(*, dropout=Dropout, norm=BatchNorm, dtype=np.float32, seed=0):
    """Return a small network for digits; `dropout` or `norm` None omits these layers."""
    layers = [Conv2D(4, 5, name="C1"), norm and norm(), ReLU(), AvgPool2D(4), dropout and dropout(0.2), Flatten()]
    layers += [Dense(20, name="F2"), norm and norm(), Tanh(), dropout and dropout(), Dense(10, name="output")]
    net = lenet5.Sequential([layer for layer in layers if layer], prepare=datasets.prepare)
    net.build((1, 32, 32), dtype=dtype, rng=np.random.default_rng(seed))
    return net


def built(layer, in_shape, seed=0):
    layer.build(in_shape, dtype=np.float64, rng=np.random.default_rng(seed))
    return layer


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")[0].subset(slice(250))


# Dropout


def test_a_share_of_the_cells_is_dropped_and_the_rest_makes_up_for_it():
    for rate in (0.0, 0.2, 0.5, 0.9):
        layer, n = built(Dropout(rate).train(), (100,)), 100_000
        y = layer.forward(np.ones((n // 100, 100)))
        assert abs((y == 0).mean() - rate) <= 4 * (rate * (1 - rate) / n) ** 0.5  # four standard errors
        np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-12)


def test_the_mask_follows_from_key_and_shape():
    x = np.ones((3, 50))
    layer = built(Dropout().train(), (50,))

    def mask(*key):
        layer.reseed(*key)
        return layer.forward(x).tobytes()

    keys = [(), (0,), (1,), (1, 0), (0, 1), (1, 0, 0), (2**40, 1), (1, 2**40)]
    masks = {key: mask(*key) for key in keys}
    assert len(set(masks.values())) == len(keys)
    assert all(mask(*key) == masks[key] for key in reversed(keys))
    layer.build((50,), rng=np.random.default_rng(1))
    assert layer.forward(x.astype(np.float32)).astype(np.float64).tobytes() == masks[keys[0]]


def test_layers_of_a_network_drop_other_cells():
    inner = lenet5.Sequential([Dropout(), Dropout()], name="inner")
    net = lenet5.Sequential([Dropout(), Dropout(), inner])
    net.build((200,), rng=np.random.default_rng(0))
    net.train()
    x = np.ones((1, 200), np.float32)

    def masks():
        return {layer.forward(x).tobytes() for layer in net.sublayers()}

    seen = masks()
    for key in ((), (1,), (1, 0)):
        net.reseed(*key)
        seen |= masks()
    assert len(seen) == 4 * 3  # () is the key of a new network


# Batch normalisation


@pytest.mark.parametrize("in_shape", [(3, 4, 2), (5,)])
def test_running_statistics_are_those_of_the_batches(in_shape):
    rng = np.random.default_rng(0)
    layer = built(BatchNorm(momentum=0.3), in_shape)
    layer.weight.value, layer.bias.value = rng.uniform(0.5, 2, (2, in_shape[0]))
    axes = (0, 2, 3)[: len(in_shape)]
    shape = (1, -1, *[1] * (len(in_shape) - 1))
    mean, variance = np.zeros(in_shape[0]), np.ones(in_shape[0])
    for n in (6, 2, 9):
        x = rng.normal(3.0, 2.0, (n, *in_shape))
        batch_mean, batch_variance = x.mean(axis=axes), x.var(axis=axes)
        y = layer.train().forward(x)
        g, b = layer.weight.value.reshape(shape), layer.bias.value.reshape(shape)
        expected = (x - batch_mean.reshape(shape)) / np.sqrt(batch_variance.reshape(shape) + 1e-5) * g + b
        np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
        mean = 0.7 * mean + 0.3 * batch_mean
        variance = 0.7 * variance + 0.3 * x.var(axis=axes, ddof=1)
        np.testing.assert_allclose(layer.running()["mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running()["variance"], variance, rtol=1e-12)
        y = layer.eval().forward(x)
        expected = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-5) * g + b
        np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(layer.running()["mean"], layer.running_mean)


def test_features_of_larger_maps_are_normalised_over_every_position():
    layer = built(BatchNorm().train(), (4,))  # section VII: in a replicated network, vectors become maps
    x = np.random.default_rng(0).normal(2.0, 3.0, (2, 4, 3, 5))
    y = layer.forward(x)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, rtol=1e-4)
    assert gradcheck.check(layer, x=x) and gradcheck.check(layer.eval(), x=x)
    assert gradcheck.check(Dropout().train(), (4,), x=x)


def test_derivatives_of_a_layer_that_has_learned():
    layer = built(BatchNorm(), (3, 2, 2)).train()
    rng = np.random.default_rng(1)
    layer.weight.value, layer.bias.value = rng.uniform(0.5, 2, (2, 3))
    layer.forward(rng.normal(1.0, 3.0, (20, 3, 2, 2)))
    assert gradcheck.check(layer)
    assert gradcheck.check(layer.eval())
    # The check worked on copies with the same statistics, and did not change those of the layer.
    x = rng.normal(size=(2, 3, 2, 2))
    slope = layer.weight.value / np.sqrt(layer.running_variance + 1e-5)
    layer.forward(x)
    np.testing.assert_allclose(layer.backward(np.ones_like(x))[0, :, 0, 0], slope, rtol=1e-12)
    np.testing.assert_allclose(layer.bbprop(np.ones_like(x))[0, :, 0, 0], slope**2, rtol=1e-12)


def test_running_statistics_are_a_part_of_the_check():
    class Unscaled(BatchNorm):
        """Wrong: in evaluation mode, backward ignores the running variance."""

        def backward(self, dy, *, to_input=True):
            super().backward(dy)
            return self.weight.value * dy

    layer = built(Unscaled(epsilon=1e-12), (5,))
    assert gradcheck.check(layer)  # the running variance is still 1
    layer.train().forward(np.random.default_rng(0).normal(0.0, 3.0, (9, 5)))
    assert not gradcheck.check(layer.eval())


def test_derivatives_of_a_network_in_both_states():
    for state in ("train", "eval"):
        layers = [Dense(6), BatchNorm(), Tanh(), Dropout(0.3), Dense(3), BatchNorm()]
        net = getattr(lenet5.Sequential(layers), state)()
        for loss in (None, SoftmaxCrossEntropy()):
            report = gradcheck.check(net, (4,), batch=5, loss=loss)
            assert report.ok, f"\n{report}"


def test_curvatures_are_not_negative():
    rng = np.random.default_rng(2)
    for n in (2, 3, 50):  # with two patterns, most terms cancel
        layer = BatchNorm().train()
        layer.build((40,), rng=rng)
        layer.forward(rng.normal(size=(n, 40)).astype(np.float32))
        assert layer.bbprop(rng.uniform(size=(n, 40)).astype(np.float32)).min() >= 0


def test_one_pattern_has_no_statistics():
    layer = built(BatchNorm(), (4,))
    x = np.ones((1, 4))
    layer.forward(x)
    for batch in (x, x[:0]):
        with pytest.raises(ShapeError, match="two patterns"):
            layer.train().forward(batch)
    np.testing.assert_array_equal(layer.running_mean, 0)
    assert built(BatchNorm().train(), (4, 1, 2)).forward(np.ones((1, 4, 1, 2))).shape == (1, 4, 1, 2)
    net = network(dropout=None)
    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3)
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(net.parameters(), lr=0.1), batch_size=2)
    with pytest.raises(ShapeError, match="last batch"):
        trainer.fit(datasets.Dataset(images, labels.astype(np.uint8), "three"), epochs=1)
    assert not net.training


# The state of a network


def states(net):
    return [layer.training for layer in net.sublayers()]


def test_the_state_reaches_every_layer():
    inner = lenet5.Sequential([Dropout(), Dense(2)], name="inner")
    net = lenet5.Sequential([Dense(3), inner, BatchNorm()])
    assert not any(states(net)) and not net.training
    assert net.train() is net and all(states(net)) and inner.training and net.training
    assert net.eval() is net and not any(states(net)) and not inner.training and not net.training
    assert net.couples_patterns and net.draws_at_random and not inner.couples_patterns
    paper = lenet5.lenet5()
    assert not paper.couples_patterns and not paper.draws_at_random and paper.running() == {}


def test_questions_are_answered_in_the_evaluating_state(digits):
    net, images = network(), digits.images[:20]
    Shards(net, SoftmaxCrossEntropy()).gradient(digits.images, digits.labels)
    running = {name: array.copy() for name, array in net.running().items()}

    def answers():
        maps = net.feature_maps(images[0])
        return [
            net.predict(images),
            net.predict_proba(images),
            net.outputs(images),
            net.outputs(images[0]),
            *maps.values(),
        ]

    expected = answers()
    np.testing.assert_allclose(expected[2], net.forward(net.prepared(images)), rtol=1e-4, atol=1e-6)  # compiled
    net.train()
    net["F2.Dropout"].training = False
    mixed = states(net)
    for found, wanted in zip(answers(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert net.predict(images[:0]).shape == (0,)
    with pytest.raises(ShapeError):
        net.predict(np.full((1, 1, 20, 20), -0.1, np.float32))
    assert states(net) == mixed and not all(mixed)
    for name, array in net.running().items():
        np.testing.assert_array_equal(array, running[name])
    assert (net.train().forward(net.prepared(images)) != expected[2]).any()


def test_predictions_in_chunks_are_those_of_one_batch():
    net, rng = network(seed=1), np.random.default_rng(3)
    images = rng.integers(0, 256, (600, 28, 28), dtype=np.uint8)
    Shards(net, SoftmaxCrossEntropy()).gradient(images[:100], rng.integers(10, size=100))
    together = net.forward(net.prepared(images)).copy()
    np.testing.assert_array_equal(net.predict(images), together.argmax(axis=1))
    # For other batch sizes BLAS adds up products in another order.
    np.testing.assert_allclose(net.outputs(images), together, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(net.outputs(images[7]), together[7:8], rtol=1e-5, atol=1e-5)


def test_copies_have_statistics_of_their_own(digits):
    net = network()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin.train().forward(twin.prepared(digits.images[:9]))
        assert list(twin.running()) == [
            f"{stage}.BatchNorm.{name}" for stage in ("C1", "F2") for name in ("mean", "variance")
        ]
        for name, array in net.running().items():
            np.testing.assert_array_equal(array, 0.0 if name.endswith("mean") else 1.0)
            assert (twin.running()[name] != array).all()


# Shards


@pytest.mark.parametrize("threads", [1, 2])
def test_coupled_patterns_are_one_shard(digits, threads):
    images, labels = digits.images[: 3 * SHARD + 5], digits.labels[: 3 * SHARD + 5]
    net, loss = network(dropout=None, dtype=np.float64), SoftmaxCrossEntropy()
    twin = copy.deepcopy(net).train()
    value = loss.forward(twin.forward(twin.prepared(images)), labels)
    twin.backward(loss.backward())
    twin.bbprop(loss.bbprop())
    shards = Shards(net, loss, threads=threads)
    assert shards.curvature(images, labels)[0] == pytest.approx(value * len(labels), rel=1e-12)
    # atol: for derivatives that are 0 because of BatchNorm, except for rounding
    np.testing.assert_allclose(net.parameters().hess, twin.parameters().hess, rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(net.running()["C1.BatchNorm.mean"], 0)  # curvature does not update running statistics
    assert shards.gradient(images, labels)[0] == pytest.approx(value * len(labels), rel=1e-12)
    np.testing.assert_allclose(net.parameters().grad, twin.parameters().grad, rtol=1e-11, atol=1e-14)
    for name, array in twin.running().items():
        np.testing.assert_allclose(net.running()[name], array, rtol=1e-12, atol=1e-14)
    # All workspaces evaluate with the statistics that one of them has updated.
    expected = net.forward(net.prepared(images))
    np.testing.assert_allclose(shards.outputs(images), expected, rtol=1e-12, atol=1e-12)
    assert shards.evaluate(images, labels)[1] == (expected.argmax(axis=1) != labels).sum()
    for name, array in twin.running().items():
        np.testing.assert_allclose(net.running()[name], array, rtol=1e-12, atol=1e-14)
    shards.close()


class Watched(Dropout):
    """Dropout that records its masks."""

    seen = []

    def _draw(self, shape, key):
        mask = super()._draw(shape, key)
        self.seen.append((self.name, mask.tobytes()))
        return mask


def test_masks_differ_between_updates_shards_and_layers_and_not_with_threads(digits):
    seen = {}
    for threads in (1, 2):
        Watched.seen.clear()
        net = network(dropout=Watched, norm=None)
        optimizer = SDLM(net.parameters(), lr=1e-3)
        hooks = [callbacks.CurvaturePass(2 * SHARD), callbacks.Evaluate(test=digits)]
        trainer = Trainer(net, SoftmaxCrossEntropy(), optimizer, hooks, batch_size=100, threads=threads)
        trainer.fit(digits, epochs=2)
        seen[threads] = sorted(Watched.seen)
    shards = 4 + 4 + 2  # batches of 100, 100 and 50
    assert len(set(seen[1])) == 2 * 2 * shards  # 2 layers, 2 epochs
    assert len(seen[1]) == 2 * 2 * (shards + 2)  # in each epoch, the curvature uses the key of the first update
    assert seen[1] == seen[2]


# Runs


class StopAt(callbacks.Callback):
    def __init__(self, epoch, position):
        self.at = epoch, position

    def on_batch_end(self, trainer):
        trainer.stop = (trainer.epoch, trainer.position) == self.at


def trainer_of(net, *hooks, threads=1, batch_size=70):
    optimizer = SDLM(net.parameters(), lr=0.05, mu=0.1, rule="latest")
    hooks = [callbacks.CurvaturePass(50), callbacks.Evaluate(test=datasets.load("digits")[1]), *hooks]
    return Trainer(net, SoftmaxCrossEntropy(), optimizer, hooks, batch_size=batch_size, threads=threads)


def result(trainer):
    arrays, note = trainer.state()
    return {name: array.tobytes() for name, array in arrays.items()}, note


KINDS = {"dropout": {"norm": None}, "both": {}}


@pytest.fixture(scope="module", params=KINDS)
def straight(request, digits):
    """Result of two uninterrupted epochs on one thread."""
    options = KINDS[request.param]
    trainer = trainer_of(network(**options))
    history = trainer.fit(digits, epochs=2)
    assert history[1]["train_error"] < history[0]["train_error"]
    assert not any(states(trainer.net))
    return options, result(trainer)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("at", [(0, 140), (1, 70)])
def test_a_run_stopped_within_a_pass_ends_with_the_same_bits(straight, digits, tmp_path, at, threads):
    options, expected = straight
    trainer = trainer_of(network(**options), StopAt(*at), threads=threads)
    trainer.net.train()  # fit returns the network in evaluation mode
    trainer.fit(digits, epochs=2)
    assert (trainer.epoch, trainer.position) == at and not any(states(trainer.net))
    arrays, note = trainer.state()
    checkpoint.save(tmp_path / "x.npz", arrays, {"trainer": note})

    arrays, meta = checkpoint.load(tmp_path / "x.npz")
    again = trainer_of(network(seed=5, **options), threads=threads)
    again.load_state(arrays, meta["trainer"])
    again.fit(digits, epochs=2)
    assert result(again) == expected
    assert checkpoint.load(tmp_path / "x.npz")[0].keys() == trainer.state()[0].keys()


def test_only_networks_that_draw_take_a_number_for_each_pass(digits):
    for dropout in (None, Dropout):
        net, rng = network(dropout=dropout), np.random.default_rng(4)
        Trainer(net, SoftmaxCrossEntropy(), SGD(net.parameters(), lr=0.1), batch_size=125, rng=rng).fit(
            digits, epochs=1
        )
        twin = np.random.default_rng(4)
        twin.permutation(len(digits))
        assert (twin.bit_generator.state == rng.bit_generator.state) == (dropout is None)


# Files


def test_files_keep_running_statistics(digits, tmp_path):
    net = network()
    Shards(net, SoftmaxCrossEntropy()).gradient(digits.images, digits.labels)
    lenet5.save(tmp_path / "x.npz", net)
    again = lenet5.load(tmp_path / "x.npz", network(seed=1))
    for name, array in net.running().items():
        np.testing.assert_array_equal(again.running()[name], array)
    np.testing.assert_array_equal(again.outputs(digits.images[:9]), net.outputs(digits.images[:9]))

    trainer = trainer_of(net)
    checkpoint.save(tmp_path / "run.npz", *trainer.state())
    again = lenet5.load(tmp_path / "run.npz", network(seed=1))
    np.testing.assert_array_equal(again.outputs(digits.images[:9]), net.outputs(digits.images[:9]))


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "kind"])
def test_wrong_running_statistics_are_one_error(tmp_path, change):
    net = network()
    arrays, note = trainer_of(net).state()
    name = "running/F2.BatchNorm.variance"
    arrays["running/C1.BatchNorm.mean"] = np.full(4, 7.0, np.float32)
    if change == "missing":
        del arrays[name]
    elif change == "extra":
        arrays["running/F2.BatchNorm.median"] = arrays[name]
    else:
        arrays[name] = np.ones(3, np.float32) if change == "shape" else np.ones(20, np.int64)
    checkpoint.save(tmp_path / "x.npz", arrays, note)
    for load in (lambda: lenet5.load(tmp_path / "x.npz", net), lambda: trainer_of(net).load_state(arrays, note)):
        with pytest.raises(CheckpointError, match=r"running/F2\.BatchNorm"):
            load()
        np.testing.assert_array_equal(net.running()["C1.BatchNorm.mean"], 0)  # nothing was loaded


def test_files_from_before_there_were_any_are_read_as_ever(tmp_path):
    arrays, meta = checkpoint.load(lenet5.storage.PRETRAINED)
    assert not any(name.startswith("running/") for name in arrays)
    lenet5.save(tmp_path / "x.npz", lenet5.pretrained())
    assert checkpoint.load(tmp_path / "x.npz")[0].keys() == arrays.keys()
    lenet5.save(tmp_path / "plain.npz", network(norm=None, dropout=None))
    with pytest.raises(CheckpointError, match="missing"):
        lenet5.load(tmp_path / "plain.npz", network())
    assert lenet5.load(tmp_path / "plain.npz", network(norm=None)).theta.size
