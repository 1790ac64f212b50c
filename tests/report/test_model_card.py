"""MODEL_CARD.md: what is known, in a form that others can read."""

import re
from dataclasses import replace

import pytest
import yaml

from mlops_cls.report.model_card import model_card, plain
from mlops_cls.report.page import Subject

# Mitchell et al. 2019, figure 1.
SECTIONS = [
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
]  # fmt: skip


@pytest.fixture(scope="module")
def text(subject: Subject) -> str:
    return model_card(subject.card, subject.evaluation, subject.prepared.manifest)


def test_the_card_has_the_usual_sections_in_their_order(text: str) -> None:
    assert re.findall(r"^## (.*)$", text, re.M)[: len(SECTIONS)] == SECTIONS


def test_the_front_matter_can_be_read_and_holds_the_scores(text: str, subject: Subject) -> None:
    front = yaml.safe_load(text.split("---")[1])
    assert front["pipeline_tag"] == "image-classification"
    metrics = {m["name"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert metrics["accuracy"] == round(subject.evaluation["scores"]["accuracy"]["value"], 4)


def test_every_row_of_a_table_has_as_many_cells_as_its_head(text: str, subject: Subject) -> None:
    names = ("a|b", "<i>c</i>", *subject.card.classes[2:])
    renamed = [entry | {"class": name} for entry, name in zip(subject.evaluation["per_class"], names, strict=True)]
    odd = model_card(replace(subject.card, classes=names), {**subject.evaluation, "per_class": renamed})
    for written in (text, odd):
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in written.splitlines() if line.startswith("|")]
        blocks = re.findall(r"(?:^\|.*\n)+", written, re.M)
        assert sum(block.count("\n") for block in blocks) == len(cells)
        for block in blocks:
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_nothing_is_said_that_nobody_stated(subject: Subject) -> None:
    text = model_card(replace(subject.card, provenance={}), subject.evaluation)
    assert "| license | not stated |" in text
    assert "| trained | not stated |" in text
    assert re.search(r"## Intended use\n\nNot stated\.", text)
    assert "## Training data\n\nNot stated." in text


@pytest.mark.parametrize(
    ("name", "written"),
    [("is_cancer", "is_cancer"), ("_a_", r"\_a\_"), ("a\nb", "a b"), ("*|<x>", r"\*\|\<x\>")],
)
def test_a_name_is_no_markdown(name: str, written: str) -> None:
    assert plain(name) == written
