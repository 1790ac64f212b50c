"""What has changed: pictures that a model sees, its embeddings and its answers, against the bundle's reference."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlops_cls.monitoring.comparing import Found, compare_classes, compare_embeddings, compare_numbers, holm
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.statistics import Numbers

ALPHA = 0.05
ENOUGH = 50
"""Pictures, here and in the reference, below which nothing is tested: only differences of a quarter would be found."""
LEAST = {"KS": 0.1, "MMD": 0.02, "chi2": 0.1}
"""Effects that are worth telling a person; docs/drift.md shows what they look like."""
EFFECTS = {"KS": "largest difference in shares", "MMD": "share of the discrepancy", "chi2": "share of answers moved"}
EMBEDDING, CLASSES, CONFIDENCE = "embedding", "classes", "confidence"
QUANTILES = {"low": 0.1, "median": 0.5, "high": 0.9}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Pictures as they were seen and answered; N of them, in the order of time.

    Args:
        statistics: float32[N] each, by the names in `measure`.
        predicted: the most probable class, int64[N].
        confidence: its probability, float32[N].
        projected: embeddings in the reference's projection, float32[N,D+1]; None where there are none.
    """

    statistics: Mapping[str, Numbers]
    predicted: NDArray[np.int64]
    confidence: Numbers
    projected: Numbers | None

    def __len__(self) -> int:
        return len(self.predicted)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Self:
        statistics = {name: values[rows] for name, values in self.statistics.items()}
        projected = None if self.projected is None else self.projected[rows]
        return replace(self, statistics=statistics, predicted=self.predicted[rows],
                       confidence=self.confidence[rows], projected=projected)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One test, and whether it tells a change: no chance, after all corrections, and large enough to matter.

    `kind` is input, embedding or prediction; `reference` and `now` describe the two samples in a few numbers.
    """

    name: str
    kind: str
    test: str
    statistic: float
    p: float
    p_adjusted: float
    effect: float
    effect_name: str
    drift: bool
    reference: Mapping[str, float]
    now: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_changes(
    reference: Reference, now: Sample, *, alpha: float = ALPHA, share: float = 1.0, seed: int = 0
) -> list[Change]:
    """Test everything that was measured of `ENOUGH` pictures or more.

    With probability 1 - alpha x share no test tells a change where there is none: Holm's correction over the tests,
    which share this look's part of alpha.

    Args:
        reference: of the model that answered.
        now: its pictures; they count as independent of one another.
        alpha: the chance of a false alarm over all looks.
        share: of alpha, that this look may spend.
        seed: of relabelings.
    """
    made = list(_tests(reference, now, np.random.default_rng(seed)))
    # Such as the width of pictures that all have one: what cannot alarm need not be allowed for.
    able = [number for number, change in enumerate(made) if change.statistic != 0]
    corrected = dict(zip(able, holm([made[number].p for number in able]), strict=True))
    return [_judged(change, min(1.0, corrected.get(number, 1.0) / share), alpha) for number, change in enumerate(made)]


def _judged(change: Change, p: float, alpha: float) -> Change:
    return replace(change, p_adjusted=p, drift=bool(p <= alpha and change.effect >= LEAST[change.test]))


def _tests(reference: Reference, now: Sample, generator: np.random.Generator) -> Iterator[Change]:
    for name, known in reference.statistics.items():
        yield _of_numbers(name, "input", known, now.statistics[name])
    if now.projected is not None and len(reference.projected):
        found = compare_embeddings(reference.projected, now.projected, generator)
        away = (_summary(rows[:, -1]) for rows in (reference.projected, now.projected))
        yield _change(EMBEDDING, "embedding", "MMD", found, *away)
    before, after = (
        np.bincount(each, minlength=len(reference.classes)) for each in (reference.predicted, now.predicted)
    )
    found = compare_classes(before, after, generator)
    shares = (dict(zip(reference.classes, (row / row.sum()).tolist(), strict=True)) for row in (before, after))
    yield _change(CLASSES, "prediction", "chi2", found, *shares)
    yield _of_numbers(CONFIDENCE, "prediction", reference.confidence, now.confidence)


def _of_numbers(name: str, kind: str, known: Numbers, now: Numbers) -> Change:
    found, most = compare_numbers(known, now)
    return _change(name, kind, "KS", found, _summary(known, most), _summary(now, most))


def _change(
    name: str, kind: str, test: str, found: Found, reference: Mapping[str, float], now: Mapping[str, float]
) -> Change:
    return Change(
        name=name, kind=kind, test=test, **found._asdict(), p_adjusted=1.0, effect_name=EFFECTS[test], drift=False,
        reference=reference, now=now,
    )  # fmt: skip


def _summary(values: Numbers, most: float | None = None) -> dict[str, float]:
    """Return mean and quantiles and, if asked for, the share of values up to the one where two samples differ most."""
    quantiles = np.quantile(values, list(QUANTILES.values())).tolist()
    summary = {"mean": float(values.mean(dtype=np.float64)), **dict(zip(QUANTILES, quantiles, strict=True))}
    return summary if most is None else {**summary, "at": most, "up_to": float((values <= most).mean())}
