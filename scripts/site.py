"""MkDocs hook that adds pages from outside docs/, and pages generated from the code.

Notebooks, results, the changelog and SECURITY.md are added unchanged. The generated pages are the reference of all
public names, the help of all commands, and ``page-of-lenet5.html``, which `lenet5.export` writes for the shipped
weights.
"""

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

from latex2mathml import converter as latex2mathml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import lenet5
from lenet5 import datasets

ROOT = Path(__file__).parents[1]

# Pages of the reference: title, and the modules whose public names the page lists.
PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "lenet5": (
        "Networks in one call",
        (
            "lenet5.network",
            "lenet5.run.fit",
            "lenet5.export",
            "lenet5.sklearn",
            "lenet5.evaluate",
            "lenet5.predict",
            "lenet5.parameter",
        ),
    ),
    "layers": ("Layers", ("lenet5.layers", "lenet5.layers.operation")),
    "losses": ("Losses", ("lenet5.losses",)),
    "optim": ("Optimisers and schedules", ("lenet5.optim", "lenet5.optim.schedule")),
    "training": (
        "Training",
        (
            "lenet5.training",
            "lenet5.training.callbacks",
            "lenet5.training.distortion",
            "lenet5.training.reports",
            "lenet5.training.tensorboard",
            "lenet5.training.checkpoint",
        ),
    ),
    "models": ("Networks by name", ("lenet5.models",)),
    "datasets": ("Data sets and pictures", ("lenet5.datasets", "lenet5.datasets.infimnist")),
    "analysis": (
        "Analysis",
        tuple(
            f"lenet5.analysis.{name}"
            for name in ("metrics", "committee", "pruning", "robustness", "sdnn", "receptive_fields")
        ),
    ),
    "plots": ("Pictures", ("lenet5.plots",)),
    "interop": ("PyTorch and Keras", ("lenet5.interop",)),
    "gradcheck": ("Derivative checks", ("lenet5.gradcheck",)),
    "engine": ("Engine", ("lenet5.engine", "lenet5.engine.call", "lenet5.engine.jit")),
    "other": (
        "Initialisers, codes, errors, tables",
        (
            "lenet5.initializers",
            "lenet5.bitmaps",
            "lenet5.errors",
            "lenet5.reproduce",
            "lenet5.reproduce.base",
        ),
    ),
}
COMMANDS = ("train", "evaluate", "predict", "export", "show", "demo", "datasets", "models", "reproduce")


def public_names(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield each public name of a module and its import path, or "" if the reference has no entry for the name."""
    names = getattr(module, "__all__", ())
    for name in sorted(names, key=lambda name: (not callable(getattr(module, name)), name.lower())):  # constants last
        value = getattr(module, name)
        if inspect.ismodule(value):
            continue
        where = getattr(value, "__module__", None)
        if inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__"):
            yield name, f"{where}.{value.__qualname__}"
        else:
            yield name, _defined(module, name)


def _defined(module: ModuleType, name: str) -> str:
    """Return the import path of a constant where it is defined, or "" if it is assigned together with others."""
    source = Path(str(module.__file__)).read_text()
    if module.__name__ == "lenet5.engine.call" and name.isupper():
        return ""  # column indices, which the module's docstring explains
    found = re.search(rf"^from (\.+[\w.]*) import [^\n]*\b{name}\b", source, re.MULTILINE)
    if found is None:
        return f"{module.__name__}.{name}" if re.search(rf"^{name}(: .*)? = ", source, re.MULTILINE) else ""
    package = module.__name__ if module.__file__.endswith("__init__.py") else module.__name__.rpartition(".")[0]
    return _defined(importlib.import_module(found[1], package), name)


def _check_complete() -> None:
    """Raise an error if a public name of the package, or of one of its public modules, is on no page."""
    listed = {path for _, modules in PAGES.values() for path in modules}
    names = {name for path in listed for name, _ in public_names(importlib.import_module(path))}
    missing = []
    for name in lenet5.__all__:
        value = getattr(lenet5, name)
        for inner in getattr(value, "__all__", ()) if inspect.ismodule(value) else [name]:
            if inner not in names and not inspect.ismodule(getattr(value, inner, None)):
                missing.append(f"{name}.{inner}" if inspect.ismodule(value) else name)
    if missing:
        raise PluginError(f"The reference has no entry for {', '.join(missing)}: add their module to PAGES.")


def reference(page: str) -> str:
    """Return the Markdown of a page of the reference."""
    title, modules = PAGES[page]
    lines = [f"# {title}", ""]
    for path in modules:
        module = importlib.import_module(path)
        lines += [f"## `{path}`", "", inspect.getdoc(module) or "", ""]
        for name, where in public_names(module):
            if "<locals>" in where:  # created by another function: mkdocstrings cannot find it, so copy its docstring
                lines += [f"### `{name}`", "", inspect.getdoc(getattr(module, name)) or "", ""]
                continue
            if not where:
                continue
            lines += [f"::: {where}", ""]
            if inspect.isclass(value := getattr(module, name)) and not issubclass(value, Exception):
                # Inherited members are documented once, in the base class.
                lines += ["    options:", "      inherited_members: false", ""]
    return "\n".join(lines)


def commands() -> str:
    """Return the Markdown of the page with the help of all commands."""
    lines = ["# Commands", "", "Each command explains its options with `--help`.", ""]
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    for name in COMMANDS:
        words = [sys.executable, "-m", f"lenet5.{name}", "--help"]
        text = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
        lines += [f"## {name}", "", "```text", text.rstrip(), "```", ""]
    return "\n".join(lines)


@event_priority(100)  # before the plugin that removes notebooks from the list
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages and pictures from outside docs/, and the generated pages."""
    for pattern in ("notebooks/*.ipynb", "results/report.md", "results/*/*.png", "CHANGELOG.md", "SECURITY.md"):
        for path in sorted(ROOT.glob(pattern)):
            files.append(File(str(path.relative_to(ROOT)), str(ROOT), config.site_dir, config.use_directory_urls))
    _check_complete()
    for page in PAGES:
        files.append(File.generated(config, f"reference/{page}.md", content=reference(page)))
    files.append(File.generated(config, "reference/commands.md", content=commands()))
    page = Path(config.site_dir).parent / "page.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    lenet5.export(lenet5.pretrained(), page, examples=datasets.load("digits")[1])
    files.append(File.generated(config, "page-of-lenet5.html", abs_src_path=str(page)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Adapt links to files outside docs/ to the paths of the site."""
    up = r"\]\((?:\.\./)(results|notebooks|CHANGELOG|SECURITY)"
    return re.sub(r"\]\(docs/", "](", re.sub(up, r"](\1", markdown))


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Adapt the links of notebooks, convert TeX to MathML, and remove requests to other servers."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    html = re.sub(r'href="\.\./docs/([\w-]+)\.md', r'href="../\1.html', html)
    html = re.sub(r'<img [^>]*alt="(Open in \w+)"[^>]*>', r"\1", html)
    # Widgets need a running notebook: remove the script that loads them from a server.
    html = re.sub(r"<script[^>]*>(?:(?!</script>).)*unpkg(?:(?!</script>).)*</script>", "", html, flags=re.DOTALL)
    # Code and its output stay unchanged.
    parts = re.split(r"(<(pre|code|script|style)\b.*?</\2>)", html, flags=re.DOTALL)
    return "".join(part if k % 3 == 1 else _with_formulas(part) for k, part in enumerate(parts) if k % 3 != 2)


def _with_formulas(html: str) -> str:
    """Convert the TeX formulas in HTML to MathML."""

    def formula(match: re.Match[str]) -> str:
        block = match[1] is not None
        return str(latex2mathml.convert(unescape(match[1] or match[2]), display="block" if block else "inline"))

    return re.sub(r"\$\$(.+?)\$\$|\$([^$\s](?:[^$]*[^$\s])?)\$", formula, html, flags=re.DOTALL)
