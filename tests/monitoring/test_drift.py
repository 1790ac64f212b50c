"""What is told of pictures that have changed, of pictures that have not, and of many looks at either."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy.stats import binomtest

from mlops_cls.monitoring import comparing
from mlops_cls.monitoring.drift import ENOUGH, LEAST, Sample, find_changes
from mlops_cls.monitoring.findings import Findings
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.window import LiveWindow, sample_of
from mlops_cls.monitoring.windows import MOST_WINDOWS, UNTOLD, History, accuracy_of, in_windows, spent
from pictures_seen import SEEN_CLASSES, START, records_of, reference_of, seen


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test of embeddings take a tenth of its time, at less power."""
    monkeypatch.setattr(comparing, "MOST_COMPARED", 150)
    monkeypatch.setattr(comparing, "DRAWS", 200)


def history(sample: Sample) -> History:
    times = [START + timedelta(minutes=i) for i in range(len(sample))]
    return History(sample, times, np.full(len(sample), UNTOLD))


def joined(*parts: Sample) -> Sample:
    return sample_of([record for number, part in enumerate(parts) for record in records_of(part, first=1000 * number)])


def drifted(reference: Reference, sample: Sample, **options: float) -> set[str]:
    return {change.name for change in find_changes(reference, sample, **options) if change.drift}


@pytest.mark.usefixtures("quick")
def test_a_look_gives_more_false_alarms_than_one_in_twenty() -> None:
    alarms = [bool(drifted(reference_of(seed), seen(100, seed))) for seed in range(60)]
    assert sum(alarms) <= 7  # 3 expected; more than 7 come once in 80


def test_dark_pictures_other_classes_and_other_embeddings_go_unnoticed_or_are_taken_for_each_other(
    reference: Reference,
) -> None:
    assert drifted(reference, seen(200, 1, darker=1)) == {"brightness"}
    assert drifted(reference, seen(200, 1, shares=(0.1, 0.3, 0.6))) == {"classes"}
    moved = seen(200, 1)
    assert moved.projected is not None
    moved.projected[:, 1] += 1
    assert drifted(reference, moved) == {"embedding"}


def test_a_change_that_nobody_would_care_for_alarms_because_there_are_many_pictures() -> None:
    many = seen(50_000, 1, darker=0.1)
    (change,) = (change for change in find_changes(reference_of(train=50_000), many) if change.name == "brightness")
    assert change.p_adjusted < 1e-9
    assert change.effect < LEAST["KS"]
    assert not change.drift


def test_a_model_without_embeddings_cannot_be_watched(reference: Reference) -> None:
    sample = seen(100, 1, darker=2)
    without = Sample(sample.statistics, sample.predicted, sample.confidence, None)
    assert drifted(reference, without) == {"brightness"}
    assert "embedding" not in {change.name for change in find_changes(reference, without)}


def test_the_looks_of_a_year_spend_more_than_alpha() -> None:
    assert sum(spent(look) for look in range(1, 500_000)) <= 1
    assert spent(1) == 0.5


@pytest.mark.usefixtures("quick")
def test_a_service_that_is_watched_for_long_cries_wolf() -> None:
    """Six services, each looked at 32 times; at 5 % a look four in five would alarm at least once."""
    alarms = 0
    for number in range(6):
        window = LiveWindow(reference_of(number), "0123456789ab", 200)
        for part in range(32):
            window.add(list(records_of(seen(50, 100 * number + part), first=50 * part)))
        assert len(window.findings.windows) == MOST_WINDOWS
        alarms += any(each.drift for each in window.findings.windows)
    assert alarms <= 1


def test_a_live_window_alarms_too_late_or_keeps_more_than_its_size(reference: Reference) -> None:
    window = LiveWindow(reference, "0123456789ab", 400)
    window.add(list(records_of(seen(99, 1))))
    assert not window.findings.enough
    assert window.findings.say() == "Too few pictures to tell: 99 of 100 that are needed."
    for part in range(1, 5):
        window.add(list(records_of(seen(100, part), first=100 * part)))
    assert window.findings.enough and not window.findings.drift
    for part in range(5, 7):
        window.add(list(records_of(seen(100, part, darker=1.5), first=100 * part)))
    found = window.findings
    assert found.drift and found.pictures == 400
    assert found.until == START + timedelta(minutes=699)
    assert "pictures are darker: grey level 8" in found.say()
    for part in range(7, 12):
        window.add(list(records_of(seen(100, part), first=100 * part)))
    assert not window.findings.drift  # it is over
    assert any(each.drift for each in window.findings.windows)


def test_a_service_under_load_looks_all_the_time(reference: Reference) -> None:
    window = LiveWindow(reference, "0123456789ab", 200)
    at_once = [
        replace(record, time=START + timedelta(milliseconds=10 * i))
        for i, record in enumerate(records_of(seen(1100, 1)))
    ]
    for start in range(0, 1100, 50):
        window.add(at_once[start : start + 50])
    assert [look.until - START for look in window.findings.windows] == [
        timedelta(milliseconds=490),
        timedelta(milliseconds=10490),
    ]


def test_a_reference_of_few_pictures_is_compared_with() -> None:
    window = LiveWindow(reference_of(val=49), "0123456789ab", 200)
    window.add(list(records_of(seen(200, 1, darker=3))))
    assert not window.findings.enough
    assert "has 49 pictures, which are too few to compare with: 50 are needed" in window.findings.say()


def test_feedback_is_lost_or_fills_the_memory(reference: Reference) -> None:
    window = LiveWindow(reference, "0123456789ab", 200)
    sample = seen(50, 1)
    for number in range(40):
        window.tell(f"r{number}-0", SEEN_CLASSES[sample.predicted[number] if number < 30 else 0])
    for number in range(1000):
        window.tell(f"never-was-{number}", SEEN_CLASSES[0])
    window.add(list(records_of(sample)))
    accuracy = window.findings.accuracy
    assert accuracy is not None
    assert accuracy.pictures == 40
    right = 30 + int((sample.predicted[30:40] == 0).sum())
    assert accuracy.value == right / 40
    assert len(window._told) == 40


def test_a_change_that_has_just_begun_drowns_in_what_came_before(reference: Reference) -> None:
    late = history(joined(seen(900, 1), seen(100, 2, darker=1)))
    whole, windows = in_windows(reference, late, 100)
    assert not any(change.drift for change in whole)
    assert [window.drift for window in windows] == [False] * 9 + [True]
    found = Findings(
        model="", pictures=1000, needed=ENOUGH, changes=whole, windows=windows, past_counts=True,
        since=late.times[0], until=late.times[-1],
    )  # fmt: skip
    assert found.drift
    assert found.say().startswith("Drift in 1 of 10 windows, first in that from 2026-11-20 23:00 UTC")
    assert "darker" in found.say()


@pytest.mark.usefixtures("quick")
def test_windows_give_more_false_alarms_than_one_look() -> None:
    alarms = 0
    for seed in range(20):
        whole, windows = in_windows(reference_of(seed), history(seen(600, seed)), 100)
        alarms += any(one.drift for one in (*whole, *windows))
    assert alarms <= 4  # 1 expected


def test_few_pictures_are_cut_into_windows_that_can_tell_nothing(reference: Reference) -> None:
    _, windows = in_windows(reference, history(seen(99, 1)), 1)
    assert [window.pictures for window in windows] == [99]
    _, windows = in_windows(reference, history(seen(5000, 1)), 60)
    assert len(windows) == MOST_WINDOWS


@pytest.mark.parametrize(("right", "number"), [(80, 100), (10, 10), (0, 7)])
def test_accuracy_has_another_interval_than_wilsons(right: int, number: int) -> None:
    truth = np.r_[np.zeros(right), np.ones(number - right), np.full(5, UNTOLD)].astype(np.int64)
    found = accuracy_of(np.zeros(number + 5, np.int64), truth)
    assert found is not None
    expected = binomtest(right, number).proportion_ci(method="wilson")
    assert (found.value, found.pictures) == (right / number, number)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert accuracy_of(np.zeros(3, np.int64), np.full(3, UNTOLD)) is None


def test_what_is_told_is_no_json_or_not_what_was_agreed(reference: Reference) -> None:
    changes, windows = in_windows(reference, history(seen(300, 1, darker=1)), 100)
    found = Findings(
        model="0123456789ab", pictures=300, needed=ENOUGH, changes=changes, windows=windows, past_counts=True
    )
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["drift"] is True and told["enough"] is True and told["format"] == 1
    numbers = ["statistic", "p", "p_adjusted", "effect", "effect_name"]
    keys = ["name", "kind", "test", *numbers, "drift", "reference", "now", "words"]
    assert all(list(test) == keys for test in told["tests"])
    assert {test["kind"] for test in told["tests"]} == {"input", "embedding", "prediction"}
    assert list(told["windows"][0]) == ["since", "until", "pictures", "drift", "p_adjusted_least", "accuracy", "words"]
    assert told["words"].startswith("Drift in 300 pictures: pictures are darker: grey level ")
    few = Findings(model="", pictures=3, needed=ENOUGH).to_dict()
    assert (few["enough"], few["drift"], few["tests"]) == (False, False, [])
