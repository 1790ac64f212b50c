"""Run the notebooks and keep what they show: ``uv run python notebooks/refresh.py [NOTEBOOK ...]``."""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
PAGE = "<iframe"  # which no site that shows notebooks would show


def refresh(path: Path) -> None:
    """Run a notebook in an empty folder, and keep text and small pictures of its output."""
    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as home:
        NotebookClient(book, timeout=600, resources={"metadata": {"path": home}}).execute()
    for cell in book.cells:
        cell.metadata.clear()  # when it ran
        if "outputs" in cell:
            cell.outputs = [shown for shown in cell.outputs if shown.get("name") != "stderr" and PAGE not in str(shown)]
    book.metadata = {"kernelspec": book.metadata["kernelspec"], "language_info": {"name": "python"}}
    nbformat.write(book, path)


if __name__ == "__main__":
    # A cache of its own, so that what is measured once per machine is shown.
    with tempfile.TemporaryDirectory() as cache:
        os.environ |= {"XDG_CACHE_HOME": cache}
        for given in [Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
            print(given.name)
            refresh(given)
