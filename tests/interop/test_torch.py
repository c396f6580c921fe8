"""Untrusted state dicts: some must be read, others refused; names that PyTorch does not allow."""

import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import lenet5
from lenet5 import interop, models
from lenet5.errors import CheckpointError, ConfigError

SHAPES = ((6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84))
LAYERS = ("C1", "C3", "C5", "F6", "output")


def state_of(shapes=SHAPES):
    rng, state = np.random.default_rng(0), {}
    for name, shape in zip("abcde", shapes, strict=True):
        state[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    return state


def dense(*names):
    net = lenet5.Sequential([lenet5.Dense(4, name=name) for name in names])
    net.build((4,), rng=np.random.default_rng(0))
    return net


@pytest.mark.parametrize("shape", [(1,), (6, 1, 2, 2)])
def test_a_bias_is_not_spread(shape):
    with pytest.raises(CheckpointError, match="no module matches C1"):
        interop.from_torch(state_of() | {"a.bias": np.full(shape, 3.0, np.float32)})


def test_a_bias_with_sides_of_one():
    state = interop.to_torch(models.lenet1()).state
    state["S2.bias"] = np.arange(4, dtype=np.float32)[None, :, None, None]
    np.testing.assert_array_equal(interop.from_torch(state, "lenet1")["S2"].bias.value, np.arange(4))


def test_numbers_too_large_for_the_network():
    state = state_of() | {"c.bias": np.full(120, 1e300)}
    with pytest.raises(CheckpointError, match="too large"):
        interop.from_torch(state)
    assert (interop.from_torch(state, dtype=np.float64)["C5"].bias.value == 1e300).all()


def test_variances_below_0():
    state = interop.to_torch(models.d2l(norm=True)).state
    state["C3_BatchNorm.running_var"][3] = -0.5
    with pytest.raises(CheckpointError, match="C3_BatchNorm has negative variances"):
        interop.from_torch(state)


@pytest.mark.parametrize("classes", [10, 62, 84, 100])
@pytest.mark.parametrize("channels", [1, 3, 6, 8])
def test_channels_and_classes_are_taken_from_the_arrays(channels, classes):
    net = interop.from_torch(state_of(((6, channels, 5, 5), *SHAPES[1:4], (classes, 84))))
    assert (net.in_shape, net.out_shape) == ((channels, 28, 28), (classes,))


def test_a_mapping_of_arrays():
    state = state_of()
    theirs = {key.replace(".weight", "_w").replace(".bias", "_b"): value for key, value in state.items()}
    mapping = {f"{o}.{w}": f"{t}_{w[0]}" for o, t in zip(LAYERS, "abcde", strict=True) for w in ("weight", "bias")}
    net = interop.from_torch(theirs, mapping=mapping)
    for layer, name in zip(LAYERS, "abcde", strict=True):
        np.testing.assert_array_equal(net[layer].weight.value, state[f"{name}.weight"])
        np.testing.assert_array_equal(net[layer].bias.value, state[f"{name}.bias"])
    for wrong in (
        {key: value for key, value in mapping.items() if key != "C1.bias"},  # a_b is not used
        mapping | {"C1.bias": "x"},
        mapping | {"C1.bias": "b_b"},  # b_b is used twice
        {("C9" + key[2:] if key.startswith("C1") else key): value for key, value in mapping.items()},
    ):
        with pytest.raises(CheckpointError, match="mapping"):
            interop.from_torch(theirs, mapping=wrong)


@pytest.mark.parametrize("renamed", [False, True])
def test_kernels_that_table_i_does_not_have_are_counted(renamed):
    state = interop.to_torch(models.lenet5()).state
    state["C3.weight"][0, 4:] = 0.1
    if renamed:
        state = {key.replace("C", "conv"): value for key, value in state.items() if "codes" not in key}
    with pytest.raises(CheckpointError, match="2 kernels that the connection table excludes"):
        interop.from_torch(state, "lenet5")


def test_a_network_that_is_not_built():
    with pytest.raises(ConfigError, match="not built"):
        interop.from_torch({"x.weight": np.zeros((3, 4))}, lenet5.Sequential([lenet5.Dense(3, name="A")]))


def test_two_layers_of_one_name_in_torch():
    with pytest.raises(ConfigError, match="'a_b'"):
        interop.to_torch(dense("a.b", "a_b"))


def test_names_that_torch_has_no_place_for():
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    for name in ("forward", "train", "training"):
        with pytest.raises(ConfigError, match=name):
            interop.to_torch(dense(name))


def test_random_numbers_of_torch_are_left_alone():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    before = torch.random.get_rng_state()
    interop.to_torch(models.d2l())
    assert torch.equal(before, torch.random.get_rng_state())


# Reads argv[1], prints the growth of the process in MiB and the error.
_READ = """
import resource, sys, torch
from lenet5 import interop
from lenet5.errors import CheckpointError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    interop.from_torch(sys.argv[1])
except CheckpointError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, error)
"""


@pytest.mark.parametrize("shape", [(6, 1, 1 << 20, 1 << 20), (6, 1, 1 << 13, 1 << 13), (1 << 29,)])
def test_tensors_that_repeat_one_number(shape, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    path = tmp_path / "x.pt"
    torch.save({"a.weight": torch.zeros(1, dtype=torch.float16).expand(shape)}, path)
    assert path.stat().st_size < 4096
    done = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True)
    grown, _, told = done.stdout.partition(" ")
    assert int(grown) < 100 and "far more than its size on disk" in told


def test_compressed_files_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    stream, path = io.BytesIO(), tmp_path / "x.pt"
    torch.save({"a.weight": torch.zeros(1 << 22)}, stream)
    with zipfile.ZipFile(stream) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in stored.infolist():
            archive.writestr(info.filename, stored.read(info))
    with pytest.raises(CheckpointError, match="entries are compressed"):
        interop.from_torch(path)


@pytest.mark.parametrize("read", [interop.from_torch, interop.from_keras])
def test_a_path_that_cannot_be(read):
    if read is interop.from_keras:
        pytest.importorskip("h5py", reason="needs h5py: pip install 'lenet5-numpy[keras]'")
    with pytest.raises(CheckpointError, match="null"):
        read("a\0b.pt")
