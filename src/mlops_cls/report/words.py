"""What the numbers say, in sentences that a tired person can take in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlops_cls.report.numbers import known, percent, points, span

Values = Mapping[str, Any]
FEW = 30  # pictures of a class below which its recall says little
GOOD_CALIBRATION = 0.05
Sentence = Markup


def verdict(evaluation: Values) -> Iterator[Sentence]:
    """Yield the most important things first: how good, compared with what, where weak, and how far to be believed."""
    yield _accuracy(evaluation)
    yield from _classes(evaluation["per_class"])
    yield _confidence(evaluation["scores"])
    yield from _abstaining(evaluation.get("selective") or {})


def how_measured(evaluation: Values) -> str:
    """Return what the intervals are of."""
    by = evaluation["grouped_by"]
    unit = "picture" if by is None else f"group of pictures{called(by)}"
    return (
        f"Intervals are 95 % bootstrap intervals, each {unit} drawn as one; they tell how much a score would vary with "
        "other pictures of the same kind, not with another training run or other pictures than these."
    )


def called(group: str) -> str:
    """Return the name of what groups are by, in brackets, if the data gave one."""
    return "" if group == "group" else f" ({group})"


def _accuracy(evaluation: Values) -> Sentence:
    score, majority = evaluation["scores"]["accuracy"], evaluation["baselines"]["majority"]
    right, baseline = sum(row[i] for i, row in enumerate(evaluation["confusion"])), majority["accuracy"]
    beats = known(score.get("low")) and score["low"] > baseline
    return Markup(
        "Right on <b>{:,} of {:,}</b> pictures, {}{}. Always answering <b>{}</b> would be right on {}{}"
    ).format(
        right,
        evaluation["pictures"],
        percent(score["value"]),
        f" (95 % interval {span(score)})" if span(score) else "",
        majority["class"],
        percent(baseline),
        "." if beats else ": by accuracy alone, this classifier cannot be told from that.",
    )


def _classes(classes: Sequence[Values]) -> Iterator[Sentence]:
    measured = [entry for entry in classes if known(entry["recall"]["value"])]
    if len(measured) < 2:
        return
    weak = min(measured, key=lambda entry: float(entry["recall"]["value"]))
    strong = max(measured, key=lambda entry: float(entry["recall"]["value"]))
    few = " (few pictures: see its interval)" if weak["support"] < FEW else ""
    yield Markup("It finds <b>{}</b> best, {} of its {:,} pictures, and <b>{}</b> worst, {} of {:,}{}.").format(
        strong["class"],
        percent(strong["recall"]["value"], 0),
        strong["support"],
        weak["class"],
        percent(weak["recall"]["value"], 0),
        weak["support"],
        few,
    )


def _confidence(scores: Values) -> Sentence:
    error, before = scores["ece"]["value"], scores["ece_uncalibrated"]["value"]
    trust = "can be taken at its word" if error < GOOD_CALIBRATION else "is to be taken with care"
    return Markup("Its confidence <b>{}</b>: on average it is off by {} points, before calibration by {}.").format(
        trust, points(error).lstrip("+"), points(before).lstrip("+")
    )


def _abstaining(selective: Values) -> Iterator[Sentence]:
    # A threshold of 0 answers everything, which the accuracy has told already.
    if selective.get("threshold") and known(selective.get("accuracy")):
        yield Markup(
            "Where it is at least {} sure, which it is on <b>{}</b> of the pictures, it is right on <b>{}</b>."
        ).format(*(percent(selective[key]) for key in ("threshold", "coverage", "accuracy")))
