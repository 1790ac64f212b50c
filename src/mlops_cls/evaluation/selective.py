"""How much better a classifier is where it is sure: accuracy of the pictures that it does not leave to a person."""

from typing import Any

import numpy as np

from mlops_cls.card import Calibration
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.intervals import plain
from mlops_cls.models.rates import Floats

POINTS = 100
FEWEST = 20  # pictures above a threshold, else it is chosen by chance


def choose_threshold(val: Answers, target: float) -> float | None:
    """Return the least confidence from which on the share `target` of validation is right.

    0 if all of it is good enough; None if the most sure pictures are not, or are fewer than 20.
    """
    thresholds, coverage, accuracy = _steps(val)
    good = (accuracy >= target) & (coverage * len(val.labels) >= FEWEST)
    if not good.any():
        return None
    last = int(np.flatnonzero(good).max())
    # Half way to the next one, so that rounding takes no picture to the other side.
    return 0.0 if last == len(thresholds) - 1 else float(thresholds[last : last + 2].mean())


def coverage_curve(answers: Answers) -> list[dict[str, float]]:
    """Return at most 100 thresholds of confidence, with the share of pictures that reach them and its accuracy."""
    thresholds, coverage, accuracy = _steps(answers)
    shown = np.unique(np.linspace(0, len(thresholds) - 1, min(POINTS, len(thresholds))).round().astype(int))
    return [
        {"threshold": float(thresholds[i]), "coverage": float(coverage[i]), "accuracy": float(accuracy[i])}
        for i in shown
    ]


def selective_accuracy(answers: Answers, calibration: Calibration) -> dict[str, Any]:
    """Return the coverage curve, and what the threshold that was chosen on validation gives."""
    threshold = calibration.threshold
    sure = answers.confidence >= (np.inf if threshold is None else threshold)
    covered = threshold is not None
    return {
        "curve": coverage_curve(answers),
        "target": calibration.target,
        "threshold": threshold,
        "coverage": float(sure.mean()) if covered else None,
        "accuracy": plain(answers.right[sure].mean()) if covered and sure.any() else None,
    }


def _steps(answers: Answers) -> tuple[Floats, Floats, Floats]:
    """Return every threshold that makes a difference, from the highest, with coverage and accuracy at it."""
    order = np.argsort(-answers.confidence, kind="stable")
    confidence, right = answers.confidence[order], answers.right[order]
    # Equal confidences come in together.
    last = np.flatnonzero(np.append(np.diff(confidence) != 0, True))
    pictures = last + 1
    return confidence[last], pictures / len(order), np.cumsum(right)[last] / pictures
