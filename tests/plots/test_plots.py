import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import lenet5
from lenet5 import bitmaps, datasets, plots, show, train
from lenet5.errors import ConfigError, DataError, ShapeError
from lenet5.layers import AvgPool2D, Conv2D, MaxPool2D, Subsampling

HISTORY = [
    {"epoch": k, "train_error": 0.05 / k, "validation_error": None, "test_error": 0.03 / k} for k in range(1, 6)
]  # fmt: skip


def test_learning_curves():
    figure = plots.learning_curves({"one": HISTORY, "two": HISTORY}, data="mnist")
    (axes,) = figure.axes
    assert len(axes.lines) == 5  # test and training of each run, and the paper's line
    assert axes.get_xlabel() == "epoch" and axes.get_ylabel() == "error (%)"
    assert "mnist" in axes.get_title() and "2 runs" in axes.get_title()
    labels = [t.get_text() for t in axes.get_legend().get_texts()]
    assert labels == ["test", "training, on the fly", "paper, test: 0.95 %"]
    other = plots.learning_curves({"digits run": HISTORY}, data="digits")
    assert "digits" in other.axes[0].get_title() and len(other.axes[0].lines) == 2  # without the paper's result


def test_feature_maps():
    net = lenet5.pretrained()
    figure = plots.feature_maps(net, np.zeros((28, 28), np.uint8), data="nothing")
    assert isinstance(figure, Figure) and "nothing" in figure.get_suptitle()
    pictures = [a for a in figure.axes if a.images]
    assert len(pictures) == 1 + 6 + 6 + 16 + 16 + 1 + 1 + 1  # F6 is one picture, with the code of the answer
    f6, code = (axes.images[0].get_array() for axes in pictures[-2:])
    assert f6.shape == code.shape == (12, 7) and set(np.unique(code)) == {-1, 1}
    with pytest.raises(ShapeError):
        plots.feature_maps(net, np.zeros((2, 28, 28), np.uint8))


def test_compared():
    other = [record | {"test_error": 0.0} for record in HISTORY]
    figure = plots.compared({"a": [HISTORY, other], "b": [HISTORY[:1]], "not run": []}, title="mine on digits")
    (axes,) = figure.axes
    assert [len(line.get_xdata()) for line in axes.lines] == [len(HISTORY), 1]
    expected = 100 * (HISTORY[0]["test_error"] + 0.00005) / 2  # errors of 0 are replaced on the logarithmic axis
    assert axes.lines[0].get_ydata()[0] == pytest.approx(expected)
    assert len(axes.collections) == 1 and axes.get_title() == "mine on digits"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    saturated = [record | {"saturated": 0.5} for record in HISTORY]
    scales = [plots.compared({"a": [saturated]}, key=key, title="").axes[0] for key in ("test_error", "saturated")]
    assert [axes.get_yscale() for axes in scales] == ["log", "linear"] and scales[1].get_ylim()[0] == 0


def test_distortions():
    images = np.zeros((3, 28, 28), np.uint8)
    figure = plots.distortions(images, {"upside down": lambda x, rng: 255 - x}, data="nothing")
    assert [axes.get_ylabel() for axes in figure.axes] == ["originals", "upside down"]
    assert figure.axes[1].images[0].get_array().shape == (30, 90) and "nothing" in figure.get_suptitle()


def test_saved_bytes_repeat(tmp_path):
    for name in ("a.png", "b.png"):
        plots.save(plots.learning_curves({"one": json.loads(json.dumps(HISTORY))}, data="mnist"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.fixture(scope="module")
def net():
    return lenet5.pretrained()


@pytest.fixture(scope="module")
def test_set():
    return datasets.load("digits")[1]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_architecture_names_every_stage(net):
    figure = plots.architecture(net)
    drawn = texts(figure)
    for name, size in (("input", "1@32x32"), ("C1", "6@28x28"), ("S4", "16@5x5"), ("F6", "84")):
        assert any(text.startswith(f"{name}\n{size}") for text in drawn), name
    assert "60,000 parameters" in figure.axes[0].get_title()
    # 1 + 6 + 6 + 16 + 16 maps, and one bar each for C5, F6 and the outputs.
    assert len(figure.axes[0].patches) == 48
    for name in lenet5.models.MODELS:
        assert plots.architecture(lenet5.models.from_spec({"name": name})).axes


def test_kernels_leave_unconnected_pairs_blank(net):
    c3 = plots.kernels(net, "C3").axes[0].images[0].get_array()
    cells = np.ma.getdata(c3)
    assert cells.shape == (16 * 6 - 1, 6 * 6 - 1)
    blank = [[np.isnan(cells[6 * o : 6 * o + 5, 6 * c : 6 * c + 5]).all() for c in range(6)] for o in range(16)]
    assert (~np.array(blank)).sum() == 60 and not np.array(blank)[15].any()
    np.testing.assert_allclose(cells[:5, :5], net["C3"].weight.value[0])
    assert np.ma.getdata(plots.kernels(net, "C1").axes[0].images[0].get_array()).shape == (5, 6 * 6 - 1)
    assert np.ma.getdata(plots.kernels(net, "C5").axes[0].images[0].get_array()).shape == (120 * 6 - 1, 16 * 6 - 1)
    with pytest.raises(ConfigError, match="C1, C3, C5"):
        plots.kernels(net, "F6")


def test_rbf_codes():
    assert "10 characters" in plots.rbf_codes().get_suptitle()
    assert "95 characters" in plots.rbf_codes(bitmaps.ASCII).get_suptitle()
    seven = np.ma.getdata(plots.rbf_codes("7").axes[0].images[0].get_array())
    np.testing.assert_array_equal(seven, bitmaps.codes("7")[0].reshape(12, 7))


def test_mistakes_and_confusion_count(net, test_set):
    answers = net.predict(test_set.images)
    wrong = np.flatnonzero(answers != test_set.labels)
    figure = plots.mistakes(net, test_set)
    assert texts(figure) == [f"{test_set.labels[i]}->{answers[i]}" for i in wrong]
    assert f"{len(wrong)} of 360" in figure.get_suptitle() and "digits" in figure.get_suptitle()
    assert len(texts(plots.mistakes(net, test_set, limit=2))) == 2
    right = test_set.subset(np.flatnonzero(answers == test_set.labels))
    assert plots.mistakes(net, right).get_suptitle().startswith("0 of")
    figure = plots.confusion(net, test_set)
    assert sum(map(int, texts(figure))) == 360 and f"{len(wrong)} of 360" in figure.axes[0].get_title()


def test_rates_have_a_panel_for_every_parameter(net):
    optimizer = lenet5.SDLM(net.parameters(), lr=5e-4)
    figure = plots.effective_rates(net, optimizer)
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == list(net.parameters().slices())
    counted = [sum(patch.get_height() for patch in axes.patches[:-1]) for axes in figure.axes]
    assert counted == [p.size for p in net.parameters()]


def test_training_size_and_rejection():
    records = {100: [{"test_error": 0.1, "train_error": 0.0}, {"test_error": 0.2, "train_error": 0.0}]}
    figure = plots.training_size(records, data="digits")
    assert figure.axes[0].lines[0].get_ydata()[0] == pytest.approx(15.0)
    labels = np.zeros(10, int)
    scores = np.tile([0.6, 0.4], (10, 1))
    scores[0] = [0.49, 0.51]  # the only mistake has the smallest margin
    figure = plots.rejection({"a": (scores, labels)}, data="digits")
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [10.0, 0.0, 0.0])
    with pytest.raises(ShapeError):
        plots.rejection({}, data="digits")


def test_robustness_has_a_panel_for_every_change(net, test_set):
    figure = plots.robustness(net, test_set.subset(slice(60)))
    assert len(figure.axes) == 5 and figure.axes[0].get_ylabel() == "error (%)"
    plain = 100 * (net.predict(test_set.images[:60]) != test_set.labels[:60]).mean()
    noise, rotation = (axes.lines[0] for axes in figure.axes[:2])
    assert noise.get_ydata()[0] == plain and rotation.get_ydata()[list(rotation.get_xdata()).index(0)] == plain


@pytest.mark.parametrize("name", ["lenet5", "d2l"])
def test_saliency_is_the_derivative_of_the_lead(name, test_set):
    net = lenet5.models.from_spec({"name": name}, seed=1, dtype=np.float64)
    figure = plots.saliency(net, test_set.images[0])
    picture = figure.axes[1].images[0].get_array()
    sign = -1 if net.outputs_penalties else 1
    best, second = map(int, re.findall(r"\d+", figure.get_suptitle())[:2])
    x = net.prepared(test_set.images[:1]).copy()

    def lead(x):
        y = sign * net.forward(x)[0]
        return y[best] - y[second]

    r, c, step = 14, 15, 1e-5
    moved = x.copy()
    moved[0, 0, r, c] += step
    assert picture[r, c] == pytest.approx((lead(moved) - lead(x)) / step, rel=1e-3, abs=1e-6)


def test_occlusion_is_what_a_covered_patch_costs(net, test_set):
    figure = plots.occlusion(net, test_set.images[0], size=5)
    picture = np.ma.getdata(figure.axes[1].images[0].get_array())
    assert np.isnan(picture[:2]).all() and np.isfinite(picture[2:-2, 2:-2]).all()
    assert abs(picture[2, 2]) < 1e-3  # covering background changes only rounding
    for wrong in (
        lambda: plots.occlusion(net, test_set.images[:2]),
        lambda: plots.occlusion(net, test_set.images[0], size=40),
    ):
        with pytest.raises(ShapeError):
            wrong()


@pytest.mark.parametrize("name", lenet5.models.MODELS)
def test_feature_maps_of_every_network_are_whole(name, test_set):
    net = lenet5.models.from_spec({"name": name})
    image = test_set.images[0] if net.in_shape[0] == 1 else np.zeros((32, 32, 3), np.uint8)
    maps = net.feature_maps(image)
    for layer in net:
        if isinstance(layer, Conv2D | AvgPool2D | MaxPool2D | Subsampling):
            assert maps[layer.name].shape == layer.out_shape
    figure = plots.feature_maps(net, image, data="nothing")
    assert all(axes.get_position().x1 <= 1 and axes.get_position().y0 >= 0 for axes in figure.axes)
    for draw in (plots.saliency, plots.occlusion):
        assert len(draw(net, image).axes) == 3


def test_colours_and_unknown_classes(net):
    colours = np.zeros((3, 32, 32, 3), np.uint8)
    assert len(plots.distortions(colours, datasets.DISTORTIONS).axes) == 1 + len(datasets.DISTORTIONS)
    labels = np.array([0, 11, 1], np.uint8)
    with pytest.raises(DataError, match="classes '11' are not among"):
        plots.confusion(net, datasets.Dataset(np.zeros((3, 28, 28), np.uint8), labels, "mine", ()))


def test_images_with_their_classes(test_set):
    figure = plots.images(test_set, count=12)
    assert figure.get_suptitle() == "digits: first 12 images"
    assert texts(figure) == [str(label) for label in test_set.labels[:12]]
    assert figure.axes[0].images[0].get_array().shape == (2 * (28 + 9) - 1, 10 * 29 - 1)


def test_weights_are_all_counted(net):
    figure = plots.weights(net)
    counts = [sum(int(bar.get_height()) for bar in axes.patches) for axes in figure.axes]
    assert counts == [p.size for p in net.parameters()]
    assert figure.axes[0].get_ylabel().startswith("C1.weight") and figure.axes[-1].get_xlabel() == "value"


def test_show_draws_the_sizes_of_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for size, distort in ((None, None), (30000, None), (None, "affine")):
        record = {"config": {"train_size": size, "distort": {"name": distort}}, "train_images": 60000,
                  "dataset": "mnist", "result": {"test_error": 0.01, "train_error": 0.005}}  # fmt: skip
        (tmp_path / f"{size}-{distort}.json").write_text(json.dumps(record))
    drawn = []
    monkeypatch.setattr(plots, "training_size", lambda results, data: drawn.append((results, data)) or Figure())
    assert show.run(["training-size", str(tmp_path)]) == 0
    ((results, data),) = drawn
    assert data == "mnist" and {size: len(found) for size, found in results.items()} == {60000: 1, 30000: 1}


def test_show_draws_every_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--dataset", "digits", "--train-size", "100", "--epochs", "1", "--quiet", "--out", "run"]
    assert train.run([*words, "--loss", "squared"]) == 0
    for name in set(show._pictures()) - {"training-size"}:
        assert show.run([name, "run", "--dataset", "digits", "--image", "3", "-o", f"{name}.png"]) == 0
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    for words, what in [
        (["nothing"], "architecture"),
        (["feature-maps", "--dataset", "digits", "--image", "999"], "0 to 359"),
        (["kernels", "--stage", "S2"], "C1, C3, C5"),
        (["learning-curves", str(tmp_path)], "history.json: no such file"),
        (["training-size", str(tmp_path)], "a folder of results for several training sizes"),
        (["training-size", "run"], "a folder of results for several training sizes"),
        (["rbf-codes", "-o", "codes.pdf"], "codes.png"),
        (["mistakes", str(tmp_path / "none.npz")], "none.npz"),
    ]:
        assert show.run(words) != 0
        assert what in capsys.readouterr().err
