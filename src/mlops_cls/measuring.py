"""Everything that is measured of a trained classifier on a split, with what is only measured if it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlops_cls.errors import ConfigError
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.assess import Evaluation, assess
from mlops_cls.evaluation.baselines import linear_probe
from mlops_cls.evaluation.flips import flip_scores
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.paired import align, differences
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.evaluation.robustness import chosen_rows, robustness
from mlops_cls.scoring import ALL, Scorer


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What is asked for beyond the usual; `robustness` is a number of pictures, 0 for none."""

    against: Mapping[str, Scorer] = field(default_factory=dict)
    flips: bool = False
    robustness: int = 0
    probe: bool = False


def measure(scorer: Scorer, outputs: Outputs, split: str, extras: Extras) -> Evaluation:
    """Return the evaluation of a classifier's outputs on a split.

    Raises:
        ArtifactError: a run to compare with was scored on other pictures.
        ConfigError: a linear probe is to be scored on the pictures that it learns from.
    """
    if extras.probe and split in ("train", ALL):
        raise ConfigError(f"--probe --split {split}: the probe learns from train, so give --split val or test")
    subject = _Subject(scorer, outputs, split)
    asked: dict[str, Any] = {}
    if extras.against:
        asked["against"] = [row for name, other in extras.against.items() for row in subject.against(name, other)]
    if extras.flips:
        asked["flips"] = subject.flips()
    if extras.robustness:
        asked["robustness"] = subject.robustness(extras.robustness)
    evaluation = assess(outputs, calibration=scorer.card.calibration, split=split)
    probe = {"linear_probe": subject.probe()} if extras.probe else {}
    return replace(evaluation, baselines={**evaluation.baselines, **probe}, **asked)


class _Subject:
    """A classifier, its outputs on a split, and the resamples of its pictures."""

    def __init__(self, scorer: Scorer, outputs: Outputs, split: str) -> None:
        self.scorer, self.outputs, self.split = scorer, outputs, split
        self.answers = Answers.of(outputs, scorer.card.calibration.temperature)
        self.resampling = Resampling.draw(len(outputs.labels), outputs.groups)

    def against(self, name: str, other: Scorer) -> list[dict[str, Any]]:
        theirs = align(self.outputs, other.outputs(self.split), name)
        answers = Answers.of(theirs, other.card.calibration.temperature)
        return [{"run": name, **d.to_dict()} for d in differences(self.answers, answers, self.resampling)]

    def flips(self) -> dict[str, Any]:
        pictures = self.scorer.pictures(self.split)
        return flip_scores(self.scorer.log_probabilities, pictures, self.answers, self.resampling)

    def robustness(self, limit: int) -> list[dict[str, Any]]:
        rows = chosen_rows(self.outputs.ids, limit)
        pictures, ids = self.scorer.pictures(self.split)[rows], [self.outputs.ids[row] for row in rows]
        part, some = self.answers.take(rows), self.resampling.subset(rows)
        return robustness(self.scorer.log_probabilities, pictures, ids, part, some)

    def probe(self) -> dict[str, Any]:
        prepared = self.scorer.data.prepared
        train = prepared.images("train"), prepared.labels("train")
        return linear_probe(train, self.scorer.pictures(self.split), self.outputs.labels)
