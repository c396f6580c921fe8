"""Rows of Figs. 9 and 10: image preparation, fully connected networks, virtual support vectors."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from lenet5 import datasets, reproduce
from lenet5.analysis import metrics
from lenet5.datasets.moments import slant
from lenet5.reproduce import TABLES, Column, Row, Table, jobs, pages, sweep
from lenet5.reproduce.classifiers import CLASSIFIERS, SupportVectors, jittered
from lenet5.reproduce.images import IMAGES, changed, cropped, shrunk
from lenet5.reproduce.neighbours import MEMORIES
from lenet5.reproduce.networks import NETWORKS, fully_connected


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def job(row, out, seed=0):
    return jobs.Job("mine", row, seed, "digits", None, "sha", str(out), True)


def test_every_row_names_what_there_is():
    for table in TABLES.values():
        for row in table.rows:
            assert row.images in {"", *IMAGES} and row.network in {"", *NETWORKS}
            assert row.keys.keys() <= {column.heading for column in (*table.columns, Column("rejected", ""))}
            assert not (row.classifier and set(row.measures) - {"rejected"})
    measured = [row for row in TABLES["paper-fig9"].rows if set(row.measures) & MEMORIES.keys()]
    assert len({jobs.recipe(row) for row in measured}) == 1  # all use the same runs of LeNet-4
    assert {jobs.recipe(row) for row in TABLES["paper-rejection"].rows} <= {
        jobs.recipe(row) for row in TABLES["paper-fig9"].rows
    }


def test_a_changed_image_or_network_is_another_run():
    plain = Row("a", {"model": "lenet1"})
    rows = [plain, replace(plain, images="16x16"), replace(plain, images="deslanted"), replace(plain, network="300-10")]
    rows += [Row("b", classifier="linear"), Row("b", classifier="linear", images="deslanted")]
    assert len({jobs.recipe(row) for row in rows}) == len(rows)


def test_digits_of_16_pixels_in_the_same_field():
    square = np.zeros((1, 28, 28), np.uint8)
    square[:, 4:24, 4:24] = 255
    small = shrunk(square)
    assert small.shape == (1, 28, 28) and small[0, 6:22, 6:22].min() == 255
    small[0, 6:22, 6:22] = 0
    assert small.max() == 0
    np.testing.assert_array_equal(cropped(square), np.full((1, 20, 20), 255))
    assert cropped(square[:, :16]).shape == (1, 16, 20)


def test_images_of_both_sets_are_changed(digits, tmp_path):
    for name, side in (("16x16", 28), ("deslanted", 28), ("20x20 deslanted", 20)):
        made = changed(digits[1], name)
        assert made.images.shape == (len(digits[1]), side, side)
        np.testing.assert_array_equal(made.labels, digits[1].labels)
    assert np.abs(slant(changed(digits[1], "deslanted").images)[0]).max() < 0.02
    assert changed(digits[1], "") is digits[1]
    made = jobs.execute(
        job(Row("linear", classifier="linear", images="20x20 deslanted", measures=("rejected",)), tmp_path)
    )
    assert made["images"] == "20x20 deslanted" and 0 < made["result"]["rejected"] <= 1
    train, test = (
        changed(data, "20x20 deslanted").images.reshape(len(data), -1) / np.float32(255)
        for data in (digits[0].subset(slice(600)), digits[1].subset(slice(300)))
    )
    by_hand = CLASSIFIERS["linear"](0, 600).fit(train, digits[0].labels[:600]).predict(test)
    assert made["result"]["test_error"] == (by_hand != digits[1].labels[:300]).mean()


def test_fully_connected_networks_learn(digits, tmp_path):
    net = fully_connected(7, 5)(digits[0], np.random.default_rng(0))
    assert [p.value.shape for p in net.parameters()] == [(7, 784), (7,), (5, 7), (5,), (10, 5), (10,)]
    assert net.prepared(digits[0].images[:2]).min() == np.float32(-0.1) and net.out_shape == (10,)
    row = next(row for row in TABLES["paper-fig9"].rows if row.label == "28x28-300-10")
    made = jobs.execute(job(row, tmp_path))
    assert made["network"] == "300-10" and made["parameters"] == 784 * 300 + 300 + 300 * 10 + 10
    assert made["result"]["test_error"] < 0.3 and len(made["history"]) == 2
    other = jobs.execute(job(row, tmp_path, seed=1))
    assert made["result"]["loss"] != other["result"]["loss"]


def test_support_vectors_and_their_shifts():
    image = np.arange(1.0, 10).reshape(1, 9)
    moved = jittered(image).reshape(5, 3, 3)
    np.testing.assert_array_equal(moved[0], image.reshape(3, 3))
    expected = [
        [[4, 5, 6], [7, 8, 9], [0, 0, 0]],
        [[0, 0, 0], [1, 2, 3], [4, 5, 6]],
        [[2, 3, 0], [5, 6, 0], [8, 9, 0]],
        [[0, 1, 2], [0, 4, 5], [0, 7, 8]],
    ]
    np.testing.assert_array_equal(moved[1:], expected)


def test_virtual_vectors_help(digits):
    """With few training images, virtual vectors reduce the error on images shifted by a pixel."""
    train, test = digits
    few, labels = train.images[:300].reshape(300, -1) / np.float32(255), train.labels[:300]
    moved = jittered(test.images[:150].reshape(150, -1) / np.float32(255))[150:]
    truth = np.tile(test.labels[:150], 4)
    made = SupportVectors(9, 1.0, virtual=True).fit(few, labels)
    assert made.counts[0] <= 300 and made.counts[1] <= 5 * made.counts[0]
    plain = SupportVectors(9, 1.0).fit(few, labels)
    assert len(plain.counts) == 1
    assert metrics.error(made.decision_function(moved), truth) < (plain.predict(moved) != truth).mean()


def test_scores_are_margins_of_the_winner(digits):
    """Scores are derived from scikit-learn's pairwise decisions; without ties, their votes give the same answers."""
    train, test = digits
    rows = test.images.reshape(len(test), -1) / np.float32(255)
    made = SupportVectors(4, 0.0).fit(train.images[:300].reshape(300, -1) / np.float32(255), train.labels[:300])
    scores, pairs = made.decision_function(rows), made.machine.decision_function(normalize(rows))
    order = list(itertools.combinations(range(10), 2))
    for score, decisions in zip(scores, pairs, strict=True):
        wins = np.bincount([i if d > 0 else j for (i, j), d in zip(order, decisions, strict=True)], minlength=10)
        if wins.max() == 9:  # one class wins against all others
            best = int(wins.argmax())
            margins = {
                j if i == best else i: abs(d) for (i, j), d in zip(order, decisions, strict=True) if best in (i, j)
            }
            np.testing.assert_allclose([-score[c] for c in margins], list(margins.values()))
    agree = made.predict(rows) == made.machine.predict(normalize(rows))
    assert agree.mean() > 0.98


def test_rows_that_share_runs_have_keys_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "_data", lambda *arguments: datasets.load("digits")[0])
    config, told = {"model": "lenet4"}, []
    keys = {"test error": "nearest_error"}
    rows = (Row("plain", config), Row("nearest", config, measures=("nearest",), keys=keys))
    table = Table("mine", "Mine", "Words.", rows, dataset="digits")
    monkeypatch.setitem(sweep.TABLES, "mine", table)
    reproduce.run("mine", quick=True, out=tmp_path, say=told.append)
    assert told[0] == "1 runs to do, 1 already finished or shared between tables"
    record = json.loads((tmp_path / "quick" / "mine" / "nearest-seed-0.json").read_text())
    text = (tmp_path / "quick" / "mine" / "table.md").read_text()
    for name, key in (("plain", "test_error"), ("nearest", "nearest_error")):
        assert f"| {name} | {100 * record['result'][key]:.2f} % | 1 |" in text
    assert pages.join([table], tmp_path / "quick")
