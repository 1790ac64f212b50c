"""A bundle: what is in it is what was exported, or it is refused with the name of the file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mlops_cls.atomic import replacing_folder
from mlops_cls.bundle import CARD, MODEL, Bundle
from mlops_cls.errors import ArtifactError


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Return a copy of a bundle, to be damaged."""
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def test_a_bundle_knows_what_its_run_knew(tiny_bundle: Bundle) -> None:
    card = tiny_bundle.card
    assert card.classes and card.provenance["config"] and card.scores["test/accuracy"] > 0.3
    assert tiny_bundle.outputs is not None and tiny_bundle.int8 is None


@pytest.mark.parametrize("name", [MODEL, "outputs.parquet", "samples/000.png", "weights.safetensors"])
def test_a_damaged_file_is_named(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"missing or damaged: {name}"):
        Bundle.open(copied)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "outputs.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"missing or damaged: outputs\.parquet"):
        Bundle.open(copied)


def test_a_card_cannot_point_outside_its_bundle(copied: Path) -> None:
    (copied.parent / "secret").write_text("known", encoding="utf-8")
    card = json.loads((copied / CARD).read_text(encoding="utf-8"))
    card["export"]["files"]["../secret"] = "00"
    (copied / CARD).write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"missing or damaged: \.\./secret"):
        Bundle.open(copied)


def test_a_file_that_the_card_does_not_name_is_not_used(copied: Path) -> None:
    shutil.copy(copied / MODEL, copied / "model.int8.onnx")
    assert Bundle.open(copied).int8 is None


@pytest.mark.parametrize("card", ["", "{", "[]", "{}", '{"format": 1}'])
def test_a_card_that_is_none_is_refused_in_words(copied: Path, card: str) -> None:
    (copied / CARD).write_text(card, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"card\.json: "):
        Bundle.open(copied)


def test_a_bundle_of_another_version_says_so(copied: Path) -> None:
    card = json.loads((copied / CARD).read_text(encoding="utf-8"))
    card["export"]["format"] = 99
    (copied / CARD).write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ArtifactError, match="format 99, expected 1"):
        Bundle.open(copied)


def test_a_folder_that_is_no_bundle_says_where_one_may_be(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no bundle: card\.json and model\.onnx are expected .*export RUN"):
        Bundle.open(tmp_path)
    with pytest.raises(ArtifactError, match=r"did you mean .*/bundle"):
        Bundle.open(tiny_bundle.folder.parent)


def test_samples_are_pictures_without_the_names_they_had(tiny_bundle: Bundle) -> None:
    samples = tiny_bundle.samples
    assert [sample["file"].name for sample in samples] == ["000.png", "001.png", "002.png"]
    assert len({sample["label"] for sample in samples}) == 3
    for sample in samples:
        assert sample["file"].is_file()
        assert np.isclose(sum(sample["probabilities"].values()), 1, atol=1e-4)
        assert list(sample["probabilities"]) == list(tiny_bundle.card.classes)


def test_a_folder_is_replaced_by_a_finished_one_only(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with replacing_folder(place) as aside:
        (aside / "first").touch()
    with pytest.raises(OSError, match="full"), replacing_folder(place) as aside:
        (aside / "second").touch()
        raise OSError("full")
    assert [file.name for file in place.iterdir()] == ["first"]
    with replacing_folder(place) as aside:
        (aside / "second").touch()
    assert [file.name for file in tmp_path.rglob("*")] == ["folder", "second"]


def test_a_folder_is_there_again_after_a_writer_that_was_killed_between_two_steps(tmp_path: Path) -> None:
    (tmp_path / ".folder.before").mkdir()
    (tmp_path / ".folder.before" / "first").touch()
    with pytest.raises(OSError, match="full"), replacing_folder(tmp_path / "folder"):
        raise OSError("full")
    assert [file.name for file in tmp_path.rglob("*")] == ["folder", "first"]
