import json

import numpy as np
import pytest
from matplotlib.figure import Figure

import lenet5
from lenet5 import plots
from lenet5.errors import ShapeError

HISTORY = [
    {"pass": k, "train_error": 0.05 / k, "validation_error": None, "test_error": 0.03 / k} for k in range(1, 6)
]  # fmt: skip


def test_learning_curves():
    figure = plots.learning_curves({"one": HISTORY, "two": HISTORY}, data="mnist")
    (axes,) = figure.axes
    assert len(axes.lines) == 5  # test and training of each run, and the paper's line
    assert axes.get_xlabel().startswith("passes") and axes.get_ylabel() == "error (%)"
    assert "mnist" in axes.get_title() and "2 runs" in axes.get_title()
    labels = [t.get_text() for t in axes.get_legend().get_texts()]
    assert labels == ["test", "training, on the fly", "paper, test: 0.95 %"]
    other = plots.learning_curves({"digits run": HISTORY}, data="digits")
    assert "digits" in other.axes[0].get_title() and len(other.axes[0].lines) == 2  # no figure of the paper's


def test_feature_maps():
    net = lenet5.pretrained()
    figure = plots.feature_maps(net, np.zeros((28, 28), np.uint8), data="nothing")
    assert isinstance(figure, Figure) and "nothing" in figure.get_suptitle()
    pictures = [a for a in figure.axes if a.images]
    assert len(pictures) == 1 + 6 + 6 + 16 + 16 + 1 + 1
    assert pictures[-1].images[0].get_array().shape == (12, 7)
    with pytest.raises(ShapeError):
        plots.feature_maps(net, np.zeros((2, 28, 28), np.uint8))


def test_compared():
    other = [record | {"test_error": 0.0} for record in HISTORY]
    figure = plots.compared({"a": [HISTORY, other], "b": [HISTORY[:1]], "not run": []}, title="mine on digits")
    (axes,) = figure.axes
    assert [len(line.get_xdata()) for line in axes.lines] == [len(HISTORY), 1]
    expected = 100 * (HISTORY[0]["test_error"] + 0.00005) / 2  # no error has no place on a logarithmic axis
    assert axes.lines[0].get_ydata()[0] == pytest.approx(expected)
    assert len(axes.collections) == 1 and axes.get_title() == "mine on digits"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_distortions():
    images = np.zeros((3, 28, 28), np.uint8)
    figure = plots.distortions(images, {"upside down": lambda x, rng: 255 - x}, data="nothing")
    assert [axes.get_ylabel() for axes in figure.axes] == ["as they are", "upside down"]
    assert figure.axes[1].images[0].get_array().shape == (30, 90) and "nothing" in figure.get_suptitle()


def test_saved_bytes_repeat(tmp_path):
    for name in ("a.png", "b.png"):
        plots.save(plots.learning_curves({"one": json.loads(json.dumps(HISTORY))}, data="mnist"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
