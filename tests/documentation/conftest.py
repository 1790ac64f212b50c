"""A reader's folder in which runs have been trained."""

import os
from pathlib import Path

import pytest
from filelock import FileLock
from situations import cook
from stage import reader


@pytest.fixture(scope="session")
def cooked(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a reader's folder with finished runs, which all workers of pytest share."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "cooked.lock"):
        if not (shared / "cooked.done").exists():
            with reader(shared / "cooked", python) as stage:
                cook(stage)
            (shared / "cooked.done").touch()
    return shared / "cooked"
