"""The model card: nothing is lost on the way through JSON, and what is not a card is told apart from one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_cls.card import Architecture, Calibration, ModelCard, Preprocess
from mlops_cls.errors import ArtifactError

CARD = ModelCard(
    classes=("Stiefel", "Täschchen", "靴"),
    preprocess=Preprocess(
        size=28, resize="pad", crop=0.875, interpolation="bicubic", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)
    ),
    architecture=Architecture(name="resnet18", small_stem=True, drop_rate=0.1, kwargs={"layers": [1, 1, 1, 1]}),
    attributes={"is_leather": {"Stiefel": True, "Täschchen": False, "靴": None}},
    provenance={"config": {"seed": 3, "data": {"name": "folder"}}},
    scores={"test/accuracy": 0.75},
    intervals={"test/accuracy": (0.7, 0.8)},
    calibration=Calibration(temperature=1.5, threshold=0.6, target=0.95),
    export={"files": {"model.onnx": "9f86d081"}},
)


def values(**changes: Any) -> dict[str, Any]:
    return CARD.to_dict() | changes


def test_card_comes_back_equal_from_its_dictionary() -> None:
    assert ModelCard.from_dict(CARD.to_dict()) == CARD


def test_card_comes_back_equal_from_its_file(tmp_path: Path) -> None:
    CARD.save(tmp_path / "card.json")
    assert ModelCard.from_dict(json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))) == CARD


def test_card_file_shows_class_names_as_a_person_reads_them(tmp_path: Path) -> None:
    CARD.save(tmp_path / "card.json")
    assert "靴" in (tmp_path / "card.json").read_text(encoding="utf-8")


def test_dictionary_of_a_card_holds_json_values_only() -> None:
    assert json.loads(json.dumps(CARD.to_dict())) == CARD.to_dict()


def test_reading_a_card_leaves_the_values_it_was_read_from_alone() -> None:
    given = CARD.to_dict()
    ModelCard.from_dict(given)
    assert given == CARD.to_dict()


def test_channels_and_classes_are_counted_from_the_card_itself() -> None:
    assert (CARD.preprocess.channels, CARD.num_classes) == (3, 3)


@pytest.mark.parametrize("given", [values(format=1), values(format=None), {}, None, 3, ["card"]])
def test_other_format_is_refused_with_the_format_that_is_read(given: Any) -> None:
    with pytest.raises(ArtifactError, match="reads format 2"):
        ModelCard.from_dict(given)


@pytest.mark.parametrize(
    "key", ["classes", "preprocess", "architecture", "attributes", "provenance", "scores", "calibration"]
)
def test_missing_key_is_named(key: str) -> None:
    given = values()
    del given[key]
    with pytest.raises(ArtifactError, match=f"missing {key}"):
        ModelCard.from_dict(given)


def test_unknown_key_is_named() -> None:
    with pytest.raises(ArtifactError, match="unexpected licence"):
        ModelCard.from_dict(values(licence="MIT"))


@pytest.mark.parametrize(
    "damage",
    [
        {"preprocess": {"size": 28}},
        {"preprocess": {"mean": [0.5], "std": [0.5], "side": 28}},
        {"preprocess": None},
        {"architecture": {"drop_rate": 0.5}},
        {"architecture": "resnet18"},
        {"classes": 3},
        {"calibration": {"temperature": 1.0, "heat": 2}},
        {"intervals": {"test/accuracy": [0.7]}},
    ],
)
def test_damage_below_the_top_level_is_refused_too(damage: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="not a model card"):
        ModelCard.from_dict(values(**damage))


def test_same_classes_in_the_same_order_are_accepted_from_any_sequence() -> None:
    CARD.check_classes(list(CARD.classes), whose="the data set")


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        (["Stiefel", "Täschchen"], "missing 靴$"),
        (["Stiefel", "Täschchen", "靴", "Hut"], "unexpected Hut$"),
        (["Stiefel", "Hut", "靴"], "missing Täschchen, unexpected Hut$"),
        (["靴", "Täschchen", "Stiefel"], "another order, expected Stiefel, Täschchen, 靴, found 靴, .*Stiefel$"),
    ],
)
def test_other_classes_are_refused_with_the_difference(found: list[str], difference: str) -> None:
    with pytest.raises(ArtifactError, match=difference) as refusal:
        CARD.check_classes(found, whose="the data set x")
    assert "the data set x" in str(refusal.value)


def test_long_difference_is_cut_with_a_count() -> None:
    many = replace(CARD, classes=tuple(f"class{i}" for i in range(100)))
    with pytest.raises(ArtifactError, match="class9 and 89 more") as refusal:
        many.check_classes(["class99"], whose="it")
    assert "class98" not in str(refusal.value)
