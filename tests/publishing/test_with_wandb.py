"""Models travel through a W&B registry, by alias and by version; the server is on this machine."""

from pathlib import Path

import pytest

from mlops_cls import publish
from mlops_cls.bundle import MODEL, Bundle, digest
from mlops_cls.errors import ArtifactError, ConfigError
from mlops_cls.predictor import Predictor
from mlops_cls.publishing.address import parse
from mlops_cls.publishing.fetch import fetch, holder
from wandb_server import WandbServer


@pytest.fixture
def online(wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WandbServer:
    """Return a server that this process has the key for."""
    for name, value in wandb_server.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    return wandb_server


def published(bundle: Bundle, *options: str) -> None:
    publish.main([str(bundle.folder), "--to", "wandb", "--name", "digits", *options])


def test_an_alias_means_another_model_than_was_given_it(
    online: WandbServer, tiny_bundle: Bundle, better: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    published(tiny_bundle, "--alias", "best", "--alias", "production", "--if-better")
    assert "wandb:digits:best is free" in capfd.readouterr().out
    published(better, "--if-better")
    said = capfd.readouterr()
    assert "against wandb:digits:v0, on the same" in said.out
    assert "published wandb:digits:v1, which is now best" in said.out
    assert said.err == ""
    assert digest(fetch(parse("wandb:digits:best")).outputs) == digest(better.outputs)
    assert digest(fetch(parse("wandb:digits:production")).outputs) == digest(tiny_bundle.outputs)
    assert Predictor.load("wandb:digits:v0").card == tiny_bundle.card
    (aliases,) = online.aliases.values()
    assert {alias: artifact.version for alias, artifact in aliases.items()} == {"best": 1, "production": 0, "latest": 1}
    assert list(online.aliases) == ["wandb-registry-model/digits"]

    with pytest.raises(SystemExit) as stop:
        published(tiny_bundle, "--if-better")
    assert stop.value.code == 3
    assert len(online.artifacts) == 2
    assert online.refused == []


def test_the_same_model_is_uploaded_twice(online: WandbServer, tiny_bundle: Bundle) -> None:
    published(tiny_bundle)
    published(tiny_bundle, "--alias", "production")
    assert len(online.artifacts) == 1
    assert holder(parse("wandb:digits:production")) is not None


def test_a_candidate_is_promoted_without_being_better(
    online: WandbServer, tiny_bundle: Bundle, better: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    published(tiny_bundle, "--alias", "production")
    published(better, "--alias", "candidate")
    promote = ["wandb:digits:candidate", "--to", "wandb", "--name", "digits", "--alias", "production", "--if-better"]
    publish.main(promote)
    assert "published wandb:digits:v1, which is now production" in capfd.readouterr().out
    with pytest.raises(SystemExit) as stop:
        publish.main(promote)
    assert stop.value.code == publish.EXIT_NOT_BETTER
    assert len(online.artifacts) == 2


def test_a_version_that_is_here_waits_for_the_network(
    online: WandbServer, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tiny_bundle)
    fetch(parse("wandb:digits:best"))
    online.stop()
    assert fetch(parse("wandb:digits:v0")).card == tiny_bundle.card
    with pytest.raises(ArtifactError, match=r"W&B cannot be reached at .*; a version that was loaded here, such as v3"):
        fetch(parse("wandb:digits:best"))
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(ConfigError, match="wandb:digits:best needs a W&B key: set WANDB_API_KEY, or type wandb login"):
        published(tiny_bundle)


def test_a_failing_server_passes_for_an_empty_registry(online: WandbServer, tiny_bundle: Bundle) -> None:
    published(tiny_bundle)
    with pytest.raises(ArtifactError, match="wandb:digits:bset is not in W&B"):
        fetch(parse("wandb:digits:bset"))
    assert holder(parse("wandb:digits:bset")) is None
    online.forbidden.add("ArtifactMembershipByName")
    with pytest.raises(ArtifactError, match="permission denied"):
        published(tiny_bundle, "--if-better")
    online.forbidden.clear()
    online.forbidden.add("LinkArtifact")
    with pytest.raises(ArtifactError, match=r"digits was not published: W&B says: "):
        published(tiny_bundle)


def test_a_model_that_was_changed_on_its_way_is_used(online: WandbServer, tiny_bundle: Bundle) -> None:
    published(tiny_bundle)
    (artifact,) = online.artifacts
    artifact.files[MODEL] = artifact.files[MODEL][:-1] + b"\0"
    with pytest.raises(ArtifactError):
        fetch(parse("wandb:digits:best"))
    with pytest.raises(ArtifactError):
        fetch(parse("wandb:digits:best"))
