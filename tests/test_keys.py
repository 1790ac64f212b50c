"""The W&B key: found where it should be, and left nowhere."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.tracking.keys import find_key
from mlops_cls.tracking.reading import fetch_run
from mlops_cls.tracking.secret import EMULATOR
from secret_manager import secret_manager
from wandb_server import WandbServer

KEY = "plantedplantedplantedplantedplanted01234"
SECRET = "projects/lab/secrets/wandb"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_MODE")


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str | int]]:
    """Return the secrets that a Secret Manager on this machine serves."""
    kept: dict[str, str | int] = {f"{SECRET}/versions/latest": f"{KEY}\n", f"{SECRET}/versions/1": "older"}
    with secret_manager(kept) as host:
        monkeypatch.setenv(EMULATOR, host)
        yield kept


def test_a_key_is_found_in_secret_then_environment_then_login(
    secrets: dict[str, str | int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert find_key() is None
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {'l' * 40}\n")
    assert find_key() == "l" * 40
    monkeypatch.setenv("WANDB_API_KEY", "e" * 40)
    assert find_key() == "e" * 40
    assert find_key(SECRET) == KEY
    assert find_key(f"{SECRET}/versions/1") == "older"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, "does not exist; what there is: gcloud secrets list --project=lab"),
        (403, "may not be read by this account; to allow it: gcloud secrets add-iam-policy-binding wandb"),
        (400, "answered 400"),
    ],
)
def test_a_secret_that_cannot_be_read_is_refused_before_there_is_a_run_folder(
    secrets: dict[str, str | int], tiny_overrides: list[str], tmp_path: Path, status: int, says: str
) -> None:
    secrets[f"{SECRET}/versions/latest"] = status
    config = mc.load_config(*tiny_overrides, "logger=wandb", f"logger.secret={SECRET}", f"run.folder={tmp_path / 'r'}")
    with pytest.raises(ConfigError) as error:
        mc.fit(config)
    assert f"logger.secret={SECRET}" in str(error.value)
    assert says in str(error.value)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("where", ["gone", "broken"])
def test_a_secret_manager_out_of_reach_is_told_from_one_that_refuses(
    secrets: dict[str, str | int], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "gone":
        monkeypatch.setenv(EMULATOR, "127.0.0.1:9")
    secrets[f"{SECRET}/versions/latest"] = 503
    with pytest.raises(ConnectionError, match="Secret Manager"):
        find_key(SECRET)


@pytest.mark.parametrize("how", ["offline", "online", "secret"])
def test_a_key_is_left_in_no_file_and_no_line_of_output(
    how: str, python: str, secrets: dict[str, str | int], tiny_overrides: list[str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with WandbServer(KEY) as server:
        environment = os.environ | server.environment(home) | {"HOME": str(home), "TMPDIR": str(home)}
        del environment["WANDB_MODE"], environment["WANDB_DIR"]
        settings = ["logger=wandb", f"run.folder={tmp_path / 'runs'}"]
        if how == "offline":
            settings.append("logger.mode=offline")
        if how == "secret":
            del environment["WANDB_API_KEY"]
            settings.append(f"logger.secret={SECRET}")
        command = [python, "-m", "mlops_cls.train", *tiny_overrides, *settings]
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, timeout=300, check=True)
        if how == "offline":
            command = [python, "-m", "mlops_cls.sync", str(tmp_path / "runs")]
            done = subprocess.run(command, env=environment, cwd=home, capture_output=True, timeout=300, check=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert len(server.runs) == len(server.artifacts) == 1

    told = [run.files | {"config": repr(run).encode()} for run in server.runs.values()]
    sent = [content for run in told for content in run.values()] + [
        content for artifact in server.artifacts for content in artifact.files.values()
    ]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert not any(KEY.encode() in content for content in [done.stdout, done.stderr, *sent])


def _without_empty(values: object) -> object:
    if not isinstance(values, dict):
        return values
    return {key: _without_empty(value) for key, value in values.items() if value != {}}


def test_provenance_is_read_back_and_what_cannot_be_is_explained(
    wandb_server: WandbServer, tiny_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="needs a W&B key"):
        fetch_run("local/mlops_cls/none")
    for name, value in wandb_server.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_MODE")
    run = mc.fit(mc.load_config(*tiny_overrides, "logger=wandb", "trainer.max_epochs=1"))
    (tracked,) = wandb_server.runs

    provenance, scores = fetch_run(f"local/mlops_cls/{tracked}")
    assert provenance == _without_empty(run.card.provenance)
    assert scores == pytest.approx(run.metrics)
    assert fetch_run(f"{wandb_server.url}/local/mlops_cls/runs/{tracked}") == (provenance, scores)

    again = mc.reproduce_run(f"local/mlops_cls/{tracked}", f"run.folder={tmp_path / 'again'}")
    assert again.reproduced

    with pytest.raises(ArtifactError, match="local/mlops_cls/other is no W&B run that this key may read"):
        fetch_run("local/mlops_cls/other")
    with pytest.raises(ArtifactError, match="write ENTITY/PROJECT/ID"):
        fetch_run("runs")
    wandb_server.runs[tracked].config.pop("git")
    wandb_server.runs["bare"] = wandb_server.runs[tracked]
    with pytest.raises(ArtifactError, match="was not made by mlops_cls: git are missing"):
        fetch_run("local/mlops_cls/bare")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(ArtifactError, match="cannot be reached"):
        fetch_run(f"local/mlops_cls/{tracked}")
