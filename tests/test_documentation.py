"""README and documentation: length, links, coverage of the paper; all code and commands are run."""

import importlib
import importlib.util
import re
import runpy
import shlex
import shutil
import subprocess
import tomllib
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lenet5
from lenet5 import datasets, reproduce

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Replacements in the commands of the documentation, so that they need no download and take seconds.
IN_PLACE_OF = {
    "--dataset fashion-mnist": "--dataset digits --epochs 1",
    "--dataset mnist-lines --epochs 40": "--dataset digits --epochs 1",
    "--out results/twenty-seeds": "--out results",
    "RUN": "run",
}
# Commands that are not run here, with the reason and the test that covers them.
ELSEWHERE = {
    "python3 -m venv": "CI runs both commands of the README",
    "pip install": "CI installs the package as the README does",
    "python -m lenet5.reproduce run": "takes hours; the tests of `reproduce` run all tables with few images",
    "python -m lenet5.datasets make-distorted": "writes 6.4 GB; tests/datasets/test_infimnist.py",
    "python -m lenet5.train --dataset idx --data-dir big": "needs these 6.4 GB",
    "python -m lenet5.datasets verify big": "needs these 6.4 GB",
    "python scripts/": "CI runs the scripts with fewer inputs",
    "mpiexec": "tests/training/test_mpi.py",
}


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Folder with the files that the documentation uses; no browser is opened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    train, test = datasets.load("digits")
    few = train.subset(slice(120))
    for k, (image, label) in enumerate(zip(few.images, few.labels, strict=True)):
        path = tmp_path / "pictures" / str(label) / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    for name in ("seven.jpg", "new.jpg", "digit.png"):
        seven = Image.fromarray(255 - test.images[test.labels == 7][0])
        seven.resize((280, 280)).save(name)
    line = datasets.line_of(few.images[:4], gap=4)
    Image.fromarray(255 - line).resize((4 * line.shape[1], 4 * line.shape[0])).save("number.jpg")
    for name, data in (("train.csv", few), ("test.csv", test.subset(slice(20)))):
        rows = data.images.reshape(len(data), -1)
        columns = [f"pixel{k}" for k in range(rows.shape[1])]
        if name == "train.csv":
            rows, columns = np.column_stack([data.labels, rows]), ["label", *columns]
        np.savetxt(name, rows, "%d", ",", header=",".join(columns), comments="")
    return tmp_path


@pytest.fixture
def names(here, monkeypatch):
    """Names that the examples use without defining them."""
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, *more, **options: load("digits"))
    train, test = load("digits")
    few = train.subset(slice(120))
    return {
        "lenet5": lenet5, "np": np, "train": train, "test": test, "images": test.images[:9],
        "net": lenet5.pretrained(), "x_train": few.images, "y_train": few.labels, "x_test": test.images[:50],
        "y_test": test.labels[:50],
    }  # fmt: skip


def run(path, names):
    for block in blocks(path, "python"):
        exec(compile(block, str(path), "exec"), names)


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], ids=lambda path: path.stem)
def test_code_runs(path, names, monkeypatch, capsys):
    if path.stem == "exchange":
        monkeypatch.setenv("KERAS_BACKEND", "torch")  # the default is TensorFlow, which is not needed
        frameworks(names)
    if path.stem == "results":
        client = pytest.importorskip("distributed").Client(processes=False, dashboard_address=None)
        monkeypatch.setattr("distributed.Client", lambda address: client)
        monkeypatch.setattr("dask.distributed.Client", lambda address: client)
        asked = []
        monkeypatch.setattr(reproduce, "run", lambda *tables, **options: asked.append(tables))
    run(path, names)
    if path.stem == "results":
        client.close()
        assert asked and all(name in reproduce.TABLES for tables in asked for name in tables)


def frameworks(names):
    """Write the files of other frameworks that docs/exchange.md reads; skip without PyTorch or Keras."""
    torch = pytest.importorskip("torch")
    if not importlib.util.find_spec("keras"):
        pytest.skip("Keras is not installed")
    d2l = lenet5.models.d2l(activation="relu", subsampling="max")
    state, _ = lenet5.interop.to_torch(d2l)
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, "model.pt")
    from safetensors.numpy import save_file

    new = {"C1": "conv1", "C3": "conv2", "C5": "fc1", "F6": "fc2", "output": "fc3"}
    parts = {name: name.rpartition(".") for name in state}
    save_file({f"{new[stage]}.{kind}": state[name] for name, (stage, _, kind) in parts.items()}, "model.safetensors")
    lenet5.export(d2l, "model.keras")
    names |= {"torch": torch, "keras": importlib.import_module("keras")}
    names["model"] = lenet5.interop.to_torch(lenet5.models.cifar10(channels=3))[1]


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "sh")], ids=lambda path: path.stem)
def test_commands_run(path, here, capsys):
    for name in ("run", "runs/a", "runs/b", "runs/c"):
        if path.stem == "exchange":
            train("--dataset", "digits", "--epochs", "1", "--out", name)
    if path.stem == "exchange":
        pytest.importorskip("onnx", reason="needs onnx: pip install 'lenet5-numpy[onnx]'")
    if path.stem == "results":
        shutil.copytree(ROOT / "results" / "paper-literal", here / "results" / "paper-literal")
    for block in blocks(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.partition(" #")[0].strip()
            if not line or line.startswith(tuple(ELSEWHERE)):
                assert not line.startswith("python -m lenet5.reproduce") or line.split()[4] in reproduce.TABLES
                continue
            for words, others in IN_PLACE_OF.items():
                line = re.sub(rf"(?<!\S){re.escape(words)}(?!\S)", others, line)
            if line.startswith("cc "):
                if shutil.which("cc"):
                    subprocess.run(shlex.split(line), check=True)
                continue
            assert command(line) == 0, (line, capsys.readouterr().err)
    assert "Traceback" not in capsys.readouterr().err


def train(*words):
    from lenet5.train import run

    assert run([*words, "--quiet"]) == 0


def command(line):
    """Run a command in this process, which has already loaded the kernels; return its exit code."""
    module, *words = re.fullmatch(r"python -m (lenet5\.\w+)(.*)", line).group(1), *shlex.split(line)[3:]
    for path in (f"{module}.__main__", module):
        if importlib.util.find_spec(module).submodule_search_locations is None or path.endswith("__main__"):
            try:
                return importlib.import_module(path).run(words)
            except ModuleNotFoundError:
                continue
            except SystemExit as stop:  # --help
                return stop.code
    raise AssertionError(f"{line}: unknown command")


def test_configurations_are_read():
    for block in (text for path in PAGES for text in blocks(path, "toml")):
        lenet5.run.config.from_dict(tomllib.loads(block)).resolved()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        if "://" in target or name.startswith(("../../actions", "page-of-lenet5.html", "reference/")):
            continue  # on other sites, or generated
        where = path.parent / name if name else path
        if name.startswith("../") and path.parent.name == "docs":
            where = ROOT / name.removeprefix("../")
        assert where.exists(), target
        if anchor and where.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", where.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}, target


def test_links_of_the_readme_become_absolute():
    """scripts/absolute_links leaves no relative link, for package indexes, and changes nothing else."""
    absolute = runpy.run_path(str(ROOT / "scripts" / "absolute_links"))["absolute"]
    assert absolute(
        "[![CI](../../a/b.svg)](../../a) ![p](d/p.png) [t](d/t.md#s) [u](https://v.w)", "https://h/o/n", "v1"
    ) == (
        "[![CI](https://h/o/n/a/b.svg)](https://h/o/n/a) ![p](https://h/o/n/raw/v1/d/p.png) "
        "[t](https://h/o/n/blob/v1/d/t.md#s) [u](https://v.w)"
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = absolute(readme, "https://h/o/n", "v1")
    targets = re.findall(r"\]\(([^)\s]+)\)", changed)
    assert all(target.startswith("https://") for target in targets)
    assert re.sub(r"\]\([^)\s]+\)", "", changed) == re.sub(r"\]\([^)\s]+\)", "", readme)


def test_the_paper_is_covered():
    """docs/paper.md has a row for every equation, figure, section and appendix, and the names in it exist."""
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    equations = text[text.index("## Equations") : text.index("## Tables")]
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", equations, re.MULTILINE)] == list(range(1, 28))
    covered = set()
    for cell in re.findall(r"^\| ([\d, to]+) \|", text[text.index("## Figures") :], re.MULTILINE):
        first, _, last = cell.partition(" to ")
        covered |= set(range(int(first), int(last) + 1)) if last else {int(n) for n in cell.split(",")}
    assert covered == set(range(1, 35))
    sections = "I II-A II-B II-C III-A III-B III-C III-D III-E IV V VI VII VIII IX X XI".split()
    assert all(re.search(rf"^\| {name} ", text, re.MULTILINE) for name in sections)
    assert all(f"Appendix {letter}" in text for letter in "ABC")
    for names in re.findall(r"`((?:\w+\.)+\w+)`", text):  # datasets.load, optim.SGD.step, ...
        first, *rest = names.split(".")
        if first in ("doc", "results"):
            continue
        found = getattr(lenet5, first, None)
        for name in rest:
            if not hasattr(found, name):
                found = importlib.import_module(f"{found.__name__}.{name}")
            else:
                found = getattr(found, name)
        assert found is not None, names
