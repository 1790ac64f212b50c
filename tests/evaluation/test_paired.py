"""Comparing two classifiers on the same pictures: against McNemar's test, and its rate of false alarms."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

import mlops_cls as mc
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.paired import Difference, align, differences, sign_flip_p
from mlops_cls.evaluation.resampling import Resampling

Make = Callable[..., Outputs]
DRAWS = 2000


def mid_p(only_here: int, only_there: int) -> float:
    """Return the two-sided mid-p of McNemar's exact test."""
    number, fewer = only_here + only_there, min(only_here, only_there)
    if only_here == only_there:
        return 1.0
    return float(2 * binom.cdf(fewer, number, 0.5) - binom.pmf(fewer, number, 0.5))


@pytest.mark.parametrize(("here", "there"), [(5, 0), (8, 2), (9, 9), (20, 10), (40, 22), (1, 0)])
def test_p_of_single_pictures_is_that_of_mcnemars_test(here: int, there: int) -> None:
    gains = np.array([1.0] * here + [-1.0] * there + [0.0] * 50)
    assert sign_flip_p(gains[:, None])[0] == pytest.approx(mid_p(here, there), abs=0.012)


def alarms(sums: np.ndarray) -> float:
    """Return the share of draws, columns of float64[G,DRAWS], whose p is 0.05 or less."""
    return float((sign_flip_p(sums, flips=999) <= 0.05).mean())


def test_equally_good_classifiers_are_called_different_in_5_percent_of_draws() -> None:
    generator = np.random.default_rng(0)
    # Both right on most pictures; each alone on one in ten.
    gains = generator.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8, 0.1], size=(300, DRAWS))
    losses = generator.gamma(0.3, 1, (300, DRAWS)) - generator.gamma(0.3, 1, (300, DRAWS))
    assert 0.035 <= alarms(gains) <= 0.065
    assert 0.035 <= alarms(losses) <= 0.065


@pytest.mark.parametrize(("groups", "least", "most"), [(300, 1, 5), (25, 20, 60)])
def test_equally_good_classifiers_are_called_different_in_5_percent_of_draws_of_groups(
    groups: int, least: int, most: int
) -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(least, most, groups)[:, None]
    # Which of the two is better differs from group to group, and on the whole neither is.
    share = generator.beta(2, 2, (groups, DRAWS))
    differ = generator.binomial(sizes, 0.2, (groups, DRAWS))
    gains = 2.0 * generator.binomial(differ, share) - differ
    assert 0.035 <= alarms(gains) <= 0.065


def test_test_that_does_not_know_of_the_groups_gives_many_false_alarms() -> None:
    generator = np.random.default_rng(0)
    share = generator.beta(1, 1, (25, 400))
    gains = np.where(generator.random((25, 10, 400)) < share[:, None], 1.0, -1.0)
    assert alarms(gains.reshape(250, 400)) > 0.2
    assert alarms(gains.sum(1)) < 0.08


def compare(here: Outputs, there: Outputs) -> dict[str, Difference]:
    resampling = Resampling.draw(len(here.labels), here.groups, repeats=2)
    return {d.score: d for d in differences(Answers.of(here), Answers.of(there), resampling)}


def test_differences_are_those_of_the_scores(make_outputs: Make) -> None:
    here = make_outputs(400, 5, strength=2.5)
    there = replace(here, logits=here.logits + np.random.default_rng(1).normal(size=(400, 5)).astype(np.float32))
    found = compare(here, there)
    scores = [Answers.of(outputs) for outputs in (here, there)]
    recalls = [[a.right[a.labels == k].mean() for k in range(5)] for a in scores]
    assert found["accuracy"].difference == pytest.approx(scores[0].right.mean() - scores[1].right.mean())
    assert found["balanced_accuracy"].difference == pytest.approx(np.mean(recalls[0]) - np.mean(recalls[1]))
    assert found["log_loss"].difference == pytest.approx(scores[0].log_losses.mean() - scores[1].log_losses.mean())
    for difference in found.values():
        assert difference.low < difference.difference < difference.high
    assert found["accuracy"].low > 0
    assert found["accuracy"].p < 0.001


def test_interval_covers_the_true_difference_in_95_percent_of_draws(make_outputs: Make) -> None:
    generator = np.random.default_rng(0)

    def draw(pictures: int) -> tuple[Answers, Answers]:
        labels = generator.integers(0, 3, pictures)
        common = generator.normal(size=(pictures, 3))
        both = []
        for strength in (2.4, 2.0):
            logits = common + 0.7 * generator.normal(size=(pictures, 3))
            logits[np.arange(pictures), labels] += strength
            both.append(Answers(labels, logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)))
        return both[0], both[1]

    here, there = draw(400_000)
    truth = {"accuracy": here.right.mean() - there.right.mean()}
    truth |= {"balanced_accuracy": truth["accuracy"], "log_loss": here.log_losses.mean() - there.log_losses.mean()}
    resampling = Resampling.draw(150, None, repeats=1)
    drawn = [differences(*draw(150), resampling, flips=1) for _ in range(1000)]
    for position, (score, value) in enumerate(truth.items()):
        held = [d[position].low <= value <= d[position].high for d in drawn]
        assert 0.93 <= np.mean(held) <= 0.97, score


def test_classifiers_that_agree_on_every_picture_differ_by_0_with_some_width_and_p_1(make_outputs: Make) -> None:
    outputs = make_outputs(50, 3)
    found = compare(outputs, outputs)
    assert all(d.difference == 0 and d.p == 1 for d in found.values())
    assert found["accuracy"].low < -0.02
    assert found["accuracy"].high > 0.02


@pytest.mark.parametrize("options", [{"pictures": 1, "num_classes": 3}, {"pictures": 20, "num_classes": 2}])
@pytest.mark.parametrize("group_size", [None, 20])
def test_few_pictures_or_one_group_give_finite_differences(
    options: dict[str, int], group_size: int | None, make_outputs: Make
) -> None:
    here, there = (make_outputs(**options, group_size=group_size, strength=s) for s in (3, 1))
    for difference in compare(here, there).values():
        assert np.isfinite([difference.difference, difference.low, difference.high, difference.p]).all()


def test_runs_are_aligned_by_picture_and_not_by_row(make_outputs: Make) -> None:
    outputs = make_outputs(40, 3)
    order = np.random.default_rng(0).permutation(40)
    shuffled = replace(
        outputs,
        ids=[outputs.ids[i] for i in order],
        labels=outputs.labels[order],
        logits=outputs.logits[order],
    )
    again = align(outputs, shuffled, "other")
    np.testing.assert_array_equal(again.logits, outputs.logits)
    assert again.ids == outputs.ids


def test_run_on_other_pictures_is_refused_with_what_differs(make_outputs: Make) -> None:
    outputs = make_outputs(40, 3)
    fewer = replace(outputs, ids=[*outputs.ids[:-1], "new.png"])
    with pytest.raises(mc.ArtifactError, match=r"runs/b was scored on other pictures: 1 are not in it \(00039.png\)"):
        align(outputs, fewer, "runs/b")
    with pytest.raises(mc.ArtifactError, match=r"1 are only in it \(new.png\).*data.seed"):
        align(outputs, fewer, "runs/b")


def test_run_with_other_labels_or_classes_is_refused(make_outputs: Make) -> None:
    outputs = make_outputs(40, 3)
    changed = outputs.labels.copy()
    changed[3] = (changed[3] + 1) % 3
    with pytest.raises(mc.ArtifactError, match=r"other labels: 1 differ \(00003.png\)"):
        align(outputs, replace(outputs, labels=changed), "runs/b")
    with pytest.raises(mc.ArtifactError, match="has other classes: a, b, c, here class 0"):
        align(outputs, replace(outputs, classes=("a", "b", "c")), "runs/b")
