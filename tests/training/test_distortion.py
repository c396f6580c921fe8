"""Distortions that shrink: their sizes in each epoch, and bit-identical resumed runs."""

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, train
from lenet5.errors import ConfigError
from lenet5.training import checkpoint
from lenet5.training.distortion import ShrinkDistortion

TRAIN = datasets.load("digits")[0].subset(slice(100))


class Seen(lenet5.Callback):
    """Records the sizes of the distortions in each epoch."""

    def __init__(self):
        self.sizes = []

    def on_epoch_begin(self, trainer):
        self.sizes.append((trainer.patterns.distort.rotation, trainer.patterns.distort.elastic))


def test_sizes():
    seen, distort = Seen(), datasets.Distort(rotation=10.0, elastic=20.0)
    net = lenet5.lenet5()
    trainer = lenet5.Trainer(
        net, lenet5.MAP(0.1, scale=0.5), lenet5.SDLM(net.parameters(), lr=1e-4), [seen, ShrinkDistortion(0.5)],
        distort=distort,
    )  # fmt: skip
    trainer.fit(TRAIN, epochs=16)
    factors = np.array([1.0] * 13 + [0.875, 0.75, 0.625])  # shrinks from epoch 12 towards 1/2
    np.testing.assert_allclose(seen.sizes, factors[:, None] * [10.0, 20.0])
    assert trainer.distort == distort


def test_every_size_is_scaled():
    """Distortions scaled by 0 do not change images."""
    whole = datasets.DISTORTIONS["all"]
    rng = np.random.default_rng(0)
    assert (whole.scaled(0.0)(TRAIN.images, rng) == TRAIN.images).all()
    assert not (whole.scaled(1.0)(TRAIN.images, rng) == TRAIN.images).all()
    assert whole.scaled(1.0) == whole and whole.scaled(0.5).sigma == whole.sigma


def test_a_run_that_is_resumed_has_the_same_bits(tmp_path):
    options = ["--dataset", "digits", "--train-size", "100", "--distort", "all", "--distort.final", "0.25", "--quiet"]
    options += ["--epochs", "8"]
    assert train.run([*options, "--out", str(tmp_path / "straight")]) == 0

    class Stop(lenet5.Callback):
        def on_epoch_end(self, trainer):
            trainer.stop = trainer.epoch == 7

    from lenet5.run import session

    hooks = session.Session._hooks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Session, "_hooks", lambda self: [*hooks(self), Stop()])
        train.run([*options, "--out", str(tmp_path / "stopped")])
    assert train.run(["--resume", str(tmp_path / "stopped"), "--quiet"]) == 0
    first, second = (checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("straight", "stopped"))
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@pytest.mark.parametrize("final", [-0.1, 1.1, np.nan])
def test_what_is_refused(final):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ShrinkDistortion(final)


def test_it_needs_distortions():
    with pytest.raises(ConfigError, match="needs a trainer with distort"):
        lenet5.fit(lenet5.lenet5(), TRAIN, epochs=1, callbacks=[ShrinkDistortion(0.5)], verbose=False)
    with pytest.raises(ConfigError, match="distort.final applies to"):
        lenet5.run.config.from_dict({"distort": {"name": "shift", "final": 0.5}}).resolved()
