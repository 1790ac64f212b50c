"""Two classifiers on the same pictures: how much they differ, and whether chance would do as much."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlops_cls.errors import ArtifactError, first_few
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.intervals import Estimate
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.resampling import AT_ONCE, Resampling, deviations
from mlops_cls.models.rates import Floats

FLIPS = 9_999
SHOWN = 3
PSEUDO = 2
"""Two more pictures, of which each classifier alone gets one right, let classifiers that agree on all of few pictures
have an interval of some width: Bonett and Price 2012 (doi:10.3102/1076998611411915)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A score less that of the other classifier, its 95 % interval, and the p of the paired test."""

    score: str
    difference: float
    low: float
    high: float
    p: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def estimate(self) -> Estimate:
        return Estimate(self.difference, self.low, self.high)


def differences(answers: Answers, other: Answers, resampling: Resampling, *, flips: int = FLIPS) -> list[Difference]:
    """Return the differences of accuracy, balanced accuracy and log loss on the same pictures in the same order.

    Each is a sum over groups (over pictures, where they are not grouped). Its interval is Student's, from their spread.
    Its p is from turning the signs of whole groups at random, which changes nothing if the classifiers are equally
    good: for single pictures this is McNemar's test, with mid-p (Fagerland, Lydersen and Laake 2013,
    doi:10.1186/1471-2288-13-91).
    """
    gain, loss = answers.right * 1.0 - other.right, answers.log_losses - other.log_losses
    support = np.bincount(answers.labels, minlength=answers.num_classes)
    weight = len(gain) / (support[answers.labels] * np.count_nonzero(support))
    values = np.column_stack([gain, gain * weight, loss])
    mean = values.mean(0)
    # Against the mean of all classes, as their own would take from few pictures most of what they vary.
    one = np.ones_like(weight)
    moves = values - mean * np.column_stack([one, weight, one])
    low, high = _interval(mean, moves, resampling)
    p = sign_flip_p(resampling.group_sums(values), flips=flips)
    names = ("accuracy", "balanced_accuracy", "log_loss")
    rows = zip(names, mean.tolist(), low.tolist(), high.tolist(), p.tolist(), strict=True)
    return [Difference(*row) for row in rows]


def _interval(mean: Floats, moves: Floats, resampling: Resampling) -> tuple[Floats, Floats]:
    """Return the ends for means float64[3] from how pictures move them, float64[N,3]; the last one is of losses."""
    pictures, pseudo = len(moves), np.array([PSEUDO, PSEUDO, 0])
    squares = (resampling.group_sums(moves) ** 2).sum(0) * resampling.correction
    error = np.sqrt(squares + pseudo) / (pictures + pseudo)
    middle = mean * pictures / (pictures + pseudo)
    half = deviations(np.array(float(resampling.groups)), grouped=True) * error
    return np.minimum(middle - half, mean), np.maximum(middle + half, mean)


def sign_flip_p(sums: Floats, *, flips: int = FLIPS, seed: int = 0) -> Floats:
    """Return float64[M], the two-sided mid-p of sums over groups float64[G,M] having mean 0.

    Groups with turned signs are as likely, if both classifiers are equally good: Fisher's randomisation test. Half of
    the turns that give the very sum that was found count; the found one counts too, so that p is never 0.
    """
    sums = sums[sums.any(axis=1)]
    found = np.abs(sums.sum(0))
    slack = 1e-9 * np.abs(sums).sum(0)
    generator = np.random.default_rng(seed)
    extreme = np.zeros(found.shape)
    step = max(AT_ONCE // max(len(sums), 1), 1)
    for rows in (min(step, flips - start) for start in range(0, flips, step)):
        signs = 1.0 - 2.0 * generator.integers(0, 2, (rows, len(sums)), dtype=np.int8)
        beyond = np.abs(signs @ sums) - found
        extreme += (beyond > slack).sum(0) + (np.abs(beyond) <= slack).sum(0) / 2
    return np.where(found <= slack, 1.0, (extreme + 1) / (flips + 1))


def align(outputs: Outputs, other: Outputs, name: str) -> Outputs:
    """Return the other's outputs in the order of the first.

    Raises:
        ArtifactError: their classes, pictures or labels differ; the message says how.
    """
    if outputs.classes != other.classes:
        raise ArtifactError(f"{name} has other classes: {first_few(other.classes)}, here {first_few(outputs.classes)}")
    place = {sample: row for row, sample in enumerate(other.ids)}
    missing = [sample for sample in outputs.ids if sample not in place]
    extra = sorted(set(place) - set(outputs.ids))
    if missing or extra:
        parts = [_told("are not in it", missing), _told("are only in it", extra)]
        raise ArtifactError(f"{name} was scored on other pictures: {', '.join(filter(None, parts))}. {SAME}")
    rows = np.array([place[sample] for sample in outputs.ids], np.int64)
    labels = other.labels[rows]
    changed = [outputs.ids[i] for i in np.flatnonzero(labels != outputs.labels)]
    if changed:
        raise ArtifactError(f"{name} was scored by other labels: {_told('differ', changed)}. {SAME}")
    return Outputs(outputs.ids, labels, other.logits[rows], other.classes, outputs.groups, outputs.metadata)


SAME = "Two runs can be compared that have the same data, data.seed, data.subsample and split"


def _told(what: str, samples: list[str]) -> str:
    return f"{len(samples)} {what} ({first_few(samples, SHOWN)})" if samples else ""
