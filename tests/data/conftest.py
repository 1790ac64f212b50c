"""Pieces that several tests of the data layer need."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

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


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """Return the address of a Google Cloud Storage emulator with the bucket `pictures`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(sys.executable).with_name("gcp-storage-emulator")
    command = [
        script,
        "-d",
        tmp_path / "gcs",
        "start",
        "--host=127.0.0.1",
        f"--port={port}",
        "--default-bucket=pictures",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        wait_for_answer(f"{address}/storage/v1/b/pictures", process)
        yield address
        process.terminate()


def wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "the emulator stopped"
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the emulator does not answer")
