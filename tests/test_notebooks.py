"""The notebooks are stored without outputs, use the package instead of reimplementing it, and run unchanged."""

import ast
import json
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# The only notebook that may define a layer: one with a wrong `backward`.
BROKEN_ON_PURPOSE = "02_backprop_by_hand"

# Libraries that the package or its extra "notebooks" installs, and the standard library.
LIBRARIES = {
    "lenet5",
    "numpy",
    "matplotlib",
    "scipy",
    "PIL",
    "ipywidgets",
    "ipycanvas",
    "IPython",
    *sys.stdlib_module_names,
}

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(path):
    """Parse the code of all cells, without IPython's magic commands."""
    lines = "\n".join("".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "code").splitlines()
    return ast.parse("\n".join(line for line in lines if not line.startswith("%")))


def test_stored_without_outputs(path):
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None, f"strip the outputs of {path.name}"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert (stored["nbformat"], stored["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert not [
        part
        for part in (str(ROOT), tempfile.gettempdir(), str(Path.home()), "/home/", "/Users/", "C:\\\\")
        if part in path.read_text()
    ]


def test_neither_layers_nor_training_loops_of_its_own(path):
    for node in ast.walk(code_of(path)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            assert path.stem == BROKEN_ON_PURPOSE and bases == {"Conv2D"}, f"{path.name} defines {node.name}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "step", f"{path.name} calls step: use Trainer"


def test_imports_no_more_than_the_package_needs(path):
    for node in ast.walk(code_of(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= LIBRARIES


def test_runs_on_the_embedded_data(path):
    for node in ast.walk(code_of(path)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("load_auto", "download_mnist"), f"{path.name} may need a network connection"
    text = path.read_text().replace('\\"', '"')
    assert "datasets.load" not in text or '"digits"' in text


@pytest.mark.filterwarnings("ignore")  # Jupyter's own deprecations are not ours
def test_executes(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install 'lenet5-numpy[dev]'")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install 'lenet5-numpy[dev]'")
    import nbformat

    for folder in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(folder, str(tmp_path / "jupyter"))
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    plain = [output for output in outputs if output.get("data", {}).get("text/plain", "").startswith("<Figure")]
    assert figures and len(figures) == len(plain), f"{path.name} has a figure without text/plain, or none"
