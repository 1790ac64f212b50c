"""The whole evaluation of a split: its form, and that it is plain JSON however odd the outputs are."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_cls.card import Calibration
from mlops_cls.evaluation.assess import Evaluation, assess
from mlops_cls.evaluation.calibration import calibrate
from mlops_cls.evaluation.outputs import Outputs

Make = Callable[..., Outputs]
SCORES = {
    "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "auroc", "log_loss", "brier", "ece",
    "ece_uncalibrated",
}  # fmt: skip
ODD = {
    "usual": {"pictures": 200, "num_classes": 4},
    "in groups": {"pictures": 200, "num_classes": 4, "group_size": 4},
    "one picture": {"pictures": 1, "num_classes": 3},
    "one class": {"pictures": 4, "num_classes": 1},
    "one group": {"pictures": 20, "num_classes": 3, "group_size": 20},
    "a class for each": {"pictures": 10, "num_classes": 200},
    "all right": {"pictures": 30, "num_classes": 3, "strength": 300},
    "all wrong": {"pictures": 30, "num_classes": 3, "strength": -300},
}


@pytest.mark.parametrize("kind", ODD)
def test_evaluation_is_plain_json_without_nan_whatever_the_outputs_are(kind: str, make_outputs: Make) -> None:
    outputs = make_outputs(**ODD[kind])
    evaluation = assess(outputs, calibration=calibrate(outputs), repeats=100)
    told = evaluation.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["scores"].keys() == SCORES
    assert [row["class"] for row in told["per_class"]] == list(outputs.classes)
    assert evaluation.scores().keys() >= evaluation.intervals().keys()


def test_evaluation_has_the_form_that_reports_are_made_from(make_outputs: Make) -> None:
    outputs = replace(make_outputs(300, 3, group_size=3), metadata=pa.table({"sex": ["f", "m", None] * 100}))
    told = assess(outputs, calibration=calibrate(outputs), split="val").to_dict()
    ends = {"value", "low", "high"}
    assert (told["format"], told["split"], told["pictures"], told["groups"]) == (1, "val", 300, 100)
    assert all(score.keys() == ends for score in told["scores"].values())
    assert told["per_class"][0].keys() == {"class", "support", "precision", "recall", "f1", "auroc"}
    assert told["confused"][0].keys() == {"true", "predicted", "count", "share"}
    assert told["calibration"].keys() == {"temperature", "bins", "bins_uncalibrated"}
    assert told["selective"].keys() == {"curve", "target", "threshold", "coverage", "accuracy"}
    assert told["baselines"]["majority"].keys() == {"class", "accuracy", "balanced_accuracy"}
    assert told["slices"][0].keys() == {"column", "value", "pictures", "groups", "accuracy", "balanced_accuracy"}
    assert not {"robustness", "flips", "against"} & told.keys()


def test_groups_are_named_by_the_column_that_holds_them(make_outputs: Make) -> None:
    outputs = make_outputs(60, 3, group_size=2)
    strips = pa.table({"size": list(range(60)), "strip": list(outputs.groups or ())})
    named = assess(replace(outputs, metadata=strips), calibration=Calibration(), repeats=20)
    assert (named.grouped_by, assess(outputs, calibration=Calibration(), repeats=20).grouped_by) == ("strip", "group")


def test_groups_of_one_picture_each_are_no_groups(make_outputs: Make) -> None:
    evaluation = assess(make_outputs(60, 3, group_size=1), calibration=Calibration(), repeats=20)
    assert (evaluation.grouped_by, evaluation.groups) == (None, None)


def test_most_confused_pairs_come_first_with_their_share_of_the_true_class(make_outputs: Make) -> None:
    outputs = make_outputs(400, 5, strength=0.5)
    told = assess(outputs, calibration=Calibration(), repeats=20).confused
    confusion = outputs.confusion
    counts = [pair["count"] for pair in told]
    assert counts == sorted(counts, reverse=True)
    for pair in told:
        row = confusion[outputs.classes.index(pair["true"])]
        column = outputs.classes.index(pair["predicted"])
        assert (pair["count"], pair["share"]) == (row[column], pytest.approx(row[column] / row.sum()))
    assert assess(make_outputs(40, 3, strength=99), calibration=Calibration(), repeats=20).confused == []


def test_majority_baseline_names_the_most_frequent_class(make_outputs: Make) -> None:
    outputs = replace(make_outputs(10, 4), labels=np.array([0] * 2 + [1] * 5 + [2] * 3))
    found = assess(outputs, calibration=Calibration(), repeats=20).baselines["majority"]
    assert found == pytest.approx({"class": "class 1", "accuracy": 0.5, "balanced_accuracy": 1 / 3})


def test_temperature_changes_probabilities_and_never_what_is_predicted(make_outputs: Make) -> None:
    outputs = make_outputs(300, 4)

    def scores(temperature: float) -> dict[str, Any]:
        return assess(outputs, calibration=Calibration(temperature=temperature), repeats=20).scores()

    cold, warm = scores(0.5), scores(2.0)
    same = {name for name in cold if cold[name] == warm[name]}
    assert same == SCORES_OF_DECISIONS
    assert cold["test/log_loss"] != warm["test/log_loss"]


SCORES_OF_DECISIONS = {
    f"test/{name}"
    for name in (
        "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "ece_uncalibrated",
    )
}  # fmt: skip


def test_same_outputs_give_the_same_evaluation(make_outputs: Make) -> None:
    first, again = (assess(make_outputs(100, 3), calibration=Calibration(), repeats=50).to_dict() for _ in range(2))
    assert first == again


def test_scores_are_told_by_their_logged_names(make_outputs: Make) -> None:
    evaluation: Evaluation = assess(make_outputs(100, 3), calibration=Calibration(), repeats=50)
    assert evaluation.scores().keys() == {f"test/{name}" for name in SCORES}
    low, high = evaluation.intervals()["test/accuracy"]
    assert low < evaluation.scores()["test/accuracy"] < high
