"""What a faster model costs: its accuracy against the exact one's, on the same pictures, with an interval."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_cls.backends.base import Backend, Floats
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.evaluation.answers import Answers
from mlops_cls.evaluation.paired import differences
from mlops_cls.evaluation.resampling import Resampling
from mlops_cls.exporting.pictures import pictures_of

BATCH = 64
LEAST = 1e-12  # of a probability, which may have been rounded to 0


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
    before, after = (answer_all(backend, data, split) for backend in (exact, faster))
    groups = data.prepared.rows(split)["group"].to_pylist()
    return compare(before, after, data.prepared.labels(split), split=split, groups=None if None in groups else groups)


def answer_all(backend: Backend, data: ImageDataModule, split: str) -> Floats:
    """Return the probabilities float32[N,K] of a split, in store order."""
    number = data.manifest.size_of(split)
    parts = [np.arange(start, min(start + BATCH, number)) for start in range(0, number, BATCH)]
    return np.concatenate([backend(pictures_of(data, split, rows)) for rows in parts])


def compare(
    before: Floats, after: Floats, labels: NDArray[np.int64], *, split: str, groups: Sequence[str] | None
) -> Cost:
    """Return what the answers float32[N,K] `after` cost against those `before`."""
    exact, faster = (Answers(labels, np.log(np.maximum(each, LEAST, dtype=np.float64))) for each in (before, after))
    resampling = Resampling.draw(len(labels), groups, repeats=1)  # only to know what belongs together
    accuracy = differences(faster, exact, resampling, flips=0)[0]
    return Cost(
        split=split,
        pictures=len(labels),
        before=float(exact.right.mean()),
        after=float(faster.right.mean()),
        change=accuracy.difference,
        low=accuracy.low,
        high=accuracy.high,
        same_answers=float((exact.predicted == faster.predicted).mean()),
    )
