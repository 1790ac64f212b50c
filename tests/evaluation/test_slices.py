"""Which parts of a split are scored apart."""

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.evaluation.slices import MOST, SMALLEST, parts, slice_scores

Make = Callable[..., Outputs]
COUNT = 200


def names(name: str, values: list[Any]) -> dict[str, int]:
    return {value: len(rows) for value, rows in parts(name, pa.chunked_array([pa.array(values)]))}


@pytest.mark.parametrize("column", ["age", "Age", "patient_age", "age_approx"])
def test_ages_are_sliced_by_decade(column: str) -> None:
    found = names(column, [float(i % 40) + 30 for i in range(COUNT)])
    assert found == {"30 to 39": 50, "40 to 49": 50, "50 to 59": 50, "60 to 69": 50}


def test_other_numbers_are_sliced_by_quartile_whatever_their_name() -> None:
    found = names("percentage", [i / 2 for i in range(COUNT)])
    assert list(found.values()) == [50] * 4
    assert list(found)[:2] == ["0 to 24.88", "above 24.88 to 49.75"]


def test_few_numbers_are_sliced_by_value_in_order() -> None:
    assert names("certainty", [3, 1, 2, 10] * 50) == {"1": 50, "2": 50, "3": 50, "10": 50}


def test_texts_are_sliced_by_value_and_missing_ones_come_last() -> None:
    assert names("sex", ["m", None, "f", "zz"] * 50) == {"f": 50, "m": 50, "zz": 50, "not known": 50}
    assert names("age", [None, 20.0, 35.0, 42.0, 58.0, 61.0] * 50)["not known"] == 50


def test_truth_values_are_sliced() -> None:
    assert names("biopsy", [True, False] * 100) == {"false": 100, "true": 100}


@pytest.mark.parametrize(
    "values",
    [
        [f"IMG_{i}" for i in range(COUNT)],
        list(range(COUNT)),
        ["same"] * COUNT,
        [1.5] * COUNT,
        [None] * COUNT,
        [float("nan")] * COUNT,
        [[1, 2]] * COUNT,
        [datetime.date(2020, 1, 1)] * COUNT,
        ["one"] * (COUNT - 3) + ["two"] * 3,
    ],
    ids=["ids", "numbers of rows", "one text", "one number", "nothing", "no numbers", "lists", "dates", "too few"],
)
def test_column_that_divides_nothing_is_left_out(values: list[Any]) -> None:
    found = names("column", values)
    assert not found or min(found.values()) < SMALLEST


def test_rare_values_come_together_and_no_picture_is_lost() -> None:
    found = names("site", ["a"] * 100 + ["b"] * 90 + [f"rare {i}" for i in range(10)])
    assert found == {"a": 100, "b": 90, "other (10 values)": 10}
    many = names("site", [f"site {i % 20:02d}" for i in range(COUNT + 100)])
    assert (len(many), sum(many.values())) == (MOST + 1, COUNT + 100)


def test_single_rare_value_keeps_its_name() -> None:
    assert names("site", ["a"] * 100 + ["b"] * 97 + ["c"] * 3)["c"] == 3


def test_slices_have_the_scores_of_their_pictures(make_outputs: Make) -> None:
    outputs = make_outputs(COUNT, 3, group_size=2)
    where = np.array(["left", "right"])[np.arange(COUNT) % 4 // 2]
    answers = Answers.of(outputs)
    found = slice_scores(pa.table({"side": where}), answers, Resampling.draw(COUNT, outputs.groups))
    assert [(s["column"], s["value"], s["pictures"], s["groups"]) for s in found] == [
        ("side", "left", 100, 50),
        ("side", "right", 100, 50),
    ]
    for part in found:
        accuracy = part["accuracy"]
        assert accuracy["value"] == pytest.approx(answers.right[where == part["value"]].mean())
        assert 0.08 < accuracy["high"] - accuracy["low"] < 0.3
