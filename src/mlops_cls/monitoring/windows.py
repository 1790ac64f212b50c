"""Looking several times without crying wolf: what part of alpha each look may spend, and a history in windows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.monitoring import words
from mlops_cls.monitoring.drift import ALPHA, ENOUGH, Change, Sample, find_changes
from mlops_cls.monitoring.reference import Reference

UNTOLD = -1
DEVIATIONS = 1.959964  # of a normal distribution hold 95 %
MOST_WINDOWS = 30


def spent(look: int) -> float:
    """Return the part of alpha that the look of this number, from 1, may spend: 1/2, 1/6, 1/12, ...; all sum to 1.

    So the chance that any look ever gives a false alarm is at most alpha, however many there are and however much they
    overlap. Alpha-spending over an unbounded sequence: Foster and Stine 2008 (doi:10.1111/j.1467-9868.2007.00643.x),
    Tian and Ramdas 2021 (doi:10.1177/0962280220983381).
    """
    return 1 / (look * (look + 1))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of right answers among pictures whose true class was told, with Wilson's 95 % interval."""

    value: float
    low: float
    high: float
    pictures: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def accuracy_of(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> Accuracy | None:
    """Return the accuracy where `truth` is not `UNTOLD`; None where nothing was told.

    Its interval is that of Wilson 1927 (doi:10.1080/01621459.1927.10502953): pictures count as independent.
    """
    told = truth != UNTOLD
    number = int(told.sum())
    if not number:
        return None
    share, weight = float((predicted == truth)[told].mean()), DEVIATIONS**2 / number
    middle = (share + weight / 2) / (1 + weight)
    half = float(np.sqrt(share * (1 - share) * weight + weight**2 / 4)) / (1 + weight)
    return Accuracy(share, max(middle - half, 0.0), min(middle + half, 1.0), number)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A sample with its times, oldest first, and what people told of it.

    `truth` int64[N] has the true class, or `UNTOLD`.
    """

    sample: Sample
    times: Sequence[datetime]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, rows: slice) -> "History":
        return History(self.sample[rows], self.times[rows], self.truth[rows])

    @property
    def accuracy(self) -> Accuracy | None:
        return accuracy_of(self.sample.predicted, self.truth)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One look at some pictures: whether they had changed, and in what."""

    since: datetime
    until: datetime
    pictures: int
    drift: bool
    p_adjusted_least: float
    accuracy: Accuracy | None
    words: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"since": self.since.isoformat(), "until": self.until.isoformat()}


def window_of(history: History, changes: Sequence[Change]) -> Window:
    """Return what the tests of a history come to."""
    return Window(
        since=history.times[0],
        until=history.times[-1],
        pictures=len(history),
        drift=any(change.drift for change in changes),
        p_adjusted_least=min(change.p_adjusted for change in changes),
        accuracy=history.accuracy,
        words=words.verdict(len(history), changes),
    )


def in_windows(
    reference: Reference, history: History, size: int, *, alpha: float = ALPHA
) -> tuple[list[Change], list[Window]]:
    """Test a history as a whole and in windows one after another, that together give a false alarm once in 1/alpha.

    Half of alpha is for all pictures together, which finds a small change that lasts. The other half the windows share,
    of which one finds a change that has just begun. Nothing is cut where there are not pictures for two.

    Args:
        reference: of the model that answered.
        history: what it answered, `ENOUGH` pictures or more.
        size: pictures of a window; larger ones if there would be more than `MOST_WINDOWS`.
        alpha: the chance of a false alarm.
    """
    number = min(len(history) // max(size, ENOUGH), MOST_WINDOWS)
    if number < 2:
        changes = find_changes(reference, history.sample, alpha=alpha)
        return changes, [window_of(history, changes)]
    edges = np.linspace(0, len(history), number + 1).astype(int).tolist()
    parts = [history[start:end] for start, end in pairwise(edges)]
    tested = [find_changes(reference, part.sample, alpha=alpha, share=0.5 / number) for part in parts]
    windows = [window_of(*pair) for pair in zip(parts, tested, strict=True)]
    return find_changes(reference, history.sample, alpha=alpha, share=0.5), windows
