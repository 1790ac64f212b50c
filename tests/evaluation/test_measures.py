"""Every score against scikit-learn or torchmetrics, over random and degenerate outputs."""

from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    roc_auc_score,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.auroc import Auroc
from mlops_cls.evaluation.calibration import BINS
from mlops_cls.evaluation.intervals import Estimate
from mlops_cls.evaluation.measures import Measures, losses, ranking
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.resampling import Resampling

Make = Callable[..., Outputs]
TEMPERATURE = 1.7
CASES = {
    "usual": {"pictures": 200, "num_classes": 4},
    "two classes": {"pictures": 50, "num_classes": 2},
    "many classes": {"pictures": 300, "num_classes": 60},
    "classes absent": {"pictures": 60, "num_classes": 6, "present": 3},
    "one class present": {"pictures": 30, "num_classes": 3, "present": 1},
    "one class": {"pictures": 5, "num_classes": 1},
    "one picture": {"pictures": 1, "num_classes": 3},
    "ties": {"pictures": 80, "num_classes": 3, "ties": True},
    "all right": {"pictures": 40, "num_classes": 3, "strength": 50},
    "all wrong": {"pictures": 40, "num_classes": 3, "strength": -50},
    "in groups": {"pictures": 90, "num_classes": 4, "group_size": 3},
    "one group": {"pictures": 30, "num_classes": 3, "group_size": 30},
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:y_pred contains classes not in y_true", "ignore:A single label was found"
)


@pytest.fixture(params=CASES)
def outputs(request: pytest.FixtureRequest, make_outputs: Make) -> Outputs:
    options = dict(CASES[request.param])
    ties = options.pop("ties", False)
    made = make_outputs(**options)
    if ties:
        made.logits[:] = made.logits.round()
    return made


@pytest.fixture
def answers(outputs: Outputs) -> Answers:
    return Answers.of(outputs, TEMPERATURE)


@pytest.fixture
def resampling(outputs: Outputs) -> Resampling:
    return Resampling.draw(len(outputs.labels), outputs.groups, repeats=200)


@pytest.fixture
def estimates(answers: Answers, resampling: Resampling) -> dict[str, Estimate]:
    return {**Measures(answers, resampling).overall(), **losses(answers, answers, resampling)}


def probabilities(outputs: Outputs) -> np.ndarray:
    return torch.from_numpy(outputs.logits).double().div(TEMPERATURE).softmax(1).numpy()


def test_scores_equal_scikit_learn(outputs: Outputs, estimates: dict[str, Estimate]) -> None:
    true, predicted = outputs.labels, outputs.logits.argmax(1)
    macro = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": accuracy_score(true, predicted),
        "balanced_accuracy": balanced_accuracy_score(true, predicted),
        "macro_precision": precision_score(true, predicted, **macro),
        "macro_recall": recall_score(true, predicted, **macro),
        "macro_f1": f1_score(true, predicted, **macro),
    }
    assert {name: estimates[name].value for name in expected} == pytest.approx(expected, abs=1e-12)


def test_log_loss_equals_scikit_learn(outputs: Outputs, estimates: dict[str, Estimate]) -> None:
    classes = range(len(outputs.classes))
    if len(classes) == 1:
        assert estimates["log_loss"].value == 0
        return
    # scikit-learn cuts probabilities at the smallest number of their kind.
    expected = log_loss(outputs.labels, np.clip(probabilities(outputs), 1e-15, 1), labels=classes)
    assert estimates["log_loss"].value == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_brier_score_is_the_squared_distance_from_the_truth(outputs: Outputs, estimates: dict[str, Estimate]) -> None:
    truth = np.eye(len(outputs.classes))[outputs.labels]
    expected = ((probabilities(outputs) - truth) ** 2).sum(1).mean()
    assert estimates["brier"].value == pytest.approx(expected, abs=1e-9)


def test_calibration_error_equals_torchmetrics(outputs: Outputs, estimates: dict[str, Estimate]) -> None:
    if len(outputs.classes) == 1:
        return
    chances = torch.from_numpy(probabilities(outputs))
    expected = multiclass_calibration_error(chances, torch.from_numpy(outputs.labels), len(outputs.classes), BINS)
    assert estimates["ece"].value == pytest.approx(float(expected), abs=1e-5)


def test_scores_per_class_equal_scikit_learn_and_are_nan_where_they_are_shares_of_nothing(
    outputs: Outputs, answers: Answers, resampling: Resampling
) -> None:
    found = Measures(answers, resampling).per_class()
    predicted = outputs.logits.argmax(1)
    expected = precision_recall_fscore_support(
        outputs.labels, predicted, labels=range(len(outputs.classes)), zero_division=np.nan
    )
    for name, reference in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        np.testing.assert_allclose([e.value for e in found[name]], reference, atol=1e-12, err_msg=name)


def test_area_under_the_curve_equals_scikit_learn_and_is_nan_for_an_absent_class(
    outputs: Outputs, answers: Answers, resampling: Resampling
) -> None:
    mean, each = ranking(answers, resampling)
    expected = [
        roc_auc_score(outputs.labels == k, answers.log_probabilities[:, k])
        if 0 < (outputs.labels == k).sum() < len(outputs.labels)
        else np.nan
        for k in range(len(outputs.classes))
    ]
    np.testing.assert_allclose([e.value for e in each], expected, atol=1e-12)
    known = [value for value in expected if np.isfinite(value)]
    assert mean.value == pytest.approx(np.mean(known) if known else np.nan, nan_ok=True)


def test_intervals_hold_their_score(outputs: Outputs, answers: Answers, resampling: Resampling) -> None:
    mean, each = ranking(answers, resampling)
    measures = Measures(answers, resampling)
    shares = [*measures.overall().values(), *chain(*measures.per_class().values()), mean, *each]
    for estimate in shares:
        known = np.isfinite(estimate.value)
        assert not known or 0 <= estimate.low <= estimate.value + 1e-12 <= estimate.high + 2e-12 <= 1 + 2e-12
    for estimate in losses(answers, answers, resampling).values():
        assert np.isnan(estimate.low) or 0 <= estimate.low <= estimate.value + 1e-9 <= estimate.high + 2e-9


def test_resampled_scores_equal_those_of_the_pictures_written_out(make_outputs: Make) -> None:
    outputs = make_outputs(70, 4, group_size=2, strength=1)
    answers, resampling = Answers.of(outputs), Resampling.draw(70, outputs.groups, repeats=20)
    times = resampling.counts[:, resampling.owners]
    found = Measures(answers, resampling).resampled
    areas = Auroc.of(answers).resampled(resampling)
    for draw, often in enumerate(times):
        rows = np.repeat(np.arange(70), often)
        again = answers.take(rows)
        alone = Measures(again, Resampling.draw(len(rows), None, repeats=1))
        for mine, reference in zip(found, alone.counts, strict=True):
            np.testing.assert_array_equal(mine[draw], reference)
        # To first order.
        np.testing.assert_allclose(areas[draw], Auroc.of(again).value, atol=0.04)


@pytest.mark.parametrize(("right", "pictures"), [(1.0, 100), (0.0, 100), (1.0, 3)])
def test_classifier_that_is_always_right_or_wrong_has_wilsons_interval_and_not_one_of_no_width(
    right: float, pictures: int, make_outputs: Make
) -> None:
    outputs = make_outputs(pictures, 2, strength=50 if right else -50)
    estimate = Measures(Answers.of(outputs), Resampling.draw(pictures, None)).overall()["accuracy"]
    width = 1.959964**2 / (pictures + 1.959964**2)
    expected = (1 - width, 1) if right else (0, width)
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=1e-6)


def test_interval_of_single_pictures_is_wilsons(make_outputs: Make) -> None:
    outputs = make_outputs(400, 3)
    estimate = Measures(Answers.of(outputs), Resampling.draw(400, None)).overall()["accuracy"]
    p, z, n = estimate.value, 1.959964, 400
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=0.004)


def test_pictures_of_one_group_tell_no_more_than_one_of_them(make_outputs: Make) -> None:
    alone = make_outputs(60, 3, strength=1.5)
    rows = np.repeat(np.arange(60), 5)
    answers = Answers.of(alone)
    groups = tuple(str(i) for i in rows)
    single = Measures(answers, Resampling.draw(60, None)).overall()["accuracy"]
    fivefold = Measures(answers.take(rows), Resampling.draw(300, groups)).overall()["accuracy"]
    assert fivefold.high - fivefold.low == pytest.approx(single.high - single.low, rel=0.1)


def test_same_seed_draws_the_same_resamples_and_another_seed_others() -> None:
    groups = ("a", "b", "b", "c", "a")
    first, again, other = (Resampling.draw(5, groups, repeats=50, seed=seed).counts for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(first.sum(1), 3)


def test_sums_in_parts_are_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    whole = Resampling.draw(50, None, repeats=30)
    monkeypatch.setattr("mlops_cls.evaluation.resampling.AT_ONCE", 100)
    parts = Resampling.draw(50, None, repeats=30)
    assert (parts.counts.sum(1) == 50).all()
    np.testing.assert_allclose(whole.totals(values), whole.counts.astype(float) @ values, atol=1e-9)
