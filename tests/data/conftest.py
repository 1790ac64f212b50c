"""Pieces that several tests of the data layer need."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.sources.digits import DigitsSource
from mlops_cls.data.store import Prepared

StartPython = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_python() -> Iterator[StartPython]:
    """Return a function that runs Python code in a process of its own; what still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Return all of scikit-learn's digits, prepared at their own size; tests only read them."""
    return prepare(DigitsSource(), Plan(size=8), tmp_path_factory.mktemp("digits"))
