"""What a faster model costs: its accuracy against the exact one's, on the same pictures, with an interval."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.backends.base import Backend, Floats
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.exporting.pictures import pictures_of

BATCH = 64
DEVIATIONS = 1.96


@dataclass(frozen=True, slots=True)
class Cost:
    """Accuracies on `pictures` of a split, and their difference with its 95 % interval; negative is a loss."""

    split: str
    pictures: int
    before: float
    after: float
    change: float
    low: float
    high: float
    same_answers: float
    """Share of the pictures."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"accuracy {self.after:.3f} for {self.before:.3f} on {self.pictures} {self.split} pictures, a change of "
            f"{self.change:+.4f} ({self.low:+.4f} to {self.high:+.4f})"
        )


def measure_cost(exact: Backend, faster: Backend, data: ImageDataModule, split: str) -> Cost:
    """Ask both about a whole split."""
    answers = [answer_all(backend, data, split).argmax(1) for backend in (exact, faster)]
    labels = data.prepared.labels(split)
    groups = data.prepared.rows(split)["group"].to_pylist()
    return compare(answers[0], answers[1], labels, split=split, groups=None if None in groups else groups)


def answer_all(backend: Backend, data: ImageDataModule, split: str) -> Floats:
    """Return the probabilities float32[N,K] of a split, in store order."""
    number = data.manifest.size_of(split)
    parts = [np.arange(start, min(start + BATCH, number)) for start in range(0, number, BATCH)]
    return np.concatenate([backend(pictures_of(data, split, rows)) for rows in parts])


def compare(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    split: str,
    groups: Sequence[object] | None,
) -> Cost:
    """Return what the answers int64[N] `after` cost against those `before`."""
    gained = (after == labels).astype(float) - (before == labels)
    middle, reach = _interval(gained, groups)
    return Cost(
        split=split,
        pictures=len(labels),
        before=float((before == labels).mean()),
        after=float((after == labels).mean()),
        change=float(gained.mean()),
        low=max(middle - reach, -1.0),
        high=min(middle + reach, 1.0),
        same_answers=float((before == after).mean()),
    )


def _interval(gained: NDArray[np.float64], groups: Sequence[object] | None) -> tuple[float, float]:
    """Return the middle and the reach of a 95 % interval of the mean of -1, 0 and 1, float64[N].

    Agresti and Min 2005 (doi:10.1002/sim.1781): half a picture more of either kind keeps the interval honest where few
    answers differ or none. Pictures of one group count as much less as their sums vary more than single pictures do.
    """
    number, changed = len(gained) + 2, np.abs(gained).sum() + 1
    middle = gained.sum() / number
    together = gained if groups is None else np.bincount(np.unique(np.asarray(groups), return_inverse=True)[1], gained)
    alike = max(float((together**2).sum() / max((gained**2).sum(), 1)), 1.0)
    return float(middle), float(DEVIATIONS * np.sqrt(alike * (changed / number - middle**2) / number))
