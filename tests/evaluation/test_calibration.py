"""Temperature, bins and the threshold to abstain below."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from mlops_cls.card import Calibration
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.calibration import HIGHEST, LOWEST, calibrate, fit_temperature, reliability
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.selective import FEWEST, choose_threshold, coverage_curve, selective_accuracy

Make = Callable[..., Outputs]


def test_temperature_is_where_the_log_loss_is_least(make_outputs: Make) -> None:
    val = make_outputs(5000, 6, scale=3)
    logits, labels = torch.from_numpy(val.logits).double(), torch.from_numpy(val.labels)
    least = minimize_scalar(lambda t: float(F.cross_entropy(logits / t, labels)), bounds=(0.1, 10), method="bounded")
    assert fit_temperature(val) == pytest.approx(least.x, rel=0.005)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_temperature_undoes_the_scale_of_the_logits(scale: float, make_outputs: Make) -> None:
    plain, scaled = make_outputs(3000, 5), make_outputs(3000, 5, scale=scale)
    assert fit_temperature(scaled) / fit_temperature(plain) == pytest.approx(scale, rel=0.01)


@pytest.mark.parametrize("strength", [100, -100])
@pytest.mark.parametrize("pictures", [1, 30, 3000])
def test_temperature_stays_sensible_where_everything_is_right_or_wrong(
    strength: float, pictures: int, make_outputs: Make
) -> None:
    temperature = fit_temperature(make_outputs(pictures, 3, strength=strength))
    assert LOWEST < temperature <= HIGHEST
    if strength > 0:
        assert temperature < 50


def test_separable_validation_does_not_make_the_classifier_certain(make_outputs: Make) -> None:
    val = make_outputs(200, 3, strength=8)
    assert (val.logits.argmax(1) == val.labels).all()
    assert Answers.of(val, fit_temperature(val)).confidence.min() < 0.999


def test_one_class_has_temperature_1(make_outputs: Make) -> None:
    assert fit_temperature(make_outputs(10, 1)) == pytest.approx(1, abs=1e-3)


def test_bins_hold_every_picture_once_and_their_mean_confidence(make_outputs: Make) -> None:
    answers = Answers.of(make_outputs(500, 4))
    bins = reliability(answers)
    assert [b["low"] for b in bins[1:]] == [b["high"] for b in bins[:-1]]
    assert sum(b["count"] for b in bins) == 500
    for b in bins:
        inside = (answers.confidence > b["low"]) & (answers.confidence <= b["high"])
        assert b["count"] == inside.sum()
        if b["count"]:
            assert b["confidence"] == pytest.approx(answers.confidence[inside].mean())
            assert b["accuracy"] == pytest.approx(answers.right[inside].mean())
        else:
            assert b["confidence"] is b["accuracy"] is None


def test_threshold_gives_validation_the_target_and_covers_as_much_as_possible(make_outputs: Make) -> None:
    val = Answers.of(make_outputs(800, 4))
    threshold = choose_threshold(val, 0.9)
    assert threshold is not None
    sure = val.confidence >= threshold
    assert val.right[sure].mean() >= 0.9
    for lower in np.sort(val.confidence[~sure]):
        assert val.right[val.confidence >= lower].mean() < 0.9


def test_good_classifier_never_abstains_and_a_hopeless_one_has_no_threshold(make_outputs: Make) -> None:
    assert choose_threshold(Answers.of(make_outputs(100, 3, strength=20)), 0.95) == 0
    assert choose_threshold(Answers.of(make_outputs(100, 3, strength=-20)), 0.95) is None


def test_threshold_is_not_chosen_by_a_handful_of_pictures(make_outputs: Make) -> None:
    assert choose_threshold(Answers.of(make_outputs(FEWEST - 1, 3, strength=20)), 0.95) is None


def test_pictures_of_equal_confidence_are_covered_together(make_outputs: Make) -> None:
    outputs = make_outputs(200, 3)
    outputs.logits[:] = outputs.logits.round()
    answers = Answers.of(outputs)
    for point in coverage_curve(answers):
        sure = answers.confidence >= point["threshold"]
        assert point["coverage"] == pytest.approx(sure.mean())
        assert point["accuracy"] == pytest.approx(answers.right[sure].mean())


def test_curve_begins_with_the_most_sure_and_ends_with_all(make_outputs: Make) -> None:
    answers = Answers.of(make_outputs(1000, 3))
    curve = coverage_curve(answers)
    assert len(curve) == 100
    assert [p["coverage"] for p in curve] == sorted(p["coverage"] for p in curve)
    assert (curve[-1]["coverage"], curve[-1]["accuracy"]) == (1, pytest.approx(answers.right.mean()))


@pytest.mark.parametrize(("threshold", "coverage"), [(None, None), (0.0, 1.0), (2.0, 0.0)])
def test_what_the_threshold_gives_is_told_also_where_it_takes_all_or_nothing(
    threshold: float | None, coverage: float | None, make_outputs: Make
) -> None:
    answers = Answers.of(make_outputs(50, 3))
    found = selective_accuracy(answers, Calibration(threshold=threshold, target=0.9))
    assert found["coverage"] == coverage
    assert found["accuracy"] == (pytest.approx(answers.right.mean()) if coverage else None)
    json.dumps(found, allow_nan=False)


def test_calibrate_fills_the_card_from_validation(make_outputs: Make) -> None:
    val = make_outputs(600, 4, scale=3)
    found = calibrate(val, target=0.9)
    assert found.target == 0.9
    assert found.temperature == fit_temperature(val)
    assert found.threshold == choose_threshold(Answers.of(val, found.temperature), 0.9)
    assert found != calibrate(replace(val, labels=np.roll(val.labels, 1)), target=0.9)
