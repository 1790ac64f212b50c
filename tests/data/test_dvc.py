"""Data travel through DVC remotes, a folder and a Google bucket, and their MD5 reaches the model's provenance."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls.build import check, make_datamodule
from mlops_cls.data.dvc import SETTINGS, pull, tracked
from mlops_cls.data.raw import origin_of
from mlops_cls.data.synthetic import write_synthetic
from mlops_cls.errors import ConfigError, DataError

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Return a function that runs a command in a folder and returns what it says; a failure is one of the test."""
    author = {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def call(*command: object, cwd: Path, **environment: str) -> str:
        words = [sys.executable, "-m", *map(str, command)] if command[0] == "dvc" else list(map(str, command))
        settings = os.environ | SETTINGS | author | environment
        done = subprocess.run(words, cwd=cwd, env=settings, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def project(tmp_path: Path, run: Run) -> Path:
    """Return a repository in which DVC tracks data/seabed/seabed.zip; nothing is pushed yet."""
    home = tmp_path / "one"
    write_synthetic("seabed", home / "data" / "seabed" / "seabed.zip", per_class=6)
    (home / "data" / "other").mkdir()
    (home / "data" / "other" / "large.bin").write_bytes(b"not wanted" * 1000)
    run("git", "init", "-q", cwd=home)
    run("dvc", "init", "-q", cwd=home)
    run("dvc", "add", "-q", "data", cwd=home)
    return home


def settings(home: Path) -> list[str]:
    # Grouped by nothing, so that six pictures of a class are enough.
    folders = [
        f"data.root={home / 'data' / 'seabed'}",
        f"data.store={home / 'prepared'}",
        f"run.folder={home / 'runs'}",
    ]
    return ["data=seabed", "data.source=dvc", "data.size=16", "logger=none", *folders]


def push_and_clone(project: Path, run: Run, **environment: str) -> Path:
    run("dvc", "push", "-q", cwd=project, **environment)
    run("git", "add", "-A", cwd=project)
    run("git", "commit", "-q", "-m", "Track the data", cwd=project)
    run("git", "clone", "-q", project, project.parent / "two", cwd=project.parent)
    return project.parent / "two"


def test_data_pushed_to_a_folder_from_one_clone_train_in_another(project: Path, tmp_path: Path, run: Run) -> None:
    run("dvc", "remote", "add", "-q", "-d", "storage", tmp_path / "remote", cwd=project)
    clone = push_and_clone(project, run)
    config = mc.load_config("experiment=quickstart", *settings(clone), "model=baseline_cnn", "trainer=rehearsal")
    model = mc.fit(config)
    md5 = next(line.split()[-1] for line in (project / "data.dvc").read_text().splitlines() if "md5:" in line)
    origin = model.card.provenance["data"]["origin"]
    assert origin == {"source": "dvc", "url": None, "dvc": {"file": "data.dvc", "md5": md5}}
    same = "seabed/seabed.zip"
    assert (clone / "data" / same).read_bytes() == (project / "data" / same).read_bytes()
    assert not (clone / "data" / "other").exists()  # 1.2 TB of another data set stay where they are


def test_data_pushed_to_a_google_bucket_are_prepared_in_another_clone(
    project: Path, bucket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("dvc", "remote", "add", "-q", "-d", "storage", "gs://pictures/dvc", cwd=project)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket)
    clone = push_and_clone(project, run)
    config = mc.load_config(*settings(clone))
    assert make_datamodule(config).manifest.size_of("train") > 0
    assert origin_of(config.data)["dvc"] == origin_of(mc.load_config(*settings(project)).data)["dvc"] is not None


def test_remote_without_the_data_is_named_with_what_to_do(project: Path, tmp_path: Path, run: Run) -> None:
    run("dvc", "remote", "add", "-q", "-d", "storage", tmp_path / "empty", cwd=project)
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc" / "cache")
    with pytest.raises(DataError, match=r"(?s)dvc pull brought no .*seabed.*data\.dvc.*dvc push") as refused:
        pull(project / "data" / "seabed")
    assert "Traceback" not in str(refused.value)


def test_path_that_nothing_tracks_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.dvc file tracks .*pictures; looked for .*pictures\.dvc, .*dvc add"):
        pull(tmp_path / "pictures")
    assert tracked(tmp_path / "pictures") is None


def test_damaged_dvc_file_is_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "pictures.dvc").write_text("outs: []")
    with pytest.raises(DataError, match=r"pictures\.dvc is no \.dvc file .*dvc add"):
        tracked(tmp_path / "pictures" / "cats")


def test_the_two_dvc_files_of_the_project_can_be_read() -> None:
    home = Path(__file__).parents[2]
    for name in ("data", "models"):
        found = tracked(home / name / "anything")
        assert found is not None
        assert found.file == home / f"{name}.dvc"
        assert found.md5.endswith(".dir")


def test_dvc_is_refused_for_digits() -> None:
    with pytest.raises(ConfigError, match=r"data\.source=dvc is impossible for data=digits: it takes local"):
        check(mc.load_config("data=digits", "data.source=dvc"))
