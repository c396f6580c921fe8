import gzip
import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lenet5.datasets.mnist import load_idx_set

SCRIPT = Path(__file__).parents[2] / "MNIST_auto_Download.py"
LABELS = "t10k-labels-idx1-ubyte"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("MNIST_auto_Download", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def online(known, server, monkeypatch):
    """The small MNIST in place of the real one, with a working mirror."""
    online = replace(known, mirrors=(server.mirror("wrong"), server.mirror("good")))
    monkeypatch.setattr("lenet5.datasets.mnist.MNIST", online)
    return online


def test_nothing_happens_at_import(script, capfd):
    assert os.listdir() == [] and capfd.readouterr() == ("", "")


def test_it_writes_the_four_files_unzipped(script, online, files, capsys):
    assert script.main([]) == 0
    assert sorted(os.listdir("MNIST")) == sorted(name.removesuffix(".gz") for name in files)
    for name, content in files.items():
        assert Path("MNIST", name.removesuffix(".gz")).read_bytes() == gzip.decompress(content)
    said, errors = capsys.readouterr()
    assert errors == "" and said.count("written and verified, from http") == 4
    assert len(load_idx_set(online, "MNIST", download=False)[0]) == 30


def test_what_is_there_and_right_is_kept(script, online, server, put, capsys):
    put("data", zipped=False)
    assert script.main(["--data-dir", "data"]) == 0
    assert server.asked == [] and capsys.readouterr().out.count("already there, verified") == 4


def test_zipped_files_that_are_there_are_unzipped(script, online, server, put):
    put("MNIST")
    assert script.main([]) == 0
    assert server.asked == [] and len(os.listdir("MNIST")) == 8


def test_a_wrong_file_is_replaced_and_kept_aside(script, online, put):
    path = put("MNIST", zipped=False) / LABELS
    path.write_bytes(b"my own data")
    assert script.main([]) == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() == online.files[3].sha256
    assert path.with_name(LABELS + ".damaged").read_bytes() == b"my own data"


def test_a_wrong_file_stays_when_no_mirror_delivers(script, known, put, monkeypatch, capsys):
    monkeypatch.setattr("lenet5.datasets.mnist.MNIST", known)
    path = put("MNIST", zipped=False) / LABELS
    path.write_bytes(b"my own data")
    assert script.main([]) == 3
    assert path.read_bytes() == b"my own data"
    assert capsys.readouterr().err.startswith(f"error: MNIST could not be downloaded: no mirror delivered {LABELS}")


def test_mirrors_are_used_instead_of_the_known_ones(script, server, capsys):
    assert script.main(["--mirror", "https://127.0.0.1:9/a", "--mirror", "https://127.0.0.1:9/b/"]) == 3
    errors = capsys.readouterr().err
    assert "https://127.0.0.1:9/a/train-images-idx3-ubyte.gz\n    Connection refused" in errors
    assert "https://127.0.0.1:9/b/train-images" in errors and "amazonaws" not in errors
    assert script.main(["--mirror", server.mirror("good")]) == 2
    assert "https://" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(script, capsys):
    Path("file").write_text("")
    assert script.main(["--data-dir", "file/MNIST"]) == 3
    assert "cannot be written" in capsys.readouterr().err


def test_as_a_command(tmp_path):
    start = time.monotonic()
    command = [sys.executable, SCRIPT, "--data-dir", "x", "--mirror", "https://127.0.0.1:9/"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 3 and "Traceback" not in result.stderr + result.stdout
    assert result.stderr.startswith("error: MNIST could not be downloaded")
    assert time.monotonic() - start < 10
