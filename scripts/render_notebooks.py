"""Execute every notebook and write what comes out as HTML: ``python scripts/render_notebooks.py [FOLDER]``.

Needs ``pip install -e '.[notebooks]'``. The notebooks themselves stay as they are, without outputs.
"""

import argparse
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

ROOT = Path(__file__).parents[1]


def render(path: Path, folder: Path) -> float:
    """Write folder/NAME.html; return the seconds that executing the notebook took."""
    notebook = nbformat.read(path, as_version=4)
    start = time.monotonic()
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    seconds = time.monotonic() - start
    html, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    (folder / f"{path.stem}.html").write_text(html, encoding="utf-8")
    return seconds


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / "build" / "notebooks", help="default build/notebooks"
    )
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        print(f"{path.stem}: {render(path, folder):.1f} s", flush=True)
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
