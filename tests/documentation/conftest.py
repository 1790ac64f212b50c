"""The process that commands of pages are forked from, and a reader's folder in which runs have been trained."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from situations import cook
from stage import HERE, reader


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the socket of a process that has imported torch, and runs commands in children."""
    path = tmp_path_factory.mktemp("server") / "socket"
    line = [sys.executable, str(HERE / "forking.py"), str(path)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(path.parent)}
    with subprocess.Popen(line, stdin=subprocess.PIPE, env=env) as process:
        while not path.exists():
            assert process.poll() is None, "the process that is to be forked stopped"
            time.sleep(0.05)
        yield path
        process.stdin.close()


@pytest.fixture(scope="session")
def cooked(server: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a reader's folder with finished runs, which all workers of pytest share."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "cooked.lock"):
        if not (shared / "cooked.done").exists():
            with reader(shared / "cooked", server) as stage:
                cook(stage)
            (shared / "cooked.done").touch()
    return shared / "cooked"
