"""Every score of a split with its 95 % interval: overall and per class."""

from dataclasses import dataclass

import numpy as np

from mlops_cls.evaluation.answers import Answers, split_counts
from mlops_cls.evaluation.auroc import Auroc
from mlops_cls.evaluation.calibration import calibration_error, gaps
from mlops_cls.evaluation.intervals import Estimate, gap_interval, mean_interval, share_interval, variance
from mlops_cls.evaluation.resampling import Resampling, deviations
from mlops_cls.models.rates import Floats, class_rates, mean_rates, mean_where

SLACK, AREA_SLACK = 2.0, 3.0
"""How many times more a mean over classes, or an area under the curve, may tell than a share of as many pictures: the
variance of shares that differ between classes is less. Without a limit a classifier that calls everything one class
would have intervals of no width."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What shares are told from: numbers of pictures and of groups, float64[...]."""

    pictures: Floats
    groups: Floats

    @classmethod
    def of(cls, members: Floats, resampling: Resampling) -> "Basis":
        """Count the pictures and groups of float64[N,K], 1 for pictures that matter to the share of class k."""
        return cls(members.sum(0), (resampling.group_sums(members) > 0).sum(0).astype(np.float64))

    def mean(self) -> "Basis":
        """Return the basis of the mean over classes: as many pictures as would tell one share for all as well."""
        pictures, groups = (len(n) ** 2 / (1 / n).sum() for n in (self.pictures[self._any], self.groups[self._any]))
        return Basis(np.asarray(SLACK * pictures), np.asarray(groups))

    @property
    def _any(self) -> np.ndarray:
        return self.pictures > 0


class Measures:
    """The scores that come from what was called what, over one set of resamples."""

    def __init__(self, answers: Answers, resampling: Resampling) -> None:
        self.resampling = resampling
        table = answers.counts()
        self.counts, self.resampled = split_counts(table.sum(0)), split_counts(resampling.totals(table))
        _, support, called = np.moveaxis(table.reshape(len(table), 3, -1), 1, 0)
        self.bases = {
            "precision": Basis.of(called, resampling),
            "recall": Basis.of(support, resampling),
            "f1": Basis.of(np.maximum(support, called), resampling),
        }

    def overall(self) -> dict[str, Estimate]:
        """Return accuracy, balanced accuracy, and macro precision, recall and F1."""
        pictures, groups = np.array(len(self.resampling.owners)), np.array(self.resampling.groups)
        bases = {
            "accuracy": Basis(pictures, groups),
            "balanced_accuracy": self.bases["recall"].mean(),
            **{f"macro_{name}": basis.mean() for name, basis in self.bases.items()},
        }
        values, resampled = mean_rates(*self.counts), mean_rates(*self.resampled)
        drawn = self.resampled[1].any(-1)
        return {
            name: self._share(values[name], np.where(drawn, resampled[name], np.nan), basis, groups)[0]
            for name, basis in bases.items()
        }

    def per_class(self) -> dict[str, list[Estimate]]:
        """Return precision, recall and F1 of each class; NaN where they are shares of no pictures."""
        values, resampled = _known_rates(*self.counts), _known_rates(*self.resampled)
        # F1 is no share, but tells one: of the pictures that are of the class or called it, how many are both.
        for rates in (values, resampled):
            rates["f1"] = rates["f1"] / (2 - rates["f1"])
        estimates = {
            name: self._share(values[name], resampled[name], basis, basis.groups) for name, basis in self.bases.items()
        }
        return estimates | {"f1": [Estimate(*(2 * x / (1 + x) for x in _ends(e))) for e in estimates["f1"]]}

    def _share(self, value: Floats, resampled: Floats, basis: Basis, groups: Floats) -> list[Estimate]:
        return share(value, variance(resampled, self.resampling), basis, groups, self.resampling)


def ranking(answers: Answers, resampling: Resampling) -> tuple[Estimate, list[Estimate]]:
    """Return the area under the ROC curve, mean over the classes and of each; NaN where a class is absent."""
    auroc = Auroc.of(answers)
    resampled = auroc.resampled(resampling)
    members = np.eye(answers.num_classes)[answers.labels]
    one, rest = Basis.of(members, resampling), Basis.of(1 - members, resampling)
    rarer = Basis(np.minimum(one.pictures, rest.pictures), np.minimum(one.groups, rest.groups))
    # Near 1 an area varies as a share of twice its rarer pictures, by the variance of Hanley and McNeil 1982.
    basis = Basis(AREA_SLACK * rarer.pictures, 2 * rarer.groups)
    each = share(auroc.value, variance(resampled, resampling), basis, rarer.groups, resampling)
    known = np.isfinite(auroc.value)
    if not known.any():
        return Estimate(np.nan, np.nan, np.nan), each
    mean, spread = auroc.value[known].mean(), variance(_mean_of_known(resampled), resampling)
    groups = np.array(resampling.groups)
    return share(mean, spread, basis.mean(), groups, resampling)[0], each


def _mean_of_known(values: Floats) -> Floats:
    known = np.isfinite(values)
    return np.where(known.any(-1), mean_where(values, known), np.nan)


def losses(answers: Answers, uncalibrated: Answers, resampling: Resampling) -> dict[str, Estimate]:
    """Return log loss, Brier score and expected calibration error, the last also before temperature scaling."""
    return {
        "log_loss": mean_interval(answers.log_losses, resampling),
        "brier": mean_interval(answers.brier_losses, resampling),
        "ece": _calibration_error(answers, resampling),
        "ece_uncalibrated": _calibration_error(uncalibrated, resampling),
    }


def _calibration_error(answers: Answers, resampling: Resampling) -> Estimate:
    """Resamples differ in their number of pictures where groups do, so gaps are means before they are compared."""
    table = np.column_stack([gaps(answers), np.ones(len(answers.labels))])
    sums, resampled = table.sum(0), resampling.totals(table)
    means, drawn = sums[:-1] / sums[-1], resampled[:, :-1] / resampled[:, -1:]
    return gap_interval(float(calibration_error(means)), calibration_error(drawn), calibration_error(drawn - means))


def share(value: Floats, spread: Floats, basis: Basis, groups: Floats, resampling: Resampling) -> list[Estimate]:
    """Return an estimate per value; `groups` decide how far the interval reaches, see `deviations`."""
    reach = deviations(groups, grouped=resampling.grouped)
    low, high = share_interval(value, spread, most=basis.pictures, groups=basis.groups, reach=reach)
    return [Estimate(*map(float, ends)) for ends in zip(*map(np.atleast_1d, (value, low, high)), strict=True)]


def _known_rates(hits: Floats, support: Floats, called: Floats) -> dict[str, Floats]:
    wholes = {"precision": called, "recall": support, "f1": support + called}
    return {n: np.where(wholes[n] > 0, rate, np.nan) for n, rate in class_rates(hits, support, called).items()}


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high
