"""Untrusted files of Keras models, written with h5py: nested, normalised, ambiguous and malformed ones."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import lenet5
from lenet5 import interop, models
from lenet5.errors import CheckpointError, ConfigError

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")


def weights(path, layers):
    """Write a .weights.h5 file of {path: (name, arrays)}; return its path."""
    with h5py.File(path, "w") as file:
        for place, (name, arrays) in layers.items():
            group = file.create_group(f"{place}/vars")
            group.attrs["name"] = name
            for k, array in enumerate(arrays):
                group.create_dataset(str(k), data=array)
    return path


def archive(path, layers, config):
    """Write a .keras file; `config` lists the layers as (class, options) or (class, [layers])."""

    def told(layers):
        return {"config": {"layers": [
            {"class_name": kind} | (told(own) if isinstance(own, list) else {"config": own}) for kind, own in layers
        ]}}  # fmt: skip

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(told(config)))
        file.write(weights(path.with_suffix(".h5"), layers), "model.weights.h5")
    return path


def dense(*names):
    net = lenet5.Sequential([lenet5.Dense(4, name=name) for name in names])
    net.build((4,), rng=np.random.default_rng(0))
    return net


def four():
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(4, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)) for _ in range(4)]


def test_state_of_optimisers_and_dropout_is_left_out(tmp_path):
    net = models.d2l(seed=3)
    path = tmp_path / "x.weights.h5"
    interop.to_keras(net, path)
    with h5py.File(path, "a") as file:
        for k in range(22):
            file[f"optimizer/vars/{k}"] = np.zeros((5, 5, 1, 6) if k % 2 else 6)
        file["layers/dropout/seed_generator/vars/0"] = np.arange(2, dtype=np.uint32)
    np.testing.assert_array_equal(interop.from_keras(path).theta, net.theta)


NESTED = ("layers/dense", "layers/sequential/layers/dense", "layers/sequential/layers/dense_1", "layers/dense_1")
IN_TWO = tuple(f"layers/{model}/layers/{layer}" for model in ("sequential", "sequential_1")
               for layer in ("dense", "dense_1"))  # fmt: skip
D = ("Dense", {})
CONFIGS = {NESTED: [D, ("Sequential", [D, D]), D], IN_TWO: [("Sequential", [D, D]), ("Sequential", [D, D])]}


@pytest.mark.parametrize("places", CONFIGS, ids=["between", "two"])
def test_models_within_models(places, tmp_path):
    kept = four()
    layers = {place: (f"n{k}", arrays) for k, (place, arrays) in enumerate(zip(places, kept, strict=True))}
    net = interop.from_keras(archive(tmp_path / "x.keras", layers, CONFIGS[places]), dense(*"ABCD"))
    for name, (kernel, bias) in zip("ABCD", kept, strict=True):
        np.testing.assert_array_equal(net[name].weight.value, kernel.T)
        np.testing.assert_array_equal(net[name].bias.value, bias)
    path = weights(tmp_path / "x.weights.h5", layers)  # does not contain the order
    with pytest.raises(CheckpointError, match="several modules match A"):
        interop.from_keras(path, dense(*"ABCD"))
    mapping = {name: f"n{k}" for k, name in enumerate("ABCD")}
    np.testing.assert_array_equal(interop.from_keras(path, dense(*"ABCD"), mapping=mapping).theta, net.theta)


def test_attributes_in_capitals_have_no_order(tmp_path):
    layers = {place: ("", arrays) for place, arrays in zip(("B", "A"), four(), strict=False)}
    with pytest.raises(CheckpointError, match="several modules match"):
        interop.from_keras(weights(tmp_path / "x.weights.h5", layers), dense("one", "two"))


def test_layers_of_one_name_are_not_lost(tmp_path):
    layers = {f"layers/dense{end}": ("same", arrays) for end, arrays in zip(("", "_1"), four(), strict=False)}
    path = weights(tmp_path / "x.weights.h5", layers)
    with pytest.raises(CheckpointError, match="layers/dense_1"):
        interop.from_keras(path, dense("A"), mapping={"A": "same"})


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3, 1e-7])
def test_epsilon_of_a_described_model(epsilon, tmp_path):
    rng = np.random.default_rng(2)
    kept = [rng.uniform(0.5, 1, 4), rng.normal(size=4), rng.normal(size=4), np.array([1e-4, 0.01, 0.1, 2])]
    config = [("BatchNormalization", {"epsilon": epsilon})]
    net = lenet5.Sequential([lenet5.BatchNorm(name="A")])
    net.build((4,), dtype=np.float64)
    interop.from_keras(archive(tmp_path / "x.keras", {"layers/batch_normalization": ("n", kept)}, config), net)
    x = rng.normal(size=(3, 4))
    weight, bias, mean, variance = kept
    expected = weight * (x - mean) / np.sqrt(variance + epsilon) + bias
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-12)  # float64 sums of a few terms
    if epsilon == 1e-5:  # the default of lenet5
        np.testing.assert_array_equal(net["A"].running_variance, variance)


def test_an_epsilon_that_is_not_told_is_a_warning(tmp_path):
    kept = [np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)]
    path = weights(tmp_path / "x.weights.h5", {"layers/batch_normalization": ("n", kept)})
    net = lenet5.Sequential([lenet5.BatchNorm(epsilon=1e-3, name="A")])
    net.build((4,))
    with pytest.warns(lenet5.errors.LenetWarning, match=r"default is 1e-3"):
        interop.from_keras(path, net)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_other_codes_are_refused(ending, tmp_path):
    net = models.lenet5(codes="ABCDEFGHIJ")
    interop.to_keras(net, tmp_path / f"x{ending}")
    with pytest.raises(CheckpointError, match="codes differ"):
        interop.from_keras(tmp_path / f"x{ending}", "lenet5")
    back = interop.from_keras(tmp_path / f"x{ending}", "lenet5", codes="ABCDEFGHIJ")
    np.testing.assert_array_equal(back.theta, net.theta)


@pytest.mark.parametrize("names", [("a.b", "a_b"), ("x/y", "z"), ("input", "z")])
def test_names_that_keras_has_no_place_for(names, tmp_path):
    with pytest.raises(ConfigError, match="Keras does not allow"):
        interop.to_keras(dense(*names), tmp_path / "x.keras")
    assert not (tmp_path / "x.keras").exists()


def test_no_interpreter(tmp_path, monkeypatch):
    path = tmp_path / "x.weights.h5"
    interop.to_keras(models.lenet1(), path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match="cannot be started"):
        interop.from_keras(path, "lenet1")


# Reads argv[1], prints the growth of the process in MiB and the error.
_READ = """
import resource, sys, h5py
from lenet5 import interop
from lenet5.errors import CheckpointError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    interop.from_keras(sys.argv[1])
except CheckpointError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, error)
"""


@pytest.mark.parametrize("kind", ["description", "arrays"])
def test_small_files_do_not_become_large(kind, tmp_path):
    path = tmp_path / ("x.keras" if kind == "description" else "x.weights.h5")
    if kind == "description":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("config.json", b"[" + b"{}," * (20 << 20) + b"{}]")
            file.writestr("model.weights.h5", weights(tmp_path / "w.h5", {}).read_bytes())
    else:
        with h5py.File(path, "w") as file:
            for k in range(5):
                options = {"chunks": (256, 4096), "compression": "gzip"}
                file.create_dataset(f"layers/dense_{k}/vars/0", data=np.zeros((3840, 4096), np.float32), **options)
    assert path.stat().st_size < 1 << 20
    done = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True)
    grown, _, told = done.stdout.partition(" ")
    assert int(grown) < 100 and ("declares" in told or "not a plain numeric array" in told)
