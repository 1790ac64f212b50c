"""Steps of the workflows, run: bash says what is typed, and the verbs that are typed do it in this process."""

import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from workflow_steps import IN_BASH, ROOT, spoken, steps

from mlops_cls import publish
from mlops_cls.bundle import WEIGHTS, Bundle, seal
from mlops_cls.data.synthetic import write_synthetic
from wandb_server import WandbServer

pytestmark = IN_BASH
Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return a function that runs a job's verbs, in an empty folder, with what GitHub would fill in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(workflow: str, job: str, env: Mapping[str, str]) -> None:
        for step in steps():
            if (step.workflow, step.job) == (workflow, job):
                for words in spoken(step, tmp_path, env):
                    assert words[:4] == ["uv", "run", "python", "-m"]
                    import_module(words[4]).main(words[5:])

    return run


@pytest.fixture
def under_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout whose data.dvc names an archive that only the remote has."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    (tmp_path / ".dvc").mkdir()
    remote = f"['remote \"storage\"']\n    url = {tmp_path / 'remote'}\n"
    (tmp_path / ".dvc" / "config").write_text(f"[core]\n    no_scm = True\n    remote = storage\n{remote}")
    archive = tmp_path / "data" / "synthetic" / "seabed.zip"
    archive.parent.mkdir(parents=True)
    write_synthetic("seabed", archive, per_class=8)
    with warnings.catch_warnings(), Repo(str(tmp_path)) as repository:
        warnings.simplefilter("ignore")  # DVC's own
        repository.add("data")
        repository.push()
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    return tmp_path


def test_changed_data_are_not_told_below_the_pull_request(under_dvc: Path, play: Play) -> None:
    (under_dvc / "data-seabed.md").touch()  # which the step after the verb shows, and `play` runs bash first
    play("data", "check", {"DATA": "seabed"})
    told = (under_dvc / "data-seabed.md").read_text(encoding="utf-8")
    assert told.startswith("### seabed: ")
    assert "| class | train | val | test | all |" in told
    (comment,) = [step for step in steps() if (step.job, step.name) == ("comment", "one text")]
    spoken(comment, under_dvc, {})
    assert (under_dvc / "comment.md").read_text(encoding="utf-8") == told


def test_what_changed_is_compared_with_a_checkout_that_has_no_data(
    under_dvc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dvc.cli import main as dvc
    from dvc.repo import Repo

    def commit() -> None:
        author = ["-c", "user.name=nobody", "-c", "user.email=nobody"]
        for words in (["add", "data.dvc", ".dvc/config"], ["commit", "-q", "-m", "data"]):
            subprocess.run(["git", *author, *words], check=True)

    subprocess.run(["git", "init", "-q"], check=True)
    (under_dvc / ".dvc" / "config").write_text((under_dvc / ".dvc" / "config").read_text().replace("no_scm = True", ""))
    commit()
    (under_dvc / "data").mkdir()
    (under_dvc / "data" / "new.zip").write_bytes(b"new")
    with warnings.catch_warnings(), Repo(str(under_dvc)) as repository:
        warnings.simplefilter("ignore")  # DVC's own
        repository.add("data")
        repository.push()
        commit()
        shutil.rmtree(under_dvc / "data")
        shutil.rmtree(under_dvc / ".dvc" / "cache")
        (step,) = [step for step in steps() if (step.workflow, step.job) == ("data", "changes")]
        ((_, _, _, *words),) = spoken(step, under_dvc, {"BASE": "HEAD~1"})
        capsys.readouterr()
        assert dvc(words) == 0
    rows = {tuple(cell.strip() for cell in line.split("|")[1:3]) for line in capsys.readouterr().out.splitlines()[2:-1]}
    assert rows == {("added", "data/new.zip"), ("modified", "data/"), ("deleted", "data/synthetic/seabed.zip")}


def test_a_candidate_is_promoted_unexamined(
    wandb_server: WandbServer, tiny_bundle: Bundle, play: Play, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in wandb_server.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle", ignore=shutil.ignore_patterns(WEIGHTS)))
    seal(folder, tiny_bundle.card)
    publish.main([str(folder), "--to", "wandb", "--name", "digits", "--alias", "candidate"])
    event = {"COLLECTION": "digits", "MODEL": "wandb:digits:candidate", "WANDB_ENTITY": "lab", "WANDB_API_KEY": "k"}
    play("registry", "promote", {**event, "MOST_MS": "1e6"})
    told = capfd.readouterr().out
    assert "3 samples answered as at the export" in told
    assert "in time: " in told
    assert "written to evaluation: " in told
    assert "published wandb:digits:v0, which is now production" in told


def test_an_events_words_are_run_by_the_shell(tmp_path: Path) -> None:
    odd = '$(touch harmed); touch harmed "`touch harmed`'
    for step in steps():
        if step.workflow == "registry":
            (words,) = spoken(step, tmp_path, dict.fromkeys(step.env, odd))
            assert odd in words
    assert not (tmp_path / "harmed").exists()


@pytest.mark.skipif(not shutil.which("uv"), reason="needs uv")
def test_a_tag_of_another_version_is_released() -> None:
    (step,) = [step for step in steps() if step.workflow == "release" and step.run.startswith("test ")]
    line = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split('\nversion = "')[1].partition('"')[0]
    for tag, code in ((f"v{line}", 0), ("v9.9.9", 1), (line + "x", 1)):
        env = {**os.environ, "GITHUB_REF_NAME": tag}
        done = subprocess.run(["bash", "-euc", step.run], cwd=ROOT, env=env, check=False)
        assert done.returncode == code, tag
