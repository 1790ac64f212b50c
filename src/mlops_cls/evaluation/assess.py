"""From a classifier's outputs on a split to everything that is told of them: the content of evaluation.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlops_cls.atomic import write_text
from mlops_cls.card import Calibration
from mlops_cls.evaluation.answers import Answers, Whole
from mlops_cls.evaluation.baselines import majority
from mlops_cls.evaluation.calibration import reliability
from mlops_cls.evaluation.intervals import Estimate
from mlops_cls.evaluation.measures import Measures, losses, ranking
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.resampling import REPEATS, Resampling
from mlops_cls.evaluation.selective import selective_accuracy
from mlops_cls.evaluation.slices import slice_scores

FORMAT = 1
MOST_CONFUSED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a classifier is worth on a split; `docs/evaluation.md` says what each part means.

    `robustness`, `flips` and `against` are None where they were not asked for.
    """

    split: str
    pictures: int
    classes: tuple[str, ...]
    grouped_by: str | None
    groups: int | None
    estimates: Mapping[str, Estimate]
    per_class: Sequence[Mapping[str, Any]]
    confusion: Whole
    confused: Sequence[Mapping[str, Any]]
    calibration: Mapping[str, Any]
    selective: Mapping[str, Any]
    baselines: Mapping[str, Any]
    slices: Sequence[Mapping[str, Any]] = ()
    robustness: Sequence[Mapping[str, Any]] | None = None
    flips: Mapping[str, Any] | None = None
    against: Sequence[Mapping[str, Any]] | None = None

    def scores(self) -> dict[str, float]:
        """Return the scores by the names that are logged, such as ``test/accuracy``; without those that are NaN."""
        return {f"{self.split}/{n}": e.value for n, e in self.estimates.items() if np.isfinite(e.value)}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the 95 % intervals of scores by the same names."""
        known = {name: e for name, e in self.estimates.items() if np.isfinite([e.value, e.low, e.high]).all()}
        return {f"{self.split}/{name}": (e.low, e.high) for name, e in known.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        asked = {name: getattr(self, name) for name in ("robustness", "flips", "against")}
        return {
            "format": FORMAT,
            "split": self.split,
            "pictures": self.pictures,
            "classes": list(self.classes),
            "grouped_by": self.grouped_by,
            "groups": self.groups,
            "scores": {name: estimate.to_dict() for name, estimate in self.estimates.items()},
            "per_class": [dict(row) for row in self.per_class],
            "confusion": self.confusion.tolist(),
            "confused": [dict(pair) for pair in self.confused],
            "calibration": dict(self.calibration),
            "selective": dict(self.selective),
            "baselines": dict(self.baselines),
            "slices": [dict(part) for part in self.slices],
            **{name: value for name, value in asked.items() if value is not None},
        }

    def save(self, path: Path) -> None:
        """Write `to_dict` as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def assess(
    outputs: Outputs,
    *,
    calibration: Calibration,
    split: str = "test",
    repeats: int = REPEATS,
    seed: int = 0,
) -> Evaluation:
    """Return every score of the outputs on a split, with 95 % bootstrap intervals.

    Args:
        outputs: not calibrated; at least one picture. Groups are resampled whole.
        calibration: as `calibrate` has found it on validation.
        split: the name of the split.
        repeats: number of resamples.
        seed: of the resamples.
    """
    resampling = Resampling.draw(len(outputs.labels), outputs.groups, repeats=repeats, seed=seed)
    answers, uncalibrated = Answers.of(outputs, calibration.temperature), Answers.of(outputs)
    measures = Measures(answers, resampling)
    area, areas = ranking(answers, resampling)
    return Evaluation(
        split=split,
        pictures=len(outputs.labels),
        classes=outputs.classes,
        grouped_by=_grouped_by(outputs) if resampling.grouped else None,
        groups=resampling.groups if resampling.grouped else None,
        estimates={**measures.overall(), "auroc": area, **losses(answers, uncalibrated, resampling)},
        per_class=_rows(outputs, measures.per_class() | {"auroc": areas}),
        confusion=outputs.confusion,
        confused=_confused(outputs),
        calibration={
            "temperature": calibration.temperature,
            "bins": reliability(answers),
            "bins_uncalibrated": reliability(uncalibrated),
        },
        selective=selective_accuracy(answers, calibration),
        baselines={"majority": majority(outputs)},
        slices=slice_scores(outputs.metadata, answers, resampling),
    )


def _grouped_by(outputs: Outputs) -> str:
    """Return the name of the column that holds the groups, if the data set has kept one."""
    for name in outputs.metadata.column_names:
        if [str(value) for value in outputs.metadata[name].to_pylist()] == list(outputs.groups or ()):
            return str(name)
    return "group"


def _rows(outputs: Outputs, estimates: Mapping[str, Sequence[Estimate]]) -> list[dict[str, Any]]:
    support = np.bincount(outputs.labels, minlength=len(outputs.classes)).tolist()
    return [
        {"class": name, "support": support[i], **{score: each[i].to_dict() for score, each in estimates.items()}}
        for i, name in enumerate(outputs.classes)
    ]


def _confused(outputs: Outputs) -> list[dict[str, Any]]:
    """Return the most frequent mistakes, with their share of the true class."""
    confusion = outputs.confusion
    wrong = confusion * (1 - np.eye(len(confusion), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED]
    return [
        {
            "true": outputs.classes[true],
            "predicted": outputs.classes[predicted],
            "count": int(wrong[true, predicted]),
            "share": float(wrong[true, predicted] / confusion[true].sum()),
        }
        for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[true, predicted]
    ]
