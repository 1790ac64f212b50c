"""Numbers and sentences of a report: nothing sounds better than it is."""

from typing import Any

import pytest

from mlops_cls.report.numbers import THIN, breakable, chance, day, percent, points, seconds, span
from mlops_cls.report.words import how_measured, verdict


def evaluation(accuracy: float, low: float, majority: float) -> dict[str, Any]:
    return {
        "pictures": 100,
        "grouped_by": None,
        "confusion": [[50, 10], [20, 20]],
        "scores": {
            "accuracy": {"value": accuracy, "low": low, "high": 0.9},
            "ece": {"value": 0.2},
            "ece_uncalibrated": {"value": 0.3},
        },
        "baselines": {"majority": {"class": "<cat>", "accuracy": majority}},
        "per_class": [
            {"class": "<cat>", "support": 60, "recall": {"value": 0.83}},
            {"class": "dog", "support": 20, "recall": {"value": 0.5}},
            {"class": "newt", "support": 0, "recall": {"value": None}},
        ],
        "selective": {"threshold": None, "coverage": None, "accuracy": None},
    }


def test_a_score_that_may_be_the_baseline_s_is_said_to_be_no_better() -> None:
    assert "cannot be told from that" in " ".join(verdict(evaluation(0.7, 0.59, 0.6)))
    assert "cannot be told from that" not in " ".join(verdict(evaluation(0.7, 0.61, 0.6)))


def test_the_weakest_class_is_named_and_its_few_pictures_too() -> None:
    told = " ".join(verdict(evaluation(0.7, 0.6, 0.6)))
    assert "<b>dog</b> worst" in told and "few pictures" in told
    assert "newt" not in told
    assert "&lt;cat&gt;" in told and "<cat>" not in told


def test_confidence_that_is_off_is_not_to_be_believed() -> None:
    assert "to be taken with care" in " ".join(verdict(evaluation(0.7, 0.6, 0.6)))


@pytest.mark.parametrize(
    ("grouped_by", "said"),
    [(None, "each picture drawn"), ("group", "each group of pictures drawn"), ("id", "(id) drawn")],
)
def test_what_was_resampled_is_told(grouped_by: str | None, said: str) -> None:
    assert said in how_measured(evaluation(0.7, 0.6, 0.6) | {"grouped_by": grouped_by})


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "100.0 %"), (0.9999, "> 99.9 %"), (0.0, "0.0 %"), (0.0001, "< 0.1 %"), (None, "–"), (float("nan"), "–")],
)
def test_what_is_not_quite_all_or_nothing_is_not_written_as_that(value: float | None, written: str) -> None:
    assert percent(value) == written.replace(" ", THIN)


def test_numbers_are_written_for_people() -> None:
    assert points(-0.0123) == "−1.2"
    assert span({"low": 0.1, "high": 1.0}) == f"10.0 to 100.0{THIN}%"
    assert span({"low": None, "high": None}) == ""
    assert (chance(0.0002), chance(0.0312)) == ("p < 0.001", "p = 0.031")
    assert [seconds(s) for s in (12.3, 300.0, 7200.0)] == ["12 s", "5 min", "2.0 h"]
    assert day("2026-11-21T15:14:09+00:00") == "21 November 2026, 15:14 UTC"
    assert day("yesterday") == "yesterday"
    assert breakable("a_b/<c>") == "a_<wbr>b/<wbr>&lt;c&gt;<wbr>"
