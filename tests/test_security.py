"""Every guarantee of SECURITY.md has a test, and the sources contain no dangerous calls."""

import ast
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lenet5

ROOT = Path(lenet5.__file__).parent.parent
TREES = ("lenet5", "scripts", "benchmarks")
FORBIDDEN = {"eval", "exec", "compile", "__import__", "pickle", "cPickle", "dill", "marshal", "shelve", "os.system",
             "os.popen", "subprocess.getoutput", "yaml.load", "tempfile.mktemp"}  # fmt: skip
# Unencrypted addresses, except of this machine and of XML namespaces.
PLAIN = re.compile(r"(?:http|ftp|ws)://(?!127\.0\.0\.1|localhost|www\.w3\.org/)[^\s'\"]*")


def sources():
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*")):
            if path.suffix == ".py" or path.parent.name == "scripts" and path.read_bytes().startswith(b"#!"):
                yield path.relative_to(ROOT), ast.parse(path.read_text())


def dangers(tree):
    """Yield the line and name of every forbidden import or call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.split(".")[0] in FORBIDDEN)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
            yield from ((node.lineno, name) for name in names if name in FORBIDDEN or name.split(".")[0] in FORBIDDEN)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FORBIDDEN:
                yield node.lineno, name
            for word in node.keywords:
                if word.arg in ("shell", "allow_pickle") and ast.unparse(word.value) != "False":
                    yield node.lineno, f"{name}({word.arg}={ast.unparse(word.value)})"


def test_nothing_dangerous_is_called():
    assert len(list(sources())) > 100
    found = [f"{path}:{line}: {what}" for path, tree in sources() for line, what in dangers(tree)]
    assert not found


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from pickle import loads", "eval('1')", "os.system('x')", "run('x', shell=True)",
     "np.load(f, allow_pickle=True)", "from os import system", "np.load(f, allow_pickle=flag)"],
)  # fmt: skip
def test_what_is_dangerous_would_be_found(text):
    assert list(dangers(ast.parse(text)))


def test_addresses_are_encrypted():
    found = []
    for path, tree in sources():
        texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        found += [f"{path}: {address}" for text in texts for address in PLAIN.findall(text)]
    assert not found
    assert PLAIN.findall("see http://example.org/x") and not PLAIN.findall("http://127.0.0.1:80 https://example.org")


def test_every_promise_has_its_tests():
    promises = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", promises)
    rows = [line for line in promises.splitlines() if line.startswith("| ") and line[2:5] not in ("pro", "---")]
    assert len(rows) >= 10 and all("`tests/" in row for row in rows)
    for file, test in named:
        if file.startswith("tests/fuzz/"):
            continue
        functions = {n.name for n in ast.parse((ROOT / file).read_text()).body if isinstance(n, ast.FunctionDef)}
        assert test in functions if test else any(name.startswith("test_") for name in functions), (file, test)


def wheel(folder):
    """Build a wheel in `folder`, from a copy of the sources."""
    source = folder / "source"
    shutil.copytree(ROOT / "lenet5", source / "lenet5", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    env = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_wheels_repeat(tmp_path):
    if int(importlib.metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("needs setuptools>=77, as in pyproject.toml, and wheel")
    for name in ("one", "a longer name/of another"):
        (tmp_path / name).mkdir(parents=True)
    first, second = wheel(tmp_path / "one"), wheel(tmp_path / "a longer name/of another")
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    with zipfile.ZipFile(first) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lenet5").rglob("*") if path.is_file()}
    assert found == {name for name in wanted if "__pycache__" not in name}
