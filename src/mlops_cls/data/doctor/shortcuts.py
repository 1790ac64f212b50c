"""Checks for shortcuts: a property of the file or of the light that should not tell the class, but does.

A property is as telling as its best rule: one value, or one threshold, that separates a class from the rest. The
measure is Youden's J (Youden 1950, Cancer 3:32), the share of the class that the rule takes in less the share of the
rest that it takes in too; for thresholds its maximum is the Kolmogorov-Smirnov statistic. From it a margin is taken
that chance alone would exceed once in a hundred times (Smirnov's limit), so that small classes raise no alarm.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_cls.data.doctor.findings import Finding, Severity, Subject, cases
from mlops_cls.errors import first_few

LEAST_PICTURES = 20
MOST_LEVELS = 256
CHANCE = 1.63  # Smirnov's limit for 1 %
TELLING, GIVEN_AWAY = 0.5, 0.8
Values = NDArray[np.float64] | NDArray[np.str_]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Property:
    """Something that should not tell the class; `in_file` if it belongs to the file and not to what is seen."""

    name: str
    of: Callable[[Subject], Values]
    in_file: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """The best rule for one class: in words, the shares of the class and of the rest it takes in, J less the margin."""

    label: str
    says: str
    hits: float
    false_alarms: float
    excess: float
    caught: Mask

    def __str__(self) -> str:
        return f"{self.label} ({self.says}: {self.hits:.0%} of it, {self.false_alarms:.0%} of the rest)"


def _compression(subject: Subject) -> Values:
    return subject.numbers("bytes") / (subject.numbers("width") * subject.numbers("height"))


PROPERTIES = (
    Property("file format", lambda s: s.words("format"), in_file=True),
    Property("colour mode", lambda s: s.words("mode"), in_file=True),
    Property("width", lambda s: s.numbers("width"), in_file=True),
    Property("height", lambda s: s.numbers("height"), in_file=True),
    Property("aspect ratio", lambda s: s.numbers("width") / s.numbers("height")),
    Property("bytes per pixel", _compression),
    Property("brightness", lambda s: s.numbers("brightness")),
    Property("contrast", lambda s: s.numbers("contrast")),
)


def shortcuts(subject: Subject) -> Iterator[Finding]:
    """Properties by which a classifier could tell a class without looking at what it shows."""
    for prop in PROPERTIES:
        rules = [rule for rule in _rules(subject, prop.of(subject)) if rule.excess >= TELLING]
        if rules:
            rules.sort(key=lambda rule: -rule.excess)
            certain = prop.in_file or rules[0].excess >= GIVEN_AWAY
            yield Finding(
                kind=f"shortcut_{prop.name.replace(' ', '_')}",
                severity=Severity.warn if certain else Severity.note,
                title=f"{prop.name} alone tells {first_few(rules, 3)}",
                cure="a model may learn that and not the class, and fail on other pictures: even it out, "
                "or make sure that it will hold there too",
                numbers={rule.label: round(rule.excess, 3) for rule in rules},
                cases=cases(subject.ids, ([row] for rule in rules for row in np.flatnonzero(rule.caught).tolist())),
            )


def _rules(subject: Subject, values: Values) -> Iterator[Rule]:
    """Yield the best rule of every class that is large enough, all of them from one table of classes and values."""
    scale = _quantiles(values) if values.dtype.kind == "f" else _names(values)
    table = np.zeros((len(subject.classes), len(scale.levels)))
    np.add.at(table, (subject.labels, scale.codes), 1)
    if scale.ordered:
        table = table.cumsum(axis=1)  # then a level stands for "at most this"
    totals = np.bincount(subject.labels, minlength=len(table))
    for label in np.flatnonzero(np.minimum(totals, len(values) - totals) >= LEAST_PICTURES).tolist():
        number, others = int(totals[label]), int(len(values) - totals[label])
        inside, outside = table[label] / number, (table.sum(axis=0) - table[label]) / others
        at, above = scale.best(inside - outside)
        hits, false_alarms = (float(1 - share[at] if above else share[at]) for share in (inside, outside))
        excess = hits - false_alarms - CHANCE * float(np.sqrt((number + others) / (number * others)))
        caught = scale.takes(at, above) & (subject.labels == label)
        yield Rule(subject.classes[label], scale.words(at, above), hits, false_alarms, excess, caught)


@dataclass(frozen=True, slots=True)
class _Scale:
    """A property's levels, the level of each picture, and whether they have an order."""

    levels: Values
    codes: NDArray[np.int64]
    ordered: bool

    def best(self, gain: NDArray[np.float64]) -> tuple[int, bool]:
        """Return the level that separates best, and whether what lies above it is meant."""
        at = int(np.argmax(np.abs(gain) if self.ordered else gain))
        return at, bool(gain[at] < 0)

    def takes(self, at: int, above: bool) -> Mask:
        mask: Mask = (self.codes > at) if above else (self.codes <= at) if self.ordered else self.codes == at
        return mask

    def words(self, at: int, above: bool) -> str:
        return f"{'above' if above else 'at most'} {self.levels[at]:.4g}" if self.ordered else str(self.levels[at])


def _names(values: Values) -> _Scale:
    levels, codes = np.unique(values.astype(np.str_), return_inverse=True)
    return _Scale(levels, codes, False)


def _quantiles(values: Values) -> _Scale:
    """Return a scale of at most `MOST_LEVELS` quantiles, so that time does not grow with pictures times classes."""
    levels = np.unique(np.quantile(values.astype(np.float64), np.linspace(0, 1, MOST_LEVELS), method="inverted_cdf"))
    return _Scale(levels, np.searchsorted(levels, values), True)
