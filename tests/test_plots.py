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


def test_saved_bytes_repeat(tmp_path):
    for name in ("a.png", "b.png"):
        plots.save(plots.learning_curves({"one": json.loads(json.dumps(HISTORY))}, data="mnist"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
