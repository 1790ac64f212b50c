"""What README and docs say to type works: typed into a reader's folder, block by block, page by page."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from filelock import FileLock
from pages import Chapter, chapters
from situations import bring, cook, given
from stage import HERE, reader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are run in forked processes")


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
        folder = shared / "cooked"
        if not (shared / "cooked.done").exists():
            with reader(folder, server) as stage:
                cook(stage)
            (shared / "cooked.done").touch()
    return folder


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.name)
def test_what_a_page_says_to_type_works(
    chapter: Chapter, server: Path, cooked: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    weekly = request.config.getoption("--weekly")
    if not any(statement.is_executed(weekly=weekly) for block in chapter.blocks for statement in block.statements):
        pytest.skip("nothing in it can be run here, or only by pytest --weekly")
    with reader(tmp_path / "folder", server) as stage, ExitStack() as situations:
        bring(cooked, stage)
        for block in chapter.blocks:
            for name in block.situations:
                situations.enter_context(given(name, stage))
            stage.run(block, weekly=weekly)
