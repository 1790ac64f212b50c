"""The images, each made once by the Dockerfile's own steps, whatever the number of test processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from filelock import FileLock
from replay import Image, Replay, share_bytecode

CHECKOUT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def train_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with image("train", tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="session")
def api_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with image("api", tmp_path_factory) as found:
        yield found


@contextmanager
def image(name: str, factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Give the image that the first of the test processes builds; the last one removes it."""
    shared = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    home, users, told = shared / f"image-{name}", shared / f"users-{name}", shared / f"image-{name}" / "image.json"
    user, lock = users / str(os.getpid()), FileLock(shared / f"image-{name}.lock")
    with lock:
        if not told.is_file():
            check_that_it_can_be_built()
            shutil.rmtree(home, ignore_errors=True)
            built = Replay(CHECKOUT / "dockerfiles" / f"{name}.dockerfile", home, COMMIT=COMMIT).image
            shutil.rmtree(home / "stages")
            share_bytecode(built)
            told.write_text(json.dumps(asdict(built)))
        users.mkdir(exist_ok=True)
        user.touch()
    yield Image(**json.loads(told.read_text()))
    with lock:
        user.unlink()
        if not list(users.iterdir()):
            shutil.rmtree(home)


def check_that_it_can_be_built() -> None:
    """Skip where it cannot, but in CI, where this must not pass unseen."""
    if "CI" in os.environ:
        return
    if sys.platform != "linux":
        pytest.skip("the images are for Linux")
    asked = ["uv", "pip", "compile", "--quiet", "--no-cache", "--no-deps", "-"]
    if subprocess.run(asked, input="hatchling", text=True, capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")
