"""Bootstrap resamples: how often each picture is drawn, whole groups at a time where pictures belong together.

Efron 1979; of groups (clusters): Davison and Hinkley 1997, Bootstrap Methods and their Application, 3.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from mlops_cls.models.rates import Floats

REPEATS = 1000
CONFIDENCE = 0.95
AT_ONCE = 1 << 22  # numbers in memory at a time


@dataclass(frozen=True, slots=True)
class Resampling:
    """`counts` uint16[B,G]: how often each group is drawn in each resample; `owners` int64[N]: the group of a picture.

    `grouped` is false where every picture is its own group.
    """

    owners: NDArray[np.int64]
    counts: NDArray[np.uint16]
    grouped: bool

    @classmethod
    def draw(cls, pictures: int, groups: Sequence[str] | None, *, repeats: int = REPEATS, seed: int = 0) -> Self:
        """Draw as many groups as there are, with replacement; the same for the same seed."""
        if groups is None:
            owners = np.arange(pictures)
        else:
            owners = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
        number = int(owners.max(initial=-1)) + 1
        return cls(owners, _draw(number, repeats, np.random.default_rng(seed)), number < pictures)

    @property
    def groups(self) -> int:
        return len(self.counts.T)

    @property
    def correction(self) -> float:
        """What makes the variance of resamples one of samples: G groups vary by a share of 1/G too little."""
        return self.groups / max(self.groups - 1, 1)

    def subset(self, rows: NDArray[np.int64]) -> "Resampling":
        """Return the same resamples, of these pictures alone: how many are drawn differs then, as in another sample."""
        there, owners = np.unique(self.owners[rows], return_inverse=True)
        return Resampling(owners.astype(np.int64), self.counts[:, there], self.grouped)

    def totals(self, values: Floats) -> Floats:
        """Return float64[B,M]: the sums of float64[N,M] over the pictures of each resample."""
        step = max(AT_ONCE // max(len(self.counts), values.shape[1]), 1)
        starts = range(0, len(values), step)
        result = np.zeros((len(self.counts), values.shape[1]))
        for rows in (slice(start, start + step) for start in starts):
            result += self.counts[:, self.owners[rows]].astype(np.float64) @ values[rows]
        return result

    def group_sums(self, values: Floats) -> Floats:
        """Return float64[G,M]: the sums of float64[N,M] over the pictures of each group."""
        sums = [np.bincount(self.owners, column, minlength=self.groups) for column in values.T]
        return np.stack(sums, axis=1)


def deviations(groups: Floats, *, grouped: bool) -> Floats:
    """Return how many standard errors an interval reaches: Student's t of the groups, normal for single pictures."""
    upper = (1 + CONFIDENCE) / 2
    if not grouped:
        return np.full(np.shape(groups), ndtri(upper))
    return np.asarray(stdtrit(np.maximum(groups - 1, 1), upper), np.float64)


def _draw(groups: int, repeats: int, generator: np.random.Generator) -> NDArray[np.uint16]:
    counts = np.empty((repeats, groups), np.uint16)
    for start in range(0, repeats, max(AT_ONCE // max(groups, 1), 1)):
        part = counts[start : start + max(AT_ONCE // max(groups, 1), 1)]
        drawn = generator.integers(0, groups, part.shape) + groups * np.arange(len(part))[:, None]
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    return counts
