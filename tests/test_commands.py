import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import lenet5
from lenet5 import __main__, datasets, evaluate, predict, train
from lenet5.models import weights as storage


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Picture of a seven, black on white, 200 pixels high."""
    path = tmp_path_factory.mktemp("pictures") / "seven.png"
    image = np.full((200, 160), 255, np.uint8)
    image[40:55, 40:120] = 0
    for k in range(110):
        image[50 + k, 108 - k // 2 : 122 - k // 2] = 0
    Image.fromarray(image).save(path)
    return path


def test_predict_reads_a_picture(picture, capsys):
    assert predict.run([str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{picture}: 7\n") and "top three: 7 (" in out and "penalties: 0: " in out
    assert predict.run(["--json", str(storage.PRETRAINED), str(picture), str(picture)]) == 0
    results = json.loads(capsys.readouterr().out)
    assert len(results) == 2 and results[0]["digit"] == 7 == int(np.argmin(results[0]["penalties"]))
    assert [t["digit"] for t in results[1]["top"]][0] == 7


@pytest.mark.parametrize(
    ("argv", "code", "what"),
    [
        (["/no/such.png"], 3, "/no/such.png"),
        (["/no/such.npz", "x.png"], 4, "no such file"),
        ([str(storage.PRETRAINED)], 2, "no image"),
        ([], 2, "--help"),
        ([__file__], 3, "test_commands.py"),
    ],
)
def test_predict_errors(argv, code, what, capsys):
    assert predict.run(argv) == code
    captured = capsys.readouterr()
    assert what in captured.err and captured.err.startswith("lenet5: error:") and not captured.out


def test_evaluate_on_digits(capsys):
    assert evaluate.run(["--dataset", "digits", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    _, test = datasets.load("digits")
    answers = lenet5.pretrained().predict(test.images)
    assert result["dataset"] == "digits" and result["images"] == 360
    assert result["errors"] == (answers != test.labels).sum() == len(result["mistakes"])
    assert result["error"] == result["errors"] / 360
    confusion = np.array(result["confusion"])
    assert confusion.sum() == 360 and np.trace(confusion) == 360 - result["errors"]
    for m in result["mistakes"]:
        assert test.labels[m["index"]] == m["label"] != m["prediction"] == answers[m["index"]]
    assert evaluate.run(["--dataset", "digits"]) == 0
    text = capsys.readouterr().out
    assert f"{result['errors']} of 360 images" in text and "confusion" in text


def test_evaluate_errors(capsys, tmp_path, monkeypatch):
    assert evaluate.run([str(tmp_path)]) == 4
    assert evaluate.run(["--dataset", "minst"]) == 2
    assert "mnist" in capsys.readouterr().err
    assert evaluate.run(["--dataset", "digits", "--jason"]) == 2
    assert "--json" in capsys.readouterr().err
    net = lenet5.lenet5(codes="012")
    lenet5.save(tmp_path / "three.npz", net)
    assert evaluate.run([str(tmp_path / "three.npz"), "--dataset", "digits"]) == 2
    assert "3 classes" in capsys.readouterr().err


def test_mnist_insists_and_auto_falls_back(capsys, tmp_path, monkeypatch):
    """Without MNIST on disk or a mirror, `mnist` exits with code 3; `auto` warns and uses the embedded digits."""
    from lenet5.datasets import download as fetch

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LENET5_DATA", raising=False)
    monkeypatch.setattr("lenet5.datasets.locate.cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("lenet5.datasets.mnist.cache_folder", lambda name: tmp_path / "cache" / name, raising=False)

    def unreachable(session, url):
        raise OSError("no network in this test")

    monkeypatch.setattr(fetch, "_open", unreachable)
    assert train.run(["--dataset", "mnist", "--out", "a"]) == 3
    err = capsys.readouterr().err
    assert err.count("https://") >= 2 and "Traceback" not in err and not (tmp_path / "a").exists()
    assert train.run(["--epochs", "1", "--train-size", "50", "--out", "b", "--quiet"]) == 0
    err = capsys.readouterr().err
    assert "no network in this test" in err and "digits" in err and "--data-dir" in err
    assert json.loads((tmp_path / "b" / "run.json").read_text())["dataset"] == "digits"
    assert json.loads((tmp_path / "b" / "config.json").read_text())["dataset"] == "digits"


@pytest.mark.parametrize("name", __main__.COMMANDS)
def test_every_command_has_help(name, capsys):
    for argv in (["--help"], ["-h"]):
        with pytest.raises(SystemExit) as stop:
            __main__.main([name, *argv])
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: python -m lenet5.{name}") and "null" not in out and "type:" not in out


def test_the_short_names(capsys):
    assert __main__.main([]) == 0 and "evaluate" in capsys.readouterr().out
    assert __main__.main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert __main__.main(["trian"]) == 2
    assert "trian" in capsys.readouterr().err


def test_as_modules(picture):
    for words in (["lenet5.predict"], ["lenet5", "predict"]):
        done = subprocess.run([sys.executable, "-m", *words, str(picture)], capture_output=True, text=True)
        assert done.returncode == 0 and ": 7\n" in done.stdout and not done.stderr
    done = subprocess.run([sys.executable, "-m", "lenet5.train", "--epochs", "x"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_the_shipped_weights_and_their_record(capsys):
    record = json.loads(storage.PRETRAINED.with_suffix(".json").read_text())
    import hashlib

    content = storage.PRETRAINED.read_bytes()
    assert len(content) < 400_000 and record["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert record["dataset"] == "mnist" and record["config"]["seed"] == 0 and record["commit"]
    assert len(record["history"]) == record["config"]["epochs"] == 20
    assert record["history"][-1]["test_error"] <= 0.0115
    net = lenet5.pretrained()
    assert net.spec["subsampling"] == "trainable" and net.theta.size == 60_000
    _, test = datasets.load("digits")
    # Other writers, scanner and resolution: the error is only required to be far below chance.
    assert (net.predict(test.images) != test.labels).mean() < 0.3


def test_the_shipped_weights_give_the_error_of_their_record():
    pytest.importorskip("lenet5")
    import os

    if "LENET5_DATA" not in os.environ:
        pytest.skip("LENET5_DATA is not set to a folder with MNIST")
    record = json.loads(storage.PRETRAINED.with_suffix(".json").read_text())
    _, test = datasets.load("mnist", download=False)
    error = (lenet5.pretrained().predict(test.images) != test.labels).mean()
    # Rounding on another processor may change the answer for two or three of 10,000 images.
    assert abs(error - record["history"][-1]["test_error"]) <= 0.0003


def test_a_line_of_digits_is_read_as_one(tmp_path, capsys):
    images = datasets.load("digits")[1].images[:2]
    two = np.full((140, 240), 240, np.uint8)
    for k, image in enumerate(images):
        two[20:120, 10 + 110 * k : 110 + 110 * k] -= np.asarray(Image.fromarray(image).resize((100, 100))) // 2
    Image.fromarray(two).save(tmp_path / "two.png")
    assert predict.run([str(tmp_path / "two.png")]) == 0
    text = capsys.readouterr().out
    expected = "".join(map(str, lenet5.pretrained().predict(images)))
    assert f"two.png: {expected}, a line of digits" in text
    # --line reads a single digit as a line, and uses the given weights.
    Image.fromarray(two[:, :125]).save(tmp_path / "one.png")
    assert predict.run(["--line", "--json", str(tmp_path / "one.png"), str(tmp_path / "two.png")]) == 0
    assert [found["line"] for found in json.loads(capsys.readouterr().out)] == [expected[0], expected]
    assert predict.run(["--line", str(storage.PRETRAINED), str(tmp_path / "two.png")]) == 0
    assert "a line of digits" in capsys.readouterr().out


def test_what_is_no_line(tmp_path, capsys, picture):
    np.save(tmp_path / "many.npy", np.zeros((2, 28, 28), np.uint8))
    lenet5.save(tmp_path / "own.npz", lenet5.models.d2l())
    two = [str(storage.PRETRAINED), str(storage.LINE)]
    for words, what in (
        (["--line", str(tmp_path / "many.npy"), "--csv", str(tmp_path / "x.csv")], "leave out"),
        (["--line", *two, str(picture)], "one network: leave out"),
        (["--line", str(tmp_path / "own.npz"), str(picture)], "needs a network with RBF outputs"),
    ):
        assert predict.run(words) == 2
        assert what in capsys.readouterr().err


def test_closed_streams_cost_no_result(tmp_path):
    """Training works without standard input, output and error, as some schedulers start programs."""
    command = [sys.executable, "-m", "lenet5.train", "--dataset", "digits", "--train-size", "100", "--epochs", "2"]
    script = f"exec {shlex.join([*command, '--out', str(tmp_path / 'run')])} <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", script]).returncode == 0
    assert {"weights.npz", "run.json", "curves.png", "history.json"} <= {p.name for p in (tmp_path / "run").iterdir()}
    assert len(lenet5.load(tmp_path / "run" / "weights.npz").theta) == 60_000


def test_a_reader_that_leaves_costs_no_result(tmp_path):
    command = [sys.executable, "-m", "lenet5.train", "--dataset", "digits", "--train-size", "100", "--epochs", "3"]
    script = f"{shlex.join([*command, '--out', str(tmp_path / 'run')])} 2>&1 | true"  # `true` exits first
    subprocess.run(["/bin/sh", "-c", script], capture_output=True, env=os.environ | {"LENET5_CACHE": str(tmp_path)})
    assert len(json.loads((tmp_path / "run" / "history.json").read_text())["epochs"]) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows file names that are not valid text")
def test_a_folder_whose_name_is_no_text(tmp_path):
    folder = os.fsencode(tmp_path) + b"/b\xffd"
    command = [sys.executable, "-m", "lenet5.train", "--dataset", "digits", "--train-size", "100", "--epochs", "1"]
    done = subprocess.run([*command, "--out", folder], capture_output=True, env=os.environ | {"LC_ALL": "C"})
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert {b"weights.npz", b"curves.png"} <= set(os.listdir(folder))


def test_a_picture_that_fails_is_a_warning(tmp_path, monkeypatch, capsys):
    def broken(*args, **options):
        raise RuntimeError("no fonts")

    monkeypatch.setattr("lenet5.plots.learning_curves", broken)
    options = ["--dataset", "digits", "--train-size", "100", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert train.run(options) == 0
    assert "curves.png was not drawn: no fonts" in capsys.readouterr().err
    assert (tmp_path / "run" / "weights.npz").exists() and (tmp_path / "run" / "run.json").exists()
