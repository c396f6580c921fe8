"""Optimal Brain Damage: the deleted parameters stay deleted in training and in files."""

import copy
import pickle

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, losses, models, optim
from lenet5.analysis import pruning
from lenet5.errors import CheckpointError, ConfigError
from lenet5.models.summary import summary, table
from lenet5.training import Trainer, checkpoint
from lenet5.training.shards import Shards

TRAIN, TEST = datasets.load("digits")
SMALL = TRAIN.subset(slice(300))
MAP = losses.MAP(0.1, scale=0.5)


def pruned(net, share=0.5, seed=0):
    size = net.theta.size
    pruning.delete(net, np.random.default_rng(seed).random(size), keep=int(share * size))
    return net


def test_the_loss_grows_by_the_saliency():
    """If the loss is quadratic in a weight, its exact increase is the saliency minus the gradient times the weight."""
    rng = np.random.default_rng(0)
    net = lenet5.Sequential([lenet5.Flatten(), lenet5.Dense(3, name="a")], prepare=lambda x, **_: x / 255.0)
    net.build((1, 4, 4), dtype=np.float64, rng=rng)
    images, labels = rng.integers(0, 256, (200, 4, 4), dtype=np.uint8), rng.integers(0, 3, 200)
    net.prepare = lambda images, **_: images[:, None] / 255.0
    loss, data = losses.SquaredError(), lenet5.Dataset(images, labels)
    shards = Shards(net, loss)
    found = pruning.saliency(net, loss, data)
    before = shards.evaluate(images, labels)[0] / 200
    shards.gradient(images, labels)
    slope = net.parameters().grad.copy()
    for k in range(net.theta.size):
        value = net.theta[k]
        net.theta[k] = 0
        after = shards.evaluate(images, labels)[0] / 200
        net.theta[k] = value
        np.testing.assert_allclose(after - before + slope[k] * value, found[k], rtol=1e-6, atol=1e-12)


def test_saliency_is_the_curvature_that_sdlm_uses():
    net = lenet5.pretrained()
    found = pruning.saliency(net, MAP, SMALL, patterns=300)
    shards = Shards(net, MAP)
    shards.curvature(SMALL.images, SMALL.labels)
    np.testing.assert_allclose(found, net.parameters().hess * net.theta**2 / 2, rtol=1e-3, atol=1e-9)
    assert (found >= 0).all()
    again = pruning.saliency(net, MAP, TRAIN, np.random.default_rng(3), patterns=50)
    assert (again != pruning.saliency(net, MAP, TRAIN, np.random.default_rng(4), patterns=50)).any()


def test_the_least_are_deleted_and_no_more():
    net = lenet5.lenet5()
    scores = pruning.magnitude(net)
    values = net.theta.copy()
    pruning.delete(net, scores, keep=20_000)
    kept = net.parameters().kept
    assert kept.sum() == 20_000 and scores[kept].min() >= scores[~kept].max()
    assert not net.theta[~kept].any() and (net.theta[kept] == values[kept]).all()
    assert "20,000 of 60,000 parameters" in repr(net)
    # Deleted parameters stay deleted for any scores.
    pruning.delete(net, -scores, keep=10_000)
    assert net.parameters().kept.sum() == 10_000 and not (net.parameters().kept & ~kept).any()
    for wrong in (0, 10_001):
        with pytest.raises(ConfigError, match="from 1 to 10,000"):
            pruning.delete(net, scores, keep=wrong)
    for scores in (np.ones(5), np.full(60_000, np.nan)):
        with pytest.raises(ConfigError, match="finite numbers, one per parameter"):
            pruning.delete(net, scores, keep=5)


OPTIONS = {
    "sgd": {"lr": 0.01, "momentum": 0.9, "nesterov": True, "decay": 0.1},
    "sdlm": {"lr": 1e-3, "momentum": 0.5},
    "rmsprop": {"momentum": 0.9},
    "adam": {"decay": 0.1, "l2": 1e-3},
}


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_no_optimiser_revives_them(name, batch):
    for options in ({}, OPTIONS.get(name, {})):
        if name == "sgd":
            options = {"lr": 1e-3} | options
        elif name == "sdlm":
            options = {"lr": 5e-4} | options
        net = pruned(lenet5.lenet5())
        kept = net.parameters().kept.copy()
        before = net.theta.copy()
        optimizer = optim.OPTIMIZERS[name](net.parameters(), **options)
        Trainer(net, MAP, optimizer, [], batch_size=batch, threads=2).fit(SMALL.subset(slice(64)), epochs=2)
        assert not net.theta[~kept].any() and (net.parameters().kept == kept).all()
        assert (net.theta[kept] != before[kept]).mean() > 0.5


def test_an_optimiser_of_ones_own_does_not_revive_them():
    class Own(optim.Optimizer):
        def step(self):
            self.params.value -= 0.01 * self.params.grad + 0.001

    net = pruned(lenet5.lenet5())
    Trainer(net, MAP, Own(net.parameters(), lr=0.1), [], batch_size=8).fit(SMALL, epochs=1)
    assert not net.theta[~net.parameters().kept].any()


def test_deleted_numbers_do_not_count_for_clip():
    net = pruned(lenet5.lenet5())
    params = net.parameters()
    optimizer = optim.SGD(params, lr=1.0, clip=1.0)
    params.grad[...] = np.where(params.kept, 1e-4, 100.0)
    before = net.theta.copy()
    optimizer.step()
    np.testing.assert_allclose((before - net.theta)[params.kept], 1e-4, rtol=1e-2)


def test_the_two_ways_to_step_agree():
    """Compiled updates and batches of one pattern keep the same parameters, with the same values."""
    nets = [pruned(lenet5.lenet5(), 0.3) for _ in range(2)]
    for net, momentum in zip(nets, (0.0, 1e-12), strict=True):
        optimizer = optim.SDLM(net.parameters(), lr=5e-4, momentum=momentum)
        Trainer(net, MAP, optimizer, [], batch_size=1).fit(SMALL.subset(slice(50)), epochs=1)
    np.testing.assert_allclose(nets[0].theta, nets[1].theta, atol=2e-6)
    assert not nets[0].theta[~nets[0].parameters().kept].any()


def test_copies_keep_the_mask():
    net = pruned(lenet5.lenet5())
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.replica()):
        assert (twin.parameters().kept == net.parameters().kept).all()
    part = lenet5.parameter.ParameterList(net["C5"].parameters())
    assert np.shares_memory(part.kept, net.parameters().kept) and part.pruned


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_files_keep_the_mask(ending, tmp_path):
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    net, path = pruned(lenet5.lenet5(), 0.2), tmp_path / f"net.{ending}"
    lenet5.save(path, net)
    again = lenet5.load(path)
    assert (again.parameters().kept == net.parameters().kept).all() and (again.theta == net.theta).all()
    # Load into a network that was pruned differently, and load the file of an unpruned one.
    other = pruned(lenet5.lenet5(), 0.9, seed=5)
    assert (lenet5.load(path, other).parameters().kept == net.parameters().kept).all()
    lenet5.save(path, lenet5.lenet5())
    assert not lenet5.load(path, other).parameters().pruned


def test_files_of_whole_networks_are_as_they_were(tmp_path):
    lenet5.save(tmp_path / "net.npz", lenet5.lenet5())
    arrays, _ = checkpoint.load(tmp_path / "net.npz")
    assert not [name for name in arrays if name.startswith("kept")]


def byte_of_two(mask, value):
    mask = mask.copy()
    mask.view(np.uint8).flat[0] = 2
    return mask


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda mask, value: mask.astype(np.uint8), "expected bool"),
        (lambda mask, value: mask[:-1], "expected bool"),
        (byte_of_two, "bytes 0 and 1"),
        (lambda mask, value: mask & (value == 0), "not all of them are 0"),
    ],
)
def test_damaged_masks(change, what, tmp_path):
    net = pruned(lenet5.lenet5())
    arrays, meta = net.arrays(), {"model": net.spec, "dtype": "float32"}
    bad = arrays | {"kept/F6.weight": change(arrays["kept/F6.weight"], arrays["parameter/F6.weight"])}
    other = pruned(lenet5.lenet5(), 0.9, seed=5)
    kept = other.parameters().kept.copy()
    for wrong, text in ((bad, f"kept/F6.weight.*{what}"), (arrays | {"kept/G7.weight": kept[:3]}, "kept/G7.weight")):
        checkpoint.save(tmp_path / "bad.npz", wrong, meta)
        with pytest.raises(CheckpointError, match=text):
            lenet5.load(tmp_path / "bad.npz", other)
        assert (other.parameters().kept == kept).all()


def test_assigning_leaves_them_deleted():
    net = pruned(lenet5.lenet5())
    net.theta = np.full(60_000, -np.inf)
    net["F6"].bias.value = np.ones(84)
    kept = net.parameters().kept
    assert (net.theta[~kept] == 0).all() and not np.signbit(net.theta[~kept]).any() and net.theta[kept].all()


def test_what_is_left_is_counted(capsys):
    net = pruned(lenet5.lenet5(), 0.25)
    net.summary()
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[1:3] == ["60,000", "15,000"]
    assert "kept" not in table("x", summary(lenet5.lenet5()))


def test_the_classifier_keeps_the_mask_when_it_is_pickled():
    model = lenet5.LeNet5Classifier(epochs=1, random_state=0).fit(SMALL.images[:60], SMALL.labels[:60])
    pruned(model.net_)
    twin = pickle.loads(pickle.dumps(model))
    assert (twin.net_.parameters().kept == model.net_.parameters().kept).all()
    assert (twin.net_.theta == model.net_.theta).all()


def fitted(net, hooks, epochs, saved=None):
    trainer = Trainer(net, MAP, optim.SDLM(net.parameters(), lr=5e-4), hooks, rng=np.random.default_rng(1))
    if saved is not None:
        trainer.load_state(*saved)
    trainer.fit(SMALL, epochs=epochs)
    return trainer


@pytest.mark.parametrize("criterion", pruning.CRITERIA)
def test_pruning_in_training_and_resumed(criterion):
    levels = {1: 30_000, 2: 9_000}
    whole = fitted(lenet5.lenet5(), [pruning.Pruning(levels, criterion)], 4)
    assert [record["kept"] for record in whole.history] == [60_000, 30_000, 9_000, 9_000]
    for stop in (1, 2, 3):
        part = fitted(lenet5.lenet5(), [pruning.Pruning(levels, criterion)], stop)
        arrays, note = part.state()
        arrays = {name: array.copy() for name, array in arrays.items()}
        resumed = fitted(lenet5.lenet5(seed=9), [pruning.Pruning(levels, criterion)], 4, (arrays, note))
        assert (resumed.net.theta == whole.net.theta).all()
        assert (resumed.net.parameters().kept == whole.net.parameters().kept).all()


def test_saliency_beats_magnitude_and_chance():
    """Without retraining, deletion by saliency increases the loss less than by magnitude or at random."""
    net = lenet5.pretrained()
    theta = net.theta.copy()
    found = {
        name: pruning.without_retraining(net, MAP, TRAIN, TEST, keep=[60_000, 15_000, 10_000], criterion=name)
        for name in pruning.CRITERIA
    }
    assert (net.theta == theta).all() and not net.parameters().pruned
    assert len({tuple(rows[0].values()) for rows in found.values()}) == 1  # before any deletion
    for k in (1, 2):
        losses_at = {name: rows[k]["loss"] for name, rows in found.items()}
        assert losses_at["saliency"] < losses_at["magnitude"] < losses_at["random"]
    assert [row["kept"] for row in found["random"]] == [60_000, 15_000, 10_000]


def test_wrong_criterion():
    with pytest.raises(ConfigError, match="saliency, magnitude, random"):
        pruning.Pruning({1: 5}, "size")
    for keep in ({}, {1: 5, 2: 6}, {1: 0}, {-1: 5}):
        with pytest.raises(ConfigError, match="decreasing numbers"):
            pruning.Pruning(keep)
    with pytest.raises(ConfigError, match="keep must not start with epoch 0"):
        pruning.Pruning({0: 5}, test=TEST)


def test_layers_that_step_by_themselves():
    """Deleted parameters stay deleted in networks with PReLU and batch normalisation."""
    net = pruned(models.d2l(norm=True, activation="prelu"))
    kept = net.parameters().kept.copy()
    Trainer(net, losses.SoftmaxCrossEntropy(), optim.Adam(net.parameters()), [], batch_size=20).fit(SMALL, epochs=1)
    assert not net.theta[~kept].any()
