"""Models travel through DVC: nothing that was tracked is forgotten, and what comes back is what was tracked."""

import shutil
from pathlib import Path

import pytest

from mlops_cls import publish
from mlops_cls.bundle import MODEL, Bundle, digest
from mlops_cls.errors import ArtifactError, ConfigError, DataError
from mlops_cls.predictor import Predictor
from mlops_cls.publishing import with_dvc
from mlops_cls.publishing.address import DvcAddress
from mlops_cls.publishing.fetch import fetch


def test_a_model_is_lost_on_its_way_from_one_clone_to_another(
    repository: Path,
    tiny_bundle: Bundle,
    better: Bundle,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish.main([str(tiny_bundle.folder), "--to", "dvc", "--name", "digits", "--if-better", "--push"])
    said = capsys.readouterr().out
    assert "dvc:digits is free: the first model needs no comparison" in said
    assert "published dvc:digits: models/digits is tracked by models.dvc and pushed" in said
    assert 'load  mlops_cls.Predictor.load("dvc:digits")' in said

    # What lies in models/ is not asked: it may have been changed since.
    (repository / "models" / "digits" / MODEL).write_bytes(b"changed")
    assert digest(fetch(DvcAddress("digits")).model) == digest(tiny_bundle.model)

    # Another clone has the list of what is tracked in models.dvc alone.
    clone = repository.parent / "two"
    shutil.copytree(repository, clone, ignore=shutil.ignore_patterns("cache", "models", "tmp"))
    shutil.rmtree(own_cache)
    monkeypatch.chdir(clone)
    publish.main([str(better.folder), "--to", "dvc", "--name", "other", "--push"])
    assert Predictor.load("dvc:digits").card == tiny_bundle.card
    assert not (clone / "models" / "digits").exists()
    assert digest(fetch(DvcAddress("other")).outputs) == digest(better.outputs)

    with pytest.raises(ArtifactError, match=r"tracks no digit; did you mean 'digits'\?"):
        Predictor.load("dvc:digit")

    # It has come once, and is mended if the cache was damaged.
    (cached,) = own_cache.glob("dvc/*/other")
    (cached / MODEL).write_bytes(b"damaged")
    assert digest(fetch(DvcAddress("other")).model) == digest(better.model)
    monkeypatch.setattr(with_dvc, "_dvc", lambda *_: pytest.fail("DVC was asked once more"))
    fetch(DvcAddress("other"))


def test_a_model_that_is_not_better_takes_the_place_of_another(
    repository: Path, tiny_bundle: Bundle, better: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    publish.main([str(tiny_bundle.folder), "--to", "dvc", "--name", "digits"])
    before = (repository / "models.dvc").read_bytes()
    with pytest.raises(SystemExit) as stop:
        publish.main([str(tiny_bundle.folder), "--to", "dvc", "--name", "digits", "--if-better"])
    assert stop.value.code == publish.EXIT_NOT_BETTER == 3
    said = capsys.readouterr().out
    assert "not better: the interval of the difference in accuracy is not above 0; nothing was published" in said
    assert (repository / "models.dvc").read_bytes() == before
    publish.main([str(better.folder), "--to", "dvc", "--name", "digits", "--if-better", "--score", "balanced_accuracy"])
    assert "better: the interval of the difference in balanced_accuracy is above 0" in capsys.readouterr().out
    assert digest(fetch(DvcAddress("digits")).outputs) == digest(better.outputs)


def test_publishing_without_the_list_of_what_is_tracked_forgets_it(
    repository: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "models").mkdir()
    (repository / "models.dvc").write_text(
        "outs:\n- md5: cd77d2b65f55ec9d49a8e3d66dade973.dir\n  size: 9\n  nfiles: 3\n  hash: md5\n  path: models\n"
    )
    before = (repository / "models.dvc").read_bytes()
    with pytest.raises(DataError, match=r"neither in DVC's cache nor on the remote. .*git rm models\.dvc") as refused:
        publish.main([str(tiny_bundle.folder), "--to", "dvc", "--name", "digits"])
    assert "\n" not in str(refused.value)
    assert (repository / "models.dvc").read_bytes() == before
    assert list((repository / "models").iterdir()) == []


def test_something_else_of_that_name_is_written_over(repository: Path, tiny_bundle: Bundle) -> None:
    (repository / "models" / "digits").mkdir(parents=True)
    (repository / "models" / "digits" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="is there and no bundle: give another --name"):
        publish.main([str(tiny_bundle.folder), "--to", "dvc", "--name", "digits"])
    assert (repository / "models" / "digits" / "notes.txt").read_text() == "mine"
    with pytest.raises(DataError, match=r"there is no .*models\.dvc; python -m mlops_cls\.publish RUN --to dvc"):
        Predictor.load("dvc:digits")


def test_a_folder_without_dvc_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="is in no repository of DVC"):
        Predictor.load("dvc:digits")
    monkeypatch.setattr(with_dvc, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="this needs DVC: pip install"):
        Predictor.load("dvc:digits")
