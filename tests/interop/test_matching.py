"""Weights of other libraries, read without them: names, shapes, order, and files that must be refused."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import lenet5
from lenet5 import interop, models
from lenet5.errors import CheckpointError, ConfigError, LenetError


def arrays(names, shapes, seed=0):
    """Return a state dict of modules with these names and shapes, each with weight and bias."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in zip(names, shapes, strict=True):
        state[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    return state


SHAPES = ((6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84))
COLOUR = ((6, 3, 5, 5), *SHAPES[1:])
CONVOLVED = (*SHAPES[:2], (120, 16, 5, 5), *SHAPES[3:])
# Public models: names of their modules, shapes, and the network that they match.
PUBLIC = {
    "PyTorch's tutorial for CIFAR-10": (("conv1", "conv2", "fc1", "fc2", "fc3"), COLOUR, "lenet5-cifar10"),
    "PyTorch's tutorial of networks, grey": (("conv1", "conv2", "fc1", "fc2", "fc3"), SHAPES, "lenet5-cifar10"),
    "Dive into Deep Learning": (("net.0", "net.3", "net.7", "net.9", "net.11"), SHAPES, "d2l"),
    "a plain LeNet-5 whose C5 is a convolution": (
        ("feature_extractor.0", "feature_extractor.3", "feature_extractor.6", "classifier.0", "classifier.2"),
        CONVOLVED,
        "lenet5-cifar10",
    ),
    "28x28 without padding": (
        ("features.0", "features.3", "classifier.1", "classifier.3", "classifier.5"),
        (*SHAPES[:2], (120, 256), *SHAPES[3:]),
        "lenet5-cifar10",
    ),
    "behind DataParallel": (tuple(f"module.{n}" for n in ("c1", "c3", "c5", "f6", "out")), CONVOLVED, "d2l"),
}
LAYERS = ("C1", "C3", "C5", "F6", "output")


@pytest.mark.parametrize("name", PUBLIC)
def test_public_layouts_need_no_mapping(name):
    names, shapes, model = PUBLIC[name]
    state = arrays(names, shapes)
    net = interop.from_torch(state, model)
    side = 28 if model == "d2l" or shapes[2] == (120, 256) else 32
    assert net.in_shape == (shapes[0][1], side, side)
    for layer, theirs in zip(LAYERS, names, strict=True):
        np.testing.assert_array_equal(net[layer].weight.value.ravel(), state[f"{theirs}.weight"].ravel())
        np.testing.assert_array_equal(net[layer].bias.value, state[f"{theirs}.bias"])


def test_another_order_of_definition():
    state = arrays(("fc1", "fc2", "fc3", "conv1", "conv2"), (*SHAPES[2:], *SHAPES[:2]))
    net = interop.from_torch(state, "d2l")
    np.testing.assert_array_equal(net["C3"].weight.value, state["conv2.weight"])
    np.testing.assert_array_equal(net["F6"].weight.value, state["fc2.weight"])


def twins():
    net = lenet5.Sequential([lenet5.Dense(4, name="A"), lenet5.Dense(4, name="B"), lenet5.Dense(3, name="C")])
    net.build((4,))
    return net


def test_what_is_ambiguous_needs_a_mapping():
    state = arrays(("last", "one", "two"), ((3, 4), (4, 4), (4, 4)))
    with pytest.raises(CheckpointError, match=r"several modules match A\..*one 4x4; two 4x4.*mapping=\{'A': 'last'"):
        interop.from_torch(state, twins())
    net = interop.from_torch(state, twins(), mapping={"A": "two", "B": "one", "C": "last"})
    np.testing.assert_array_equal(net["A"].weight.value, state["two.weight"])
    np.testing.assert_array_equal(net["B"].bias.value, state["one.bias"])
    for wrong in (
        {"A": "two", "B": "one"}, {"A": "two", "B": "x", "C": "last"}, {"A": "two", "B": "two", "C": "last"},
        {"A": "one", "B": "two", "C": "last", "D": "one"}, {"A": "last", "B": "one", "C": "two"},
    ):  # fmt: skip
        with pytest.raises(CheckpointError):
            interop.from_torch(state, twins(), mapping=wrong)


def test_batch_normalisation():
    rng, state = np.random.default_rng(1), {}
    for k, shape in enumerate(SHAPES):
        state[f"{3 * k}.weight"] = rng.normal(size=shape)
        if k == 4:
            state[f"{3 * k}.bias"] = rng.normal(size=shape[0])
            continue  # the others have no bias, because a normalisation follows
        for what in ("weight", "bias", "running_mean", "running_var"):
            state[f"{3 * k + 1}.{what}"] = rng.uniform(0.5, 1, size=shape[0])
        state[f"{3 * k + 1}.num_batches_tracked"] = np.array(7)
    net = interop.from_torch(state, "d2l", activation="relu")
    assert net.spec["norm"] and net.spec["activation"] == "relu"
    np.testing.assert_allclose(net["C3.BatchNorm"].running_variance, state["4.running_var"], rtol=1e-6)
    assert (net["C3"].bias.value == 0).all()


def test_sub_sampling_and_table_i():
    net = models.lenet5(seed=3)
    state, _ = interop.to_torch(net)
    assert state["C3.weight"].shape == (16, 6, 5, 5)
    again = {
        name.replace("C", "conv").replace("S", "pool"): value for name, value in state.items() if name != "output.codes"
    }
    for shape in ((6,), (6, 1, 1), (6, 1, 1, 1), (1, 6, 1, 1)):
        again["pool2.coefficient"] = state["S2.coefficient"].reshape(shape)
        np.testing.assert_array_equal(interop.from_torch(again, "lenet5").theta, net.theta)
    again["pool2.coefficient"] = np.broadcast_to(state["S2.coefficient"][:, None, None, None], (6, 1, 2, 2)).copy()
    np.testing.assert_array_equal(interop.from_torch(again, "lenet5").theta, net.theta)
    again["pool2.coefficient"][0, 0, 0, 0] += 1  # values differ within a map
    with pytest.raises(CheckpointError, match="no module matches S2"):
        interop.from_torch(again, "lenet5")
    state["C3.weight"][0, 5] = 0.1  # Table I has no such connection
    with pytest.raises(CheckpointError, match="C3"):
        interop.from_torch(state, "lenet5")


def test_other_codes_are_refused():
    state, _ = interop.to_torch(models.lenet5())
    state["output.codes"] = -state["output.codes"]
    with pytest.raises(CheckpointError, match="codes differ"):
        interop.from_torch(state, "lenet5")


def test_one_slope_for_all():
    net = models.d2l(activation="prelu")
    state, _ = interop.to_torch(net)
    state = {name: np.array([0.125]) if name.endswith("PReLU.weight") else value for name, value in state.items()}
    assert (interop.from_torch(state, "d2l", activation="prelu")["C3.PReLU"].alpha.value == 0.125).all()


STATE = arrays(("a", "b", "c", "d", "e"), SHAPES)
BAD = {
    "not finite": STATE | {"c.bias": np.full(120, np.nan, np.float32)},
    "no layer matches f": STATE | {"f.weight": np.zeros((3, 3), np.float32)},
    "not a supported weight": STATE | {"a.weight_g": np.zeros(6)},
    "type .str. is not a supported weight": STATE | {"epoch": "seven"},
    "no module matches F6": {k: v for k, v in STATE.items() if k[0] != "d"},
    "no module matches output": {k: v for k, v in STATE.items() if k != "e.weight"},
    "no module matches C3": STATE | {"b.weight": np.zeros((16, 6, 3, 3))},
    "no weights found": {},
}


@pytest.mark.parametrize("words", BAD)
def test_what_is_refused(words):
    net = models.d2l()
    before = net.theta.copy()
    with pytest.raises(CheckpointError, match=words):
        interop.from_torch(BAD[words], net)
    np.testing.assert_array_equal(net.theta, before)  # the network is unchanged


def test_wrong_calls():
    with pytest.raises(ConfigError, match="needs a state dict"):
        interop.from_torch(7)
    with pytest.raises(ConfigError, match="model must be one of"):
        interop.from_torch(STATE, "resnet")
    with pytest.raises(ConfigError, match="Unknown option"):
        interop.from_torch(STATE, "d2l", colour=True)
    with pytest.raises(ConfigError, match="not to a network"):
        interop.from_torch(STATE, models.d2l(), norm=True)
    with pytest.raises(CheckpointError, match="No such file"):
        interop.from_torch("nowhere.pt")
    pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")
    with pytest.raises(CheckpointError, match="No such file"):
        interop.from_keras("nowhere.keras")
    with pytest.raises(ConfigError, match=r"\.keras or \.weights\.h5"):
        interop.to_keras(models.d2l(), "model.h5")


def test_no_framework_is_imported():
    code = (
        "import sys, lenet5; lenet5.interop.from_torch; lenet5.export; import lenet5.export.write, lenet5.page.build;"
        "print([m for m in ('torch', 'keras', 'h5py', 'safetensors', 'onnx', 'tensorflow', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_not_installed(monkeypatch, tmp_path):
    for name in ("torch", "h5py", "safetensors", "safetensors.numpy", "onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    net = models.lenet1()
    assert interop.to_torch(net).module is None and "C1.weight" in interop.to_torch(net).state
    (tmp_path / "x.pt").write_bytes(b"x")
    (tmp_path / "x.safetensors").write_bytes(b"x")
    (tmp_path / "x.keras").write_bytes(b"x")
    for call, words in (
        (lambda: interop.from_torch(tmp_path / "x.pt"), "pip install torch"),
        (lambda: interop.from_torch(tmp_path / "x.safetensors"), r"lenet5-numpy\[safetensors\]"),
        (lambda: interop.from_keras(tmp_path / "x.keras"), r"lenet5-numpy\[keras\]"),
        (lambda: interop.to_keras(net, tmp_path / "y.keras"), r"lenet5-numpy\[keras\]"),
        (lambda: lenet5.export(net, tmp_path / "y.pt"), "pip install torch"),
        (lambda: lenet5.export(net, tmp_path / "y.onnx"), r"lenet5-numpy\[onnx\]"),
        (lambda: lenet5.save(tmp_path / "y.safetensors", net), r"lenet5-numpy\[safetensors\]"),
        (lambda: lenet5.load(tmp_path / "x.safetensors"), r"lenet5-numpy\[safetensors\]"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()
    assert not [path for path in tmp_path.iterdir() if path.stem == "y"]


# Keras files, without Keras


def filled(net):
    rng = np.random.default_rng(3)
    for key, array in net.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if key.endswith("variance") else rng.normal(0, 0.3, array.shape)
    for p in net.parameters():
        p.value[...] = rng.normal(size=p.value.shape)
    return net


ROUND = {
    **{name: (build, {}) for name, build in models.MODELS.items() if name not in ("caffe", "tensorflow-tutorial")},
    "norm": (lambda: models.d2l(norm=True, dropout=0.5), {"dropout": 0.5}),
    "prelu": (lambda: models.d2l(activation="prelu"), {"activation": "prelu"}),
    "float64": (lambda: models.d2l(dtype=np.float64), {"dtype": np.float64}),
}


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("name", ROUND)
def test_there_and_back_by_keras(name, ending, tmp_path):
    pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")
    build, options = ROUND[name]
    net, path = filled(build()), tmp_path / f"x{ending}"
    if name == "lenet4":
        net["C3"].weight.value[...] += 0.0
    lenet5.export(net, path)
    back = interop.from_keras(path, name if name in models.MODELS else "d2l", **options)
    np.testing.assert_array_equal(back.theta, net.theta)
    for key, array in net.running().items():
        np.testing.assert_array_equal(back.running()[key], array)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_networks_within_networks(ending, tmp_path):
    pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")

    def nested(seed):
        inner = [lenet5.Sequential([lenet5.Dense(4, name="A"), lenet5.Tanh()], name=name) for name in ("one", "two")]
        net = lenet5.Sequential([*inner, lenet5.Dense(3, name="A")])
        net.build((4,), rng=np.random.default_rng(seed))
        return net

    net = nested(1)
    state, _ = interop.to_torch(net)
    assert {"one_A.weight", "two_A.weight", "A.weight"} <= state.keys()
    np.testing.assert_array_equal(interop.from_torch(state, nested(2)).theta, net.theta)
    interop.to_keras(net, tmp_path / f"x{ending}")
    np.testing.assert_array_equal(interop.from_keras(tmp_path / f"x{ending}", nested(3)).theta, net.theta)


@pytest.mark.parametrize("name", ROUND)
def test_there_and_back_by_torch(name):
    build, options = ROUND[name]
    net = filled(build())
    back = interop.from_torch(interop.to_torch(net).state, name if name in models.MODELS else "d2l", **options)
    np.testing.assert_array_equal(back.theta, net.theta)
    assert all((back.running()[key] == array).all() for key, array in net.running().items())


def keras_file(path, layers, **members):
    """Write a .weights.h5 file of (group, name, arrays); return its path."""
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")
    with h5py.File(path, "w") as file:
        for group, name, values in layers:
            place = file.create_group(f"{group}/vars")
            place.attrs["name"] = name
            for k, value in enumerate(values):
                place.create_dataset(str(k), data=value)
    return path


def keras_arrays():
    """Return the network of arrays(LAYERS, SHAPES) in PyTorch's layout and in Keras's."""
    state = arrays(LAYERS, SHAPES)
    fc = state["C5.weight"].reshape(120, 16, 5, 5).transpose(0, 2, 3, 1).reshape(120, 400)
    kernels = [state["C1.weight"].transpose(2, 3, 1, 0), state["C3.weight"].transpose(2, 3, 1, 0), fc.T,
               state["F6.weight"].T, state["output.weight"].T]  # fmt: skip
    return state, [(kernel, state[f"{name}.bias"]) for name, kernel in zip(LAYERS, kernels, strict=True)]


@pytest.mark.parametrize("groups", [
    ("layers/conv2d", "layers/conv2d_1", "layers/dense", "layers/dense_1", "layers/dense_2"),
    ("layers/conv2d_9", "layers/conv2d_10", "layers/dense_9", "layers/dense_10", "layers/dense_11"),
    ("conv_a", "conv_b", "fc_a", "fc_b", "fc_c"),  # attributes of a user's class
], ids=["numbered", "tens", "attributes"])  # fmt: skip
def test_files_of_others_by_keras(groups, tmp_path):
    state, kept = keras_arrays()
    path = keras_file(tmp_path / "m.weights.h5", [(g, "", a) for g, a in zip(groups, kept, strict=True)])
    net = interop.from_keras(path, "d2l")
    for name in LAYERS:
        np.testing.assert_array_equal(
            net[name].weight.value, state[f"{name}.weight"].reshape(net[name].weight.value.shape)
        )


def test_order_of_a_keras_model(tmp_path):
    """The model's list of layers determines the order of layers of equal shape, not their names."""
    rng = np.random.default_rng(0)
    kept = [(rng.normal(size=(4, 4)), rng.normal(size=4)) for _ in range(2)] + [
        (rng.normal(size=(4, 3)), rng.normal(size=3))
    ]
    groups = ("dense", "dense_1", "dense_2")
    h5 = keras_file(
        tmp_path / "w.h5", [(f"layers/{g}", n, a) for g, n, a in zip(groups, ("z", "a", "m"), kept, strict=True)]
    )
    config = {"config": {"layers": [{"class_name": "Dense", "config": {"name": n}} for n in ("z", "a", "m")]}}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(h5, "model.weights.h5")
    net = interop.from_keras(tmp_path / "m.keras", twins())
    np.testing.assert_allclose(net["A"].weight.value, kept[0][0].T, rtol=1e-6)
    np.testing.assert_allclose(net["B"].weight.value, kept[1][0].T, rtol=1e-6)
    mapped = interop.from_keras(tmp_path / "m.keras", twins(), mapping={"A": "a", "B": "z", "C": "m"})
    np.testing.assert_allclose(mapped["A"].weight.value, kept[1][0].T, rtol=1e-6)


def hostile_files(folder):
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")
    good = keras_file(folder / "good.h5", [("layers/dense", "d", (np.zeros((3, 3)), np.zeros(3)))]).read_bytes()
    yield "truncated", good[: len(good) // 2]
    yield "text", b"weights"
    yield "empty", b""
    yield "zip without weights", zipped({"config.json": b"{}"})
    yield "zip cut short", zipped({"config.json": b"{}", "model.weights.h5": good})[:-30]
    yield "zip with invalid JSON", zipped({"config.json": b"{", "model.weights.h5": good})
    yield "zip bomb", zipped({"config.json": b"{}", "model.weights.h5": bytes(200 << 20)})
    with h5py.File(folder / "text.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=["a", "b"], dtype=h5py.string_dtype())
    yield "strings", (folder / "text.h5").read_bytes()
    with h5py.File(folder / "link.h5", "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")
    yield "a link to another file", (folder / "link.h5").read_bytes()
    with h5py.File(folder / "soft.h5", "w") as file:
        file["layers/dense/vars/0"] = h5py.SoftLink("/layers")
    yield "a soft link", (folder / "soft.h5").read_bytes()
    with h5py.File(folder / "huge.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", shape=(1 << 20, 1 << 12), dtype="f4", chunks=(64, 64))
    yield "16 GB of missing data", (folder / "huge.h5").read_bytes()
    with h5py.File(folder / "external.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (4, 4), "f4", external=[("/etc/passwd", 0, 64)])
    yield "bytes of another file", (folder / "external.h5").read_bytes()
    with h5py.File(folder / "two.h5", "w") as file:
        file.create_group("model_weights")
    yield "Keras 2", (folder / "two.h5").read_bytes()
    yield "four arrays", keras_file(folder / "four.h5", [("layers/dense", "", [np.zeros((2, 2))] * 4)]).read_bytes()
    yield "nothing", keras_file(folder / "none.h5", [("layers/flatten", "", [])]).read_bytes()


def zipped(members):
    import io

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_malformed_files_of_keras(tmp_path):
    seen = []
    for name, data in hostile_files(tmp_path):
        seen.append(name)
        path = tmp_path / ("x.keras" if data[:2] == b"PK" else "x.weights.h5")
        path.write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            interop.from_keras(path, "d2l")
        assert str(path) in str(caught.value), name
    assert len(seen) == 15


def test_malformed_files_of_tensors(tmp_path):
    pytest.importorskip("safetensors", reason="needs safetensors: pip install 'lenet5-numpy[safetensors]'")
    net, path = models.lenet1(), tmp_path / "x.safetensors"
    lenet5.save(path, net)
    good = path.read_bytes()
    for data in (
        b"",
        b"x" * 9,
        good[:-3],
        b"\xff" * 8 + good[8:],
        good[:8] + b"[" + good[9:],
        good.replace(b"lenet1", b"lenet7"),
    ):
        path.write_bytes(data)
        with pytest.raises(LenetError):
            lenet5.load(path)
    from safetensors.numpy import save_file

    save_file({"conv1.weight": np.zeros((6, 1, 5, 5), np.float32)}, path)
    with pytest.raises(CheckpointError, match="interop.from_torch"):
        lenet5.load(path)
    save_file(STATE, path)
    np.testing.assert_array_equal(interop.from_torch(path, "d2l")["C3"].weight.value, STATE["b.weight"])
