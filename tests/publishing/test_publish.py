"""The verb: which bundle it takes, under which name, and what it refuses before anything happens."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import mlops_cls as mc
from mlops_cls import publish
from mlops_cls.bundle import FOLDER, Bundle, seal
from mlops_cls.errors import ConfigError
from mlops_cls.publishing import with_dvc
from mlops_cls.publishing.address import DvcAddress

Put = list[tuple[Bundle, DvcAddress, bool]]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Put:
    """Return the list of what would be put under DVC."""
    given: Put = []

    def take(bundle: Bundle, address: DvcAddress, *, push: bool) -> Path:
        given.append((bundle, address, push))
        return tmp_path

    monkeypatch.setattr(with_dvc, "put_under_dvc", take)
    return given


def test_a_run_is_published_without_an_export_or_with_an_old_one(
    tiny_run: mc.Run, put: Put, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(tiny_run.folder, tmp_path / "run", symlinks=True))
    arguments = [str(run), "--to", "dvc", "--push"]
    publish.main(arguments)
    assert f"exported to {run / FOLDER}" in capsys.readouterr().out
    publish.main(arguments)
    assert "exported" not in capsys.readouterr().out
    assert [(address.name, push) for _, address, push in put] == [("quickstart", True)] * 2
    # As after a run that went on and was scored again.
    bundle = Bundle.open(run / FOLDER)
    seal(bundle.folder, replace(bundle.card, scores={"test/accuracy": 0.1}))
    publish.main([str(run / "checkpoints" / "best.ckpt"), "--to", "dvc", "--name", "other"])
    assert "exported" in capsys.readouterr().out
    assert put[-1][0].card.scores == tiny_run.card.scores
    assert put[-1][1:] == (DvcAddress("other"), False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "dvc", "--alias", "best"], "--alias: DVC has none"),
        (["--to", "wandb", "--push"], "--push: W&B is given the model at once"),
        (["--to", "dvc", "--score", "accuracy"], "add --if-better"),
        (["--to", "dvc", "data.root=x"], "is exported already, and no data are needed"),
    ],
)
def test_settings_that_would_not_be_used_are_taken(
    tiny_bundle: Bundle, put: Put, options: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        publish.main([str(tiny_bundle.folder), *options])
    assert put == []


def test_a_model_without_a_name_gets_one_made_up(tiny_bundle: Bundle, put: Put, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_bundle.folder, tmp_path / "nameless")
    seal(folder, replace(tiny_bundle.card, provenance={}))
    with pytest.raises(ConfigError, match="--name NAME is needed"):
        publish.main([str(folder), "--to", "dvc"])
