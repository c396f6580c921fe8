import json

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, evaluate, models, predict
from lenet5.analysis.committee import Committee
from lenet5.analysis.metrics import mcnemar
from lenet5.arrays import Learned
from lenet5.errors import ConfigError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three small networks trained on the same data set, one of them saved as .safetensors."""
    folder = tmp_path_factory.mktemp("runs")
    train, test = datasets.load("digits")
    paths = [str(folder / name) for name in ("a.npz", "b.npz", "c.safetensors")]
    for seed, path in enumerate(paths):
        if path.endswith(".safetensors"):
            pytest.importorskip("safetensors", reason="needs safetensors: pip install 'lenet5-numpy[safetensors]'")
        net = models.d2l(activation="tanh", seed=seed)
        lenet5.fit(net, train, epochs=1 + seed, seed=seed)
        lenet5.save(path, net, meta={"dataset": "digits"})
    return paths, test


def test_probabilities_are_averaged(runs):
    paths, test = runs
    nets = [lenet5.load(path) for path in paths]
    committee = Committee(nets)
    expected = sum(net.predict_proba(test.images) for net in nets) / 3
    np.testing.assert_allclose(committee.predict_proba(test.images), expected, rtol=1e-6)
    assert (committee.predict(test.images) == expected.argmax(axis=1)).all()
    assert evaluate.evaluate(committee, test)["errors"] == (expected.argmax(axis=1) != test.labels).sum()


def test_members_may_know_their_classes_in_another_order(runs):
    paths, test = runs
    one = lenet5.load(paths[0])
    turned = lenet5.load(paths[0])
    turned["output"].weight.value[...] = one["output"].weight.value[::-1]
    turned["output"].bias.value[...] = one["output"].bias.value[::-1]
    turned.learned = one.learned._replace(classes=one.learned.classes[::-1])
    committee = Committee([one, turned])
    np.testing.assert_allclose(committee.predict_proba(test.images), one.predict_proba(test.images), rtol=1e-5)


def test_other_classes_are_refused(runs):
    one, other = lenet5.load(runs[0][0]), lenet5.load(runs[0][1])
    other.learned = Learned(tuple("abcdefghij"))
    with pytest.raises(ConfigError, match="network 2 has a, b, c"):
        Committee([one, other])
    with pytest.raises(ConfigError, match="at least one"):
        Committee([])


def test_evaluate_compares(runs, capsys):
    paths, test = runs
    assert evaluate.run([*paths, "--dataset", "digits", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    nets = [lenet5.load(path) for path in paths]
    assert [run["errors"] for run in told["runs"]] == [(n.predict(test.images) != test.labels).sum() for n in nets]
    assert told["committee"]["errors"] == (Committee(nets).predict(test.images) != test.labels).sum()
    assert len(told["comparisons"]) == 3
    for compared, (k, m) in zip(told["comparisons"], ((0, 1), (0, 2), (1, 2)), strict=True):
        answers = [nets[i].predict(test.images) for i in (k, m)]
        assert compared["p"] == mcnemar(*answers, test.labels)
        right = [each == test.labels for each in answers]
        assert compared["only_first_right"] == (right[0] & ~right[1]).sum()
        assert compared["only_second_right"] == (right[1] & ~right[0]).sum()
    assert evaluate.run([*paths[:2], "--dataset", "digits"]) == 0
    text = capsys.readouterr().out
    assert "McNemar's p" in text and "committee of 2 on the test images of digits" in text
    p = mcnemar(nets[0].predict(test.images), nets[1].predict(test.images), test.labels)
    assert ("significant:" in text) == (p < 0.05)


def test_a_network_does_not_differ_from_itself(runs, capsys):
    assert evaluate.run([runs[0][0], runs[0][0], "--dataset", "digits"]) == 0
    assert "p = 1, no significant difference" in capsys.readouterr().out


def test_predict_by_committee(runs, capsys, tmp_path):
    paths, test = runs
    np.save(tmp_path / "images.npy", test.images[:20])
    assert predict.run([*paths, str(tmp_path / "images.npy"), "--csv", str(tmp_path / "out.csv")]) == 0
    answers = [line.split(",")[1] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    committee = Committee([lenet5.load(path) for path in paths])
    assert answers == committee.classes[committee.predict(test.images[:20])].tolist()
    from PIL import Image

    Image.fromarray(test.images[3]).save(tmp_path / "one.png")
    capsys.readouterr()
    assert predict.run([*paths, str(tmp_path / "one.png"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)[0]
    picture = lenet5.datasets.normalise_digit(tmp_path / "one.png")
    expected = np.mean([lenet5.load(path).predict_proba(picture)[0] for path in paths], axis=0)
    assert told["top"][0]["probability"] == pytest.approx(expected.max(), abs=1e-5)
    assert told["digit"] == expected.argmax()
    assert predict.run(paths) == 2
    assert "no image given" in capsys.readouterr().err
