"""`lenet5.fit`, its history, and wrong combinations that a trainer refuses."""

import warnings

import numpy as np
import pytest

import lenet5
from lenet5 import MAP, MLE, SDLM, SGD, Adam, Dataset, SoftmaxCrossEntropy, SquaredError, Trainer, datasets
from lenet5.errors import ConfigError, DataError, LenetWarning, ShapeError
from lenet5.evaluate import evaluate
from lenet5.training import Callback, History
from lenet5.training.hooks import Phase
from lenet5.training.reports import Progress, Report

TRAIN, TEST = datasets.load("digits")


def own():
    return lenet5.Sequential(
        [lenet5.Conv2D(6, 5, padding="same"), lenet5.ReLU(), lenet5.MaxPool2D(), lenet5.Flatten(), lenet5.Dense(10)]
    )


def test_the_papers_network_by_the_papers_recipe(capsys):
    net = lenet5.lenet5()
    history = lenet5.fit(net, TRAIN, TEST, epochs=4)
    assert history["test_error"][-1] < 0.1 and history["lr"] == [5e-4, 5e-4, 2e-4, 2e-4]
    assert capsys.readouterr().out.count("epoch ") == 4
    wrong = (net.predict(TEST.images) != TEST.labels).mean()
    assert history["test_error"][-1] == pytest.approx(wrong) and net.classes.tolist() == list("0123456789")


def test_a_network_of_ones_own_by_adam(capsys, tmp_path):
    net = own()
    history = lenet5.fit(net, (TRAIN.images / 255, TRAIN.labels.tolist()), TEST, epochs=6, batch_size=32, verbose=False)
    assert not capsys.readouterr().out and history["test_error"][-1] < 0.15 and history["lr"] == [1e-3] * 6
    assert net.in_shape == (1, 28, 28)
    lenet5.save(tmp_path / "own.npz", net)
    again = lenet5.load(tmp_path / "own.npz")
    np.testing.assert_array_equal(again.outputs(TEST.images), net.outputs(TEST.images))
    assert again.learned == net.learned and [layer.name for layer in again] == [layer.name for layer in net]
    more = lenet5.fit(again, TRAIN, epochs=1, verbose=False)  # continues with the current weights
    assert more["train_error"][0] < history["train_error"][1]


def test_the_history_is_a_table_and_a_picture():
    history = lenet5.fit(own(), TRAIN, TEST, epochs=2, validation_split=0.1, verbose=False)
    assert isinstance(history, History) and isinstance(history, list) and [r["epoch"] for r in history] == [1, 2]
    head, *rows = str(history).splitlines()
    assert head.split()[:3] == ["epoch", "lr", "loss"] and "validation error" in head and len(rows) == 2
    assert f"{history['test_error'][1]:.2%}" in rows[1]
    assert history._repr_html_().count("<tr>") == 3
    assert "digits" in history.plot().axes[0].get_title()
    with pytest.raises(KeyError, match="the columns are epoch"):
        history["accuracy"]


def test_options_of_fit():
    history = lenet5.fit(own(), TRAIN, epochs=1, optimizer="sgd", lr=0.05, distort="shift", seed=3, verbose=False)
    options = {"epochs": 1, "optimizer": "sgd", "lr": 0.05, "verbose": False}
    again = lenet5.fit(own(), TRAIN, distort="shift", seed=3, threads=1, **options)

    other = lenet5.fit(own(), TRAIN, epochs=1, optimizer="sgd", lr=0.05, seed=4, verbose=False)
    assert history[0]["lr"] == 0.05 and history["weights_sha256"] == again["weights_sha256"] != other["weights_sha256"]
    for options, word in (({"optimizer": "adm"}, "adm"), ({"epochs": 0}, "epochs"), ({"lr": -1.0}, "lr")):
        with pytest.raises(ConfigError, match=word):
            lenet5.fit(own(), TRAIN, **options)
    with pytest.raises(ConfigError, match="a network and a data set"):
        lenet5.fit(TRAIN, TEST)


def test_names_of_classes_go_through(tmp_path):
    names = np.array(["nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    train, test = (Dataset(part.images, names[part.labels]) for part in (TRAIN, TEST))
    net = own()
    history = lenet5.fit(net, train, test, epochs=4, batch_size=32, verbose=False)
    answers = net.classes[net.predict(TEST.images)]
    assert (answers != names[TEST.labels]).mean() == pytest.approx(history["test_error"][-1])
    few = Dataset(TEST.images[TEST.labels < 3], names[TEST.labels[TEST.labels < 3]])  # other numbers, same names
    assert few.classes == ("nought", "one", "two")
    result = evaluate(net, few)
    assert result["error"] < 0.3 and sum(map(sum, result["confusion"])) == len(few)
    assert result["classes"] == net.classes.tolist()
    with pytest.raises(DataError, match="'0', '1'"):
        evaluate(net, TEST)


def test_what_a_trainer_was_given_by_no_callbacks():
    """Without callbacks a trainer uses the paper's, so that the README's first example trains well."""
    net = lenet5.lenet5()
    history = Trainer(net, MAP(), SDLM(net.parameters(), lr=5e-4)).fit(TRAIN, epochs=6)
    assert history[-1]["train_error"] < 0.05


PAIRS = [
    (lenet5.models.d2l, MAP(), "MAP needs penalties, but the network ends in Dense, whose outputs are scores"),
    (lenet5.models.d2l, MLE(), "MLE needs penalties"),
    (lenet5.lenet5, SoftmaxCrossEntropy(), "SoftmaxCrossEntropy needs scores, but the network ends in RBF"),
    (lenet5.lenet5, SquaredError(), "SquaredError needs scores"),
]


@pytest.mark.parametrize(("make", "loss", "message"), PAIRS)
def test_losses_and_outputs_that_do_not_go_together(make, loss, message):
    net = make()
    with pytest.raises(ConfigError, match=message):
        Trainer(net, loss, SGD(net.parameters(), lr=0.1))


def test_optimisers_of_another_network():
    net, other = lenet5.models.d2l(), lenet5.models.d2l()
    with pytest.raises(ConfigError, match="Adam updates .* of another network"):
        Trainer(net, SoftmaxCrossEntropy(), Adam(other.parameters()))
    Trainer(net, SoftmaxCrossEntropy(), Adam(net["F6"].parameters()))  # training a part of the network is allowed
    unbuilt = own()
    with pytest.raises(ConfigError, match="no parameters"):
        Trainer(unbuilt, SoftmaxCrossEntropy(), Adam(unbuilt.parameters()))


def test_more_classes_than_the_network_has():
    """The message names the required number of classes, also for the largest label that uint8 can hold."""
    data = Dataset(np.zeros((2, 28, 28), np.uint8), np.array([0, 255]), classes=[str(k) for k in range(256)])
    trainer = Trainer(net := lenet5.lenet5(), MAP(), SDLM(net.parameters(), lr=5e-4))
    with pytest.raises(ShapeError, match=r"labels up to 255.*lenet5\.lenet5\(classes=256\)"):
        trainer.fit(data, epochs=1)


@pytest.mark.parametrize("shape", [(4, 40, 40), (4, 28, 28, 3)])
def test_images_that_do_not_fit_the_network(shape):
    with pytest.raises(ShapeError, match="takes images of up to 32x32 pixels and 1 channel"):
        lenet5.fit(lenet5.lenet5(), (np.zeros(shape), [0, 1, 2, 3]), verbose=False)


class Failing(Callback):
    """Reporting callback that fails in the given hook."""

    phase = Phase.REPORT

    def __init__(self, hook):
        setattr(self, hook, self.fail)

    def fail(self, trainer):
        raise OSError("the terminal has gone")


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end"])
def test_a_reporter_that_fails_costs_no_result(hook):
    expected = lenet5.fit(own(), TRAIN, TEST, epochs=2, verbose=False)
    with pytest.warns(
        LenetWarning, match="Failing failed; training continues without it: the terminal has gone"
    ) as told:
        found = lenet5.fit(own(), TRAIN, TEST, epochs=2, verbose=False, callbacks=[Failing(hook)])
    assert len(told) == 1 and found["weights_sha256"] == expected["weights_sha256"]


@pytest.mark.parametrize("make", [lambda: Report(lambda text: 1 / 0), Progress])
def test_our_reporters_that_fail_cost_no_result(make, monkeypatch):
    def broken(*args, **options):
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr("tqdm.auto.tqdm", broken)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = lenet5.fit(own(), TRAIN, epochs=2, verbose=False, callbacks=[make()])
    assert len(history) == 2 and len(told) == 1


def test_other_callbacks_may_end_a_training():
    class Stop(Callback):
        def on_epoch_end(self, trainer):
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        lenet5.fit(own(), TRAIN, epochs=2, verbose=False, callbacks=[Stop()])


def test_what_users_of_other_libraries_type_first():
    net = own()
    history = net.fit(TRAIN.images / 255, TRAIN.labels, epochs=1, verbose=False)
    assert history["weights_sha256"] == lenet5.fit(own(), TRAIN, epochs=1, verbose=False)["weights_sha256"]
    assert own().fit(TRAIN, TEST, epochs=1, verbose=False)["test_error"]
    for name, hint in (
        ("compile", "lenet5.fit"),
        ("evaluate", "evaluate"),
        ("save", r"lenet5\.save"),
        ("nothing", r"'nothing'$"),
    ):
        with pytest.raises(AttributeError, match=hint):
            getattr(net, name)
    with pytest.raises(ConfigError, match="images and labels as pairs"):
        lenet5.fit(net, TRAIN.images, TRAIN.labels)
    few = lenet5.models.d2l()
    with pytest.raises(ShapeError, match="labels up to 11"):
        lenet5.fit(few, (TRAIN.images[:24], list("abcdefghijkl") * 2), verbose=False)
    lenet5.fit(few, (TRAIN.images[:24], list("abcdef") * 4), epochs=1, verbose=False)  # the failed call changed nothing
    assert few.classes[:6].tolist() == list("abcdef")


def test_a_summary(capsys):
    lenet5.lenet5().summary()
    text = capsys.readouterr().out
    assert "C1" in text and "60,000" in text and "340,908" in text
