"""A model that others have, and two that are not the same: one better, one as good."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlops_cls.bundle import OUTPUTS, Bundle, seal
from mlops_cls.evaluation.outputs import Outputs


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which this test's models are cached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return tmp_path / "cache" / "mlops_cls" / "models"


Remake = Callable[..., Bundle]


@pytest.fixture
def remake(tiny_bundle: Bundle, tmp_path: Path) -> Remake:
    """Return a function that copies the bundle, with test outputs that `change` makes of its own."""

    def make(name: str, change: Callable[[Outputs], Outputs] | None = None) -> Bundle:
        folder = tmp_path / "bundles" / name
        shutil.copytree(tiny_bundle.folder, folder)
        if change is None:
            (folder / OUTPUTS).unlink()
        else:
            change(Outputs.load(folder / OUTPUTS)).save(folder / OUTPUTS)
        seal(folder, tiny_bundle.card)
        return Bundle.open(folder)

    return make


def all_right(outputs: Outputs) -> Outputs:
    """Return outputs that are right about every picture."""
    return replace(outputs, logits=9 * np.eye(len(outputs.classes), dtype=np.float32)[outputs.labels])


@pytest.fixture
def better(remake: Remake) -> Bundle:
    """Return a bundle that is right about all of the same test pictures."""
    return remake("better", all_right)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder under DVC, with a remote, in which this test works."""
    home = tmp_path / "one"
    (home / ".dvc").mkdir(parents=True)
    # As `dvc init --no-scm` and `dvc remote add -d` write it, in no time.
    remote = f"['remote \"storage\"']\n    url = {tmp_path / 'remote'}\n"
    (home / ".dvc" / "config").write_text(f"[core]\n    no_scm = True\n    remote = storage\n{remote}")
    monkeypatch.chdir(home)
    return home
