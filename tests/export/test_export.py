"""Export to ONNX and safetensors, checked with ONNX Runtime, and the command `export`."""

import json

import numpy as np
import pytest

import lenet5
from lenet5 import datasets, models
from lenet5.arrays import Learned
from lenet5.errors import CheckpointError, ConfigError
from lenet5.export import FORMATS
from lenet5.export.__main__ import notes_of, run
from lenet5.layers.operation import Squash


def filled(net):
    rng = np.random.default_rng(3)
    for key, array in net.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if key.endswith("variance") else rng.normal(0, 0.3, array.shape)
    return net


def built(*layers, shape=(1, 28, 28)):
    net = lenet5.Sequential(layers)
    net.build(shape, rng=np.random.default_rng(5))
    return filled(net)


NETWORKS = {
    **models.MODELS,
    "shipped": lenet5.pretrained,
    "norm": lambda: filled(models.d2l(norm=True, dropout=0.5)),
    "prelu": lambda: models.d2l(activation="prelu"),
    "elu": lambda: models.d2l(activation="elu"),
    "leaky-relu": lambda: models.d2l(activation="leaky-relu"),
    "third-stage": lambda: models.tensorflow_tutorial(variation="third-stage"),
    "float64": lambda: models.lenet5(dtype=np.float64, output="softmax"),
    "odd": lambda: built(
        lenet5.Conv2D(4, (3, 4), stride=(2, 1), padding="same"), lenet5.PReLU(), lenet5.Repeat(2),
        lenet5.ZeroPad2D(1, 0, 2, 1), lenet5.Subsampling(3, stride=2, coefficient=0.3), lenet5.BatchNorm(),
        lenet5.ELU(0.7), lenet5.AvgPool2D(3, stride=1), lenet5.MaxPool2D(2), lenet5.LeakyReLU(0.2), lenet5.Dropout(),
        lenet5.Flatten(), lenet5.BatchNorm(), lenet5.Dense(9, bias=0.2), lenet5.Sigmoid(), lenet5.Dense(5),
        lenet5.PReLU(),
    ),
    "networks within": lambda: built(
        lenet5.Sequential([lenet5.Conv2D(3, 5, name="C1"), lenet5.Tanh()], name="a"),
        lenet5.Sequential([lenet5.Conv2D(2, 5, name="C1"), lenet5.Tanh()], name="b"), lenet5.Flatten(), lenet5.Dense(4),
    ),
}  # fmt: skip


def images_for(net, count=20):
    if net.in_shape[0] == 3:
        return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return datasets.load("digits")[1].images[:count]


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx(name, prepare, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'lenet5-numpy[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    net, path = NETWORKS[name](), tmp_path / "net.onnx"
    lenet5.export(net, path, prepare=prepare)
    onnx.checker.check_model(str(path), full_check=True)
    session = runtime.InferenceSession(str(path))
    images = images_for(net)
    x = images if prepare else net.prepared(images).astype(np.float32)
    values = "penalties" if net.outputs_penalties else "scores"
    assert [output.name for output in session.get_outputs()] == [values, "probabilities", "class"]
    for count in (1, len(images)):
        out, shares, classes = session.run(None, {session.get_inputs()[0].name: x[:count]})
        expected = net.outputs(images[:count])
        assert np.abs(out - expected).max() <= 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(shares, net.predict_proba(images[:count]), atol=1e-4)
        assert (classes == net.predict(images[:count])).all()


def test_stages_carry_their_names(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'lenet5-numpy[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    net, path = lenet5.pretrained(), tmp_path / "net.onnx"
    lenet5.export(net, path, prepare=True)
    model = onnx.load(path)
    stages = ["input", "C1", "S2", "C3", "S4", "C5", "F6", "output"]
    for name in stages:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = runtime.InferenceSession(model.SerializeToString())
    image = images_for(net, 1)
    found = dict(zip(stages, session.run(stages, {"images": image}), strict=True))
    for name, maps in net.feature_maps(image).items():
        np.testing.assert_allclose(found[name].reshape(maps.shape), maps, atol=1e-4, err_msg=name)
    weight = next(w for w in model.graph.initializer if w.name == "C3.weight")
    assert list(weight.dims) == [16, 6, 5, 5]
    assert (onnx.numpy_helper.to_array(weight) != 0).any(axis=(2, 3)).sum() == 60  # connections of Table I


def test_what_an_onnx_file_tells(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'lenet5-numpy[onnx]'")
    net = models.lenet5(classes=2)
    net.learned = Learned(("cat", "dog"))
    lenet5.export(net, tmp_path / "x.onnx", outputs=["class"], notes={"dataset": "pets", "test_error": "0.5"})
    model = onnx.load(tmp_path / "x.onnx")
    told = {prop.key: prop.value for prop in model.metadata_props}
    assert told == {"dataset": "pets", "test_error": "0.5", "licence": "MIT", "classes": '["cat", "dog"]'}
    assert [output.name for output in model.graph.output] == ["class"] and model.producer_name == "lenet5"
    for outputs in (["shares"], []):
        with pytest.raises(ConfigError, match="Outputs of an ONNX graph"):
            lenet5.export(net, tmp_path / "y.onnx", outputs=outputs)


@pytest.mark.parametrize("name", [*models.MODELS, "norm", "odd", "float64", "networks within"])
def test_safetensors_keep_every_bit(name, tmp_path):
    tensors = pytest.importorskip("safetensors.numpy", reason="needs lenet5-numpy[safetensors]")
    net, path = NETWORKS[name](), tmp_path / "net.safetensors"
    net.learned = Learned(tuple(f"kind {k}" for k in range(net.out_shape[0])), (28, 28), 0.0, 200, "digit")
    lenet5.save(path, net, meta={"dataset": "mine"})
    back = lenet5.load(path)
    assert back.theta.tobytes() == net.theta.tobytes() and back.learned == net.learned and back.dtype == net.dtype
    for key, array in net.running().items():
        assert back.running()[key].tobytes() == array.tobytes()
    assert models.weights.read(path)[1]["dataset"] == "mine"
    held = tensors.load_file(path)
    assert {p.name for p in net.parameters()} <= held.keys()


def test_endings_in_capitals(tmp_path):
    pytest.importorskip("safetensors", reason="needs lenet5-numpy[safetensors]")
    net = models.lenet1()
    lenet5.export(net, tmp_path / "UPPER.SAFETENSORS")
    assert (lenet5.load(tmp_path / "UPPER.SAFETENSORS").theta == net.theta).all()
    assert (tmp_path / "UPPER.SAFETENSORS").read_bytes()[:2] != b"PK"


def test_endings(tmp_path):
    net = models.lenet1()
    with pytest.raises(ConfigError, match=r"must be one of \.onnx \(ONNX\)"):
        lenet5.export(net, tmp_path / "net.txt")
    with pytest.raises(ConfigError, match=r"int8 is an option of \.c, \.h, not of \.onnx"):
        lenet5.export(net, tmp_path / "net.onnx", int8=True)
    with pytest.raises(ConfigError, match=r"prepare is an option of \.onnx, not of \.npz"):
        lenet5.export(net, tmp_path / "net.npz", prepare=True)
    lenet5.export(net, tmp_path / "net.npz", notes={"dataset": "mine"})
    lenet5.export(net, tmp_path / "UPPER.NPZ")
    assert (lenet5.load(tmp_path / "UPPER.NPZ").theta == net.theta).all()
    loaded, meta = models.weights.read(tmp_path / "net.npz")
    assert (loaded.theta == net.theta).all() and meta["notes"]["dataset"] == "mine"
    for name, words in {
        "x.onnx": "cannot be read",
        "x.pt": "from_torch",
        "x.keras": "from_keras",
        "x.weights.h5": "from_keras",
    }.items():
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(CheckpointError, match=words):
            lenet5.load(tmp_path / name)


def test_function_and_package_have_one_name(tmp_path):
    import subprocess
    import sys

    for first in ("", "import lenet5.export.graph; ", "from lenet5.export import export; "):
        code = f"{first}import lenet5; lenet5.export(lenet5.models.lenet1(), r'{tmp_path / 'x.npz'}'); print('done')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "done", done.stderr


def test_a_layer_of_ones_own(tmp_path):
    pytest.importorskip("onnx", reason="needs onnx: pip install 'lenet5-numpy[onnx]'")

    class Softsign(lenet5.Layer):
        def forward(self, x):
            return self._done(x / (1 + np.abs(x)))

    class Steep(Softsign):
        def forward(self, x):
            return self._done(np.tanh(2 * x))

        def operation(self):
            return Squash("tanh", (1.0, 2.0))

    with pytest.raises(ConfigError, match="Softsign has no `operation`: define operation"):
        lenet5.export(built(Softsign(), lenet5.Flatten(), lenet5.Dense(3)), tmp_path / "net.onnx")
    lenet5.export(built(Steep(), lenet5.Flatten(), lenet5.Dense(3)), tmp_path / "net.onnx")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from lenet5 import train

    folder = tmp_path_factory.mktemp("run") / "run"
    assert (
        train.run(["--dataset", "digits", "--train-size", "200", "--epochs", "1", "--out", str(folder), "--quiet"]) == 0
    )
    return folder


@pytest.mark.parametrize("ending", [ending for ending in FORMATS if ending not in (".pt", ".pth")])
def test_the_command_writes_every_format(ending, trained, tmp_path, capsys):
    needed = {".onnx": "onnx", ".safetensors": "safetensors", ".keras": "h5py", ".weights.h5": "h5py"}
    if ending in needed:
        pytest.importorskip(needed[ending])
    path = tmp_path / f"net{ending}"
    assert run([str(trained), str(path)]) == 0
    assert f"{path.stat().st_size:,} bytes" in capsys.readouterr().out
    if ending in (".safetensors", ".npz"):
        assert (lenet5.load(path).theta == lenet5.load(trained).theta).all()
        assert models.weights.read(path)[1]["dataset"] == "digits"


def test_the_commands_options(trained, tmp_path, capsys):
    assert run([str(trained), str(tmp_path / "x.c"), "--int8"]) == 0
    assert "8-bit weights" in (tmp_path / "x.c").read_text()
    assert run([str(tmp_path / "alone.h")]) == 0  # exports the shipped weights
    assert "test_error   0.0092" in (tmp_path / "alone.h").read_text()
    for words, arguments in (
        ("one network and one file", ["a", "b", "c.onnx"]),
        ("the extension must be one of", [str(tmp_path / "x.tflite")]),
        ("this export needs no images", [str(tmp_path / "x.onnx"), "--dataset", "digits"]),
        ("int8 is an option", [str(tmp_path / "x.onnx"), "--int8"]),
        ("no such file", [str(tmp_path / "none.npz"), str(tmp_path / "x.onnx")]),
    ):
        assert run(arguments) in (2, 4)
        err = capsys.readouterr().err
        assert words in err and "Traceback" not in err
    assert not (tmp_path / "x.onnx").exists()


def test_notes_of_a_run(trained):
    notes = notes_of(trained, {"dataset": "digits"})
    last = json.loads((trained / "history.json").read_text())["epochs"][-1]
    assert float(notes["test_error"]) == pytest.approx(last["test_error"], abs=1e-4)
    assert json.loads(notes["recipe"])["epochs"] == 1 and notes["dataset"] == "digits"
    for broken in ("", "[]", "{}", '{"config": 5, "last": {}}', "[" * 100_000):
        (trained / "history.json").write_text(broken)
        assert notes_of(trained, {}) == {}
