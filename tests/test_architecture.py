"""Architecture: allowed imports between the parts of the package, size limits, forbidden constructs."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lenet5

PACKAGE = Path(lenet5.__file__).parent
ROOT = PACKAGE.parent

GROUND = {"parameter", "initializers", "bitmaps", "errors", "files", "engine"}
# The other parts that each part may import; all parts may import errors and files.
ALLOWED = {
    **{part: set() for part in GROUND},
    "arrays": {"engine"},
    "answers": {"arrays", "datasets", "engine", "layers"},
    "layers": {"parameter", "engine", "initializers", "bitmaps", "network"},  # network: for its type only
    # models: to print a summary; datasets, run and training: for fit
    "network": {"answers", "datasets", "layers", "models", "parameter", "run", "training"},
    "losses": {"arrays", "engine"},
    "datasets": {"arrays", "engine", "command"},  # command: for its command only
    "optim": {"parameter"},
    # command: for its command only
    "models": {"arrays", "network", "layers", "initializers", "datasets", "engine", "training", "command"},
    "gradcheck": {"layers", "losses"},
    "training": {"datasets", "engine", "layers", "losses", "network", "optim", "plots"},
    "analysis": {"arrays", "datasets", "layers", "losses", "network", "training"},
    "plots": {"analysis", "bitmaps", "datasets", "layers", "network", "optim"},
    "sklearn": {"datasets", "layers", "losses", "models", "network", "optim", "training"},
    "command": {"engine", "run"},
    "run": {"datasets", "engine", "losses", "models", "network", "optim", "plots", "training"},
    "train": {"command", "datasets", "run", "training"},
    "reproduce": {"analysis", "command", "datasets", "engine", "layers", "models", "network", "optim", "plots", "run",
                  "training"},
    "evaluate": {"analysis", "command", "datasets", "engine", "models", "network", "run"},
    "show": {"bitmaps", "command", "datasets", "engine", "models", "network", "optim", "plots", "run", "training"},
    "page": {"analysis", "datasets", "layers", "models", "network"},
    "interop": {"layers", "models", "network", "training"},
    # command, datasets, run: for its command only
    "export": {"command", "datasets", "interop", "layers", "models", "network", "page", "run"},
    "demo": {"command", "export", "models"},
    "predict": {"analysis", "command", "datasets", "engine", "models", "network"},
}  # fmt: skip


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path):
    """Yield the parts of the package that a file imports, also within functions."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == depth:  # the package itself
                yield from [module.split(".")[0]] if module else [alias.name for alias in node.names]
            elif not node.level and module.split(".")[0] == "lenet5":
                yield from module.split(".")[1:2] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("lenet5."))


def test_imports_point_one_way():
    wrong = []
    for path in sources():
        part = part_of(path)
        if part in ("__init__", "__main__"):
            continue
        allowed = ALLOWED[part] | {part, "errors", "files", "__version__"}
        wrong += [
            f"{path.relative_to(PACKAGE)} imports {other}" for other in imported_parts(path) if other not in allowed
        ]
    assert not wrong


def modules_imported(path):
    """Yield the modules of the package that a file imports at module level, except for type checking."""
    depth = len(path.relative_to(PACKAGE).parts)
    package = list(path.relative_to(PACKAGE).parts[:-1])
    known = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") for p in sources()}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            inner = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            yield from [name for name in inner if name in known] or [module or "__init__"]
    assert depth


def test_no_import_goes_in_a_circle():
    graph = {}
    for path in sources():
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module in modules_imported(path) if module not in (name, "__init__")}
    done = set()

    def follow(name, trail):
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph.get(name, ())):
                follow(other, [*trail, name])
            done.add(name)

    for name in graph:
        follow(name, [])


def test_rooms_and_files_stay_small():
    """Allow at most 18 top-level modules, 320 lines per file and 8 positional arguments."""
    assert len(list(PACKAGE.glob("*.py"))) <= 18
    for path in sources():
        text = path.read_text()
        assert len(text.splitlines()) <= 320, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert len(node.args.posonlyargs) + len(node.args.args) <= 8, (path, node.name)


def test_only_the_engine_knows_numba():
    users = {part_of(p) for p in sources() if re.search(r"^\s*(import|from) numba", p.read_text(), re.M)}
    assert users == {"engine"}


def test_nothing_unsafe():
    banned = (
        r"\bpickle\b|(?<!def)[^.\w]eval\(|[^.\w]exec\(|allow_pickle=True|shell=True|import \*|\bnp\.random\.(seed|rand)"
    )
    for path in [*sources(), ROOT / "MNIST_auto_Download.py"]:
        if path.exists():
            code = "\n".join(line for line in path.read_text().splitlines() if "allow_pickle=False" not in line)
            code = re.sub(r'"""[\s\S]*?"""', "", code)
            assert not re.search(banned, code), path


def test_only_commands_print():
    speakers = {
        p.stem for p in sources() if re.search(r"(?<![\w.`])print\(", re.sub(r'"""[\s\S]*?"""', "", p.read_text()))
    }
    assert speakers <= {
        "train",
        "session",
        "evaluate",
        "predict",
        "show",
        "command",
        "demo",
        "__main__",
        "reports",
        "network",
        "source",
    }


def test_import_is_light():
    code = "import sys, json, lenet5; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    heavy = {
        "numba",
        "matplotlib",
        "sklearn",
        "pooch",
        "tqdm",
        "jsonargparse",
        "IPython",
        "PIL",
        "torch",
        "h5py",
        "onnx",
    }
    assert not heavy & set(loaded)


def test_every_public_name_is_there():
    for name in lenet5.__all__:
        assert getattr(lenet5, name) is not None
    assert set(lenet5.__all__) <= set(dir(lenet5))
    with pytest.raises(AttributeError, match="lenet6"):
        _ = lenet5.lenet6


def test_version_is_said_once():
    import tomllib

    path = ROOT / "pyproject.toml"
    if not path.exists():
        pytest.skip("not a checkout")
    project = tomllib.loads(path.read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "lenet5.__version__"}
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {lenet5.__version__}\n" in citation


def test_networks_run_without_numba():
    """Without Numba the NumPy implementations are used."""
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np, lenet5\n"
        "net = lenet5.lenet5()\n"
        "print(net.predict(np.arange(784, dtype=np.uint8).reshape(28, 28))[0], lenet5.kernels.im2col.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    assert done.stdout.split() == [str(lenet5.lenet5().predict(image)[0]), "im2col_numpy"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    code = "import numpy as np, lenet5; print(lenet5.lenet5().predict(np.zeros((28, 28), np.uint8)).shape)"
    env = {**__import__("os").environ, "LENET5_CACHE": str(tmp_path / "file" / "below")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout == "(1,)\n", done.stderr
