"""Weight averaging over the last epochs: mean, evaluation, and resumed runs."""

import json

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, train
from lenet5.errors import CheckpointError, ConfigError
from lenet5.run import session
from lenet5.training import checkpoint
from lenet5.training.averaging import AverageWeights
from lenet5.training.callbacks import Evaluate

TRAIN, TEST = (data.subset(slice(100)) for data in datasets.load("digits"))


class Weights(lenet5.Callback):
    """Records the weights after each epoch, before they are averaged."""

    phase = lenet5.training.Phase.PREPARE

    def __init__(self):
        self.kept = []

    def on_epoch_end(self, trainer):
        self.kept.append(trainer.net.theta.astype(np.float64))


def trained(*callbacks, epochs=8):
    net = lenet5.models.d2l(activation="relu", subsampling="max", seed=0)
    trainer = lenet5.Trainer(
        net, lenet5.SoftmaxCrossEntropy(), lenet5.Adam(net.parameters(), lr=1e-3), callbacks, batch_size=10
    )
    return net, trainer.fit(TRAIN, epochs=epochs)


@pytest.mark.parametrize("share, epochs", [(0.25, 2), (0.5, 4), (1.0, 8), (0.01, 1), (0.9, 7)])
def test_the_mean_of_the_last_epochs(share, epochs):
    weights = Weights()
    net, history = trained(weights, AverageWeights(share), Evaluate(test=TEST))
    assert len(weights.kept) == 8
    np.testing.assert_array_equal(net.theta, np.mean(weights.kept[-epochs:], axis=0).astype(np.float32))
    assert history[-1]["test_error"] == np.mean(net.predict(TEST.images) != TEST.labels)


def test_a_run_that_is_resumed_has_the_same_bits(tmp_path):
    options = ["--dataset", "digits", "--train-size", "100", "--average", "0.5", "--epochs", "6", "--quiet"]
    assert train.run([*options, "--out", str(tmp_path / "straight")]) == 0

    class Stop(lenet5.Callback):
        def on_epoch_end(self, trainer):
            trainer.stop = trainer.epoch == 5  # after two of the three averaged epochs

    hooks = session.Session._hooks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Session, "_hooks", lambda self: [*hooks(self), Stop()])
        train.run([*options, "--out", str(tmp_path / "stopped")])
    assert checkpoint.load(tmp_path / "stopped" / "checkpoint.npz")[0]["callback/AverageWeights/sum"].any()
    assert train.run(["--resume", str(tmp_path / "stopped"), "--quiet"]) == 0
    first, second = (checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("straight", "stopped"))
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_deleted_parameters_stay_deleted():
    from lenet5.analysis.pruning import Pruning

    net, _ = trained(Pruning({2: 10_000}, "magnitude"), AverageWeights(0.5))
    assert np.count_nonzero(net.theta) <= 10_000


@pytest.mark.parametrize("count", [-1, 2**31, 0.5, "many"])
def test_a_note_with_a_wrong_count_is_refused(count):
    net = lenet5.lenet5()
    trainer = lenet5.Trainer(net, lenet5.MAP(), lenet5.SGD(net.parameters(), lr=1e-3), [AverageWeights()])
    arrays, note = trainer.state()
    with pytest.raises(CheckpointError, match="inconsistent"):
        trainer.load_state(arrays, note | {"callbacks": {"AverageWeights": {"count": count}}})


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, np.nan])
def test_what_is_refused(share):
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        AverageWeights(share)


def test_running_statistics_have_no_mean():
    net = lenet5.models.d2l(activation="relu", subsampling="max", norm=True)
    with pytest.raises(ConfigError, match="BatchNorm"):
        lenet5.fit(net, TRAIN, epochs=1, callbacks=[AverageWeights()], verbose=False)


class Midway(lenet5.Callback):
    """Records the trainer's state in epoch 2 after the estimate of the curvatures, before the first update."""

    def on_epoch_begin(self, trainer):
        if trainer.epoch == 1 and not hasattr(self, "state_then"):
            arrays, note = trainer.state()
            self.state_then = {name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(note))


@pytest.mark.parametrize("rule", ["average", "maximum", "latest"])
def test_curvatures_are_observed_once_an_epoch(rule):
    def made(*callbacks):
        net = lenet5.lenet5(seed=0)
        optimizer = lenet5.SDLM(net.parameters(), lr=1e-4, rule=rule)
        return lenet5.Trainer(net, lenet5.MAP(0.1, scale=0.5), optimizer, callbacks)

    midway = Midway()
    straight, resumed = made(midway), made(Midway())
    straight.fit(TRAIN, epochs=3)
    resumed.load_state(*midway.state_then)
    resumed.fit(TRAIN, epochs=3)
    first, second = straight.state()[0], resumed.state()[0]
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
