"""Area under the ROC curve of each class against the rest, with what its interval needs."""

from dataclasses import dataclass

import numpy as np

from mlops_cls.evaluation.answers import Answers, Whole
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.models.rates import Floats


@dataclass(frozen=True, slots=True)
class Auroc:
    """`value` float64[K], NaN where a class has no pictures or all of them.

    `placements` float64[N,K]: of a picture of the class, the share of the others that it is ranked above; of another
    picture, the share of the class that is ranked above it; a tie counts half. Their means are the area: DeLong,
    DeLong and Clarke-Pearson 1988 (doi:10.2307/2531595).
    """

    value: Floats
    placements: Floats
    labels: Whole

    @classmethod
    def of(cls, answers: Answers) -> "Auroc":
        columns = [
            _placements(answers.log_probabilities[:, k], answers.labels == k) for k in range(answers.num_classes)
        ]
        placements = np.stack(columns, axis=1)
        own = [placements[answers.labels == k, k] for k in range(answers.num_classes)]
        value = np.array([part.mean() if len(part) else np.nan for part in own])
        return cls(value, placements, answers.labels)

    def resampled(self, resampling: Resampling) -> Floats:
        """Return float64[B,K]: the area in each resample, to first order in the number of times a picture is drawn.

        NaN where a class or its others were not drawn. The exact area would have to be sorted for in each resample.
        """
        rows = np.arange(len(self.labels))
        present = np.zeros_like(self.placements)
        present[rows, self.labels] = 1
        beyond = np.where(np.isfinite(self.placements), self.placements - self.value, 0)
        own, pictures = resampling.totals(beyond * present), resampling.totals(present)
        others = resampling.totals(beyond) - own
        drawn = pictures.sum(1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.value + own / pictures + others / (drawn - pictures))


def _placements(scores: Floats, positive: np.ndarray) -> Floats:
    """Return float64[N], NaN where there are no pictures of the class or no others."""
    placed = np.full(len(scores), np.nan)
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if len(above) and len(below):
        placed[positive] = _share_below(scores[positive], below)
        placed[~positive] = 1 - _share_below(scores[~positive], above)
    return placed


def _share_below(scores: Floats, ordered: Floats) -> Floats:
    ranks = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(ranks / (2 * len(ordered)))
