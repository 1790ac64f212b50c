"""The notebooks run as they are, offline and in an empty folder, and what they show is fit to be looked at."""

import base64
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

BOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
each_book = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
NOWHERE = "http://127.0.0.1:9"
MOST = 300_000  # bytes


@each_book
def test_a_notebook_stumbles_or_needs_a_network_or_leaves_files_about(
    path: Path, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(sys, "executable", python)  # which kernels are started with
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("jupyter")))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, NOWHERE)
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert {entry.name for entry in tmp_path.iterdir()} == {"prepared", "runs"}


@each_book
def test_a_notebook_tells_of_the_machine_it_ran_on_or_is_heavy(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs, "run `uv run python notebooks/refresh.py`"
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|Users|work|opt)/\S*", "".join(map(str, outputs))) == []
    pictures = [data for output in outputs for kind, data in output.get("data", {}).items() if "image" in kind]
    assert all(len(base64.b64decode(data)) < MOST for data in pictures)


def test_a_notebook_links_to_one_that_does_not_exist() -> None:
    texts = [cell.source for path in BOOKS for cell in nbformat.read(path, as_version=4).cells]
    linked = {name for text in texts for name in re.findall(r"\]\((\w+\.ipynb)\)", text)}
    assert linked
    assert linked <= {path.name for path in BOOKS}
