"""Shared pieces: pictures in folders, and one small finished run that many tests look at."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mlops_cls as mc
from forked import interpreter
from google_storage import google_storage
from mlops_cls.bundle import Bundle
from wandb_server import WandbServer

os.environ["WANDB_MODE"] = "offline"
# pytest-xdist keeps all cores busy: of more threads than one in any process, each would wait for the others.
os.environ["OMP_NUM_THREADS"] = "1"
# Without bytecode every one of some hundred processes compiles torch and its kin again, which takes ten seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
LONGEST = ("test_newcomer", "test_killed", "test_train_image", "test_sweep", "test_commands_of_pages", "test_cluster")
for key in ("WANDB_API_KEY", "WANDB_BASE_URL"):
    os.environ.pop(key, None)

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 60, 220)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--weekly", action="store_true", help="also type the commands of pages that take minutes")


@pytest.fixture(scope="session", autouse=True)
def users_cache_is_left_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let this process and those that it starts find an empty cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, or one worker would be at it when the others are done."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return what to type in place of `sys.executable`, where a command need not import torch itself."""
    home = tmp_path_factory.getbasetemp()
    with interpreter((home.parent if "PYTEST_XDIST_WORKER" in os.environ else home) / "forked") as path:
        yield path


@pytest.fixture(scope="session")
def make_pictures() -> Callable[..., Path]:
    """Return a function that writes ``root/class/000.png`` pictures, whose colour tells the class, and returns root."""

    def write(root: Path, counts: Mapping[str, int], *, size: int = 16, seed: int = 0) -> Path:
        generator = np.random.default_rng(seed)
        for number, (name, count) in enumerate(counts.items()):
            base = list(COLOURS.values())[number % len(COLOURS)]
            folder = root / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                noise = generator.integers(-25, 26, (size, size, 3))
                Image.fromarray(np.clip(np.array(base) + noise, 0, 255).astype(np.uint8)).save(folder / f"{i:03d}.png")
        return root

    return write


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets, where there is one."""
    folder = Path(os.environ.get("MLOPS_CLS_REAL_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set MLOPS_CLS_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the overrides of a run on digits that takes seconds and keeps everything in a temporary folder."""
    home = tmp_path_factory.mktemp("tiny")
    return [
        "experiment=quickstart",
        "logger=none",
        "data.size=16",
        "data.subsample=0.3",
        "trainer.max_epochs=2",
        f"data.store={home / 'prepared'}",
        f"run.folder={home / 'runs'}",
    ]


@pytest.fixture(scope="session")
def tiny_run(tiny_overrides: list[str]) -> mc.Run:
    """Return a finished run; tests only look at it."""
    return mc.fit(mc.load_config(*tiny_overrides))


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: mc.Run, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return that run's bundle, with weights and samples; tests only look at it."""
    from mlops_cls.exporting.write import Wishes, export_checkpoint  # imports onnx, which most tests need not

    out = tmp_path_factory.mktemp("exported") / "bundle"
    return export_checkpoint(tiny_run.checkpoint, out, Wishes(weights=True, samples=3))


@pytest.fixture
def wandb_server() -> Iterator[WandbServer]:
    """Return a W&B server of the test's own, on this machine."""
    with WandbServer() as server:
        yield server


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """Return the address of a Google Cloud Storage emulator with the bucket `pictures`."""
    with google_storage(tmp_path / "gcs") as address:
        yield address
