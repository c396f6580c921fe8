"""The shipped weights."""

import hashlib
import json
import re

import pytest

import lenet5
from lenet5.errors import ConfigError
from lenet5.models import weights as storage


@pytest.mark.parametrize("name", ["lenet5-mnist", "lenet5-line"])
def test_what_ships_has_its_record(name):
    """The record has the training command and the SHA-256 of the weights, and no local paths."""
    path = storage.PRETRAINED.with_name(f"{name}.npz")
    text = path.with_suffix(".json").read_text()
    record = json.loads(text)
    assert record["command"].startswith("python -m lenet5.train ") and "source" not in record["provenance"]
    assert not re.search(r'": "(/|[A-Z]:)', text)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record["weights_sha256"]
    assert lenet5.pretrained(name).theta.size == record["parameters"] == 60_000


def test_what_does_not_ship():
    with pytest.raises(ConfigError, match="lenet5-mnist, lenet5-line; found 'lenet5'"):
        lenet5.pretrained("lenet5")


def test_save_names_the_mistake(tmp_path):
    net = lenet5.lenet5()
    with pytest.raises(ConfigError, match="The path comes first"):
        lenet5.save(net, tmp_path / "net.npz")
    for name in ("net.pt", "net.keras", "net.onnx"):
        with pytest.raises(ConfigError, match=r"Use lenet5\.export"):
            lenet5.save(tmp_path / name, net)
    assert not list(tmp_path.iterdir())
