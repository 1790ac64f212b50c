"""Two samples, one question each: could chance alone make them differ so much, and by how much do they differ?

Every comparison has a p value and an effect. With many pictures the smallest change is no chance any more, and not
worth a person's night; with few a large difference may be one. A change is both.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlops_cls.monitoring.statistics import Numbers
from mlops_cls.monitoring.tails import gamma_tail, kolmogorov_tail

DRAWS = 1000
"""Relabelings of the pictures, of which each p value counts those that differ as much."""
COUNTED = 10
"""With fewer of them than this at least as different, the tail is computed: counting would take millions."""
MOST_COMPARED = 500
"""Embeddings of each side that go into a test: 0.1 s, and 0.3 standard deviations in one direction are found."""
Counts = NDArray[np.int64]
Draws = NDArray[np.floating[Any]]


class Found(NamedTuple):
    """What a test found: its statistic, its p value, and how large the difference is, 0 (none) to 1."""

    statistic: float
    p: float
    effect: float


def compare_numbers(reference: Numbers, now: Numbers) -> tuple[Found, float]:
    """Return the two-sample Kolmogorov-Smirnov test, and the value at which the two differ most.

    Its effect is the statistic itself: of some value, so large a share more of one sample lies below it than of the
    other. Ties, such as those of pictures that all have the same size, make the p value larger, never smaller. That is
    the limit's, with the correction of Stephens 1970 (J. R. Stat. Soc. B 32, 115-122) for few pictures.
    """
    places = np.concatenate([reference, now])
    below, below_now = (np.searchsorted(np.sort(each), places, side="right") / len(each) for each in (reference, now))
    distances = np.abs(below - below_now)
    most = int(distances.argmax())
    distance, root = float(distances[most]), float(np.sqrt(len(reference) * len(now) / len(places)))
    p = kolmogorov_tail((root + 0.12 + 0.11 / root) * distance)
    return Found(distance, p, distance), float(places[most])


def compare_classes(reference: Counts, now: Counts, generator: np.random.Generator) -> Found:
    """Return Pearson's chi-square test of two rows of counts int64[K] (their sums fixed), right for rare classes too.

    Given the sums, one row of a table is hypergeometric where nothing has changed, so it is drawn (Patefield 1981, AS
    159). The effect is the share of answers that went to other classes, half the sum of the absolute differences, with
    what chance moves taken off its square: with many classes and few pictures that is a lot.
    """
    totals = reference + now
    present = totals > 0
    if present.sum() < 2:
        return Found(0.0, 1.0, 0.0)
    totals, sizes = totals[present], (int(reference.sum()), int(now.sum()))
    rows = np.concatenate([now[None, present], generator.multivariate_hypergeometric(totals, sizes[1], DRAWS)])
    expected = totals * (sizes[1] / totals.sum())
    # Both rows miss their expected counts by the same number.
    statistics = ((rows - expected) ** 2 / expected).sum(1) * (1 + sizes[1] / sizes[0])
    moved = np.abs(rows / sizes[1] - (totals - rows) / sizes[0]).sum(1) / 2
    skewness = np.sqrt(8 / (len(totals) - 1))  # of chi-square
    p = probability(float(statistics[0]), statistics[1:], skewness=max(skewness, _skewness(statistics[1:])))
    beyond_chance = max(0.0, float(moved[0] ** 2 - (moved[1:] ** 2).mean()))
    return Found(float(statistics[0]), p, float(np.sqrt(beyond_chance)))


def compare_embeddings(reference: Numbers, now: Numbers, generator: np.random.Generator) -> Found:
    """Return the kernel two-sample test of float32[V,D] and float32[N,D]: maximum mean discrepancy, unbiased.

    Gretton et al., "A kernel two-sample test", JMLR 13 (2012), eq. 3, by relabeling, with a Gaussian kernel whose width
    is the median distance. Of longer samples `MOST_COMPARED` rows are drawn. The effect is the discrepancy as a share
    of what the two samples are like within themselves: 0 if they are alike, 1 if they have nothing in common.
    """
    reference, now = _drawn(reference, generator), _drawn(now, generator)
    kernel = _kernel(np.concatenate([reference, now]))
    first = np.zeros((len(kernel), DRAWS + 1), np.float32)
    first[: len(reference), 0] = 1
    for column in first.T[1:]:
        column[generator.permutation(len(kernel))[: len(reference)]] = 1
    within, within_other, between = _means(kernel, first)
    statistics = within + within_other - 2 * between
    p = probability(float(statistics[0]), statistics[1:], skewness=_kernel_skewness(kernel))
    alike = float(within[0] + within_other[0])
    return Found(float(statistics[0]), p, float(np.clip(statistics[0] / alike, 0, 1)) if alike > 0 else 0.0)


def probability(statistic: float, draws: Draws, *, skewness: float) -> float:
    """Return how probable a draw is at least as large as `statistic`.

    It is counted where `COUNTED` draws are: (1 + those) / (1 + all), Phipson and Smyth 2010 (arXiv:1603.05766). Beyond
    them it is the tail of a gamma distribution (Pearson's type III) with the draws' mean and deviation and the skewness
    given, as Josse, Pages and Husson 2008 (doi:10.1016/j.csda.2008.06.012) do for such statistics.
    """
    # Equal tables may differ in the last digit.
    hits = int((draws >= statistic - 1e-9 * abs(statistic)).sum())
    deviation = float(draws.std())
    if hits >= COUNTED or deviation == 0:
        return (1 + hits) / (1 + len(draws))
    shape = 4 / skewness**2
    standardised = (statistic - float(draws.mean())) / deviation
    return gamma_tail(shape, shape + standardised * sqrt(shape))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Return p values corrected for there being several, whatever hangs together: Holm 1979, Scand. J. Stat. 6."""
    order = np.argsort(probabilities, kind="stable")
    scaled = np.asarray(probabilities)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in corrected]


def _drawn(rows: Numbers, generator: np.random.Generator) -> Numbers:
    return rows if len(rows) <= MOST_COMPARED else rows[generator.permutation(len(rows))[:MOST_COMPARED]]


def _kernel(rows: Numbers) -> Numbers:
    """Return exp(-d²/m²) of the distances d between rows, m their median; 0 for a row and itself."""
    squares = np.square(rows).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0)
    width = float(np.median(distances[np.triu_indices(len(rows), 1)])) or 1.0
    kernel: Numbers = np.exp(-distances / width, dtype=np.float32)
    np.fill_diagonal(kernel, 0)
    return kernel


def _means(kernel: Numbers, first: Numbers) -> tuple[Draws, Draws, Draws]:
    """Return the mean kernel within those that are 1 in a column of `first`, within the others, and between both."""
    number = float(first[:, 0].sum())
    other = len(kernel) - number
    of_rows = kernel.sum(1, dtype=np.float64)
    within = (first * (kernel @ first)).sum(0, dtype=np.float64)
    touching = of_rows @ first
    between = touching - within
    beyond = of_rows.sum() - 2 * touching + within
    return within / (number * (number - 1)), beyond / (other * (other - 1)), between / (number * other)


def _kernel_skewness(kernel: Numbers) -> float:
    """Return the skewness of the test's distribution if nothing has changed.

    It is a sum of squares of normals weighted by the eigenvalues of the centred kernel (Gretton et al. 2012, theorem
    12), whose second and third powers sum to these traces. That of a thousand draws would be too uncertain.
    """
    centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    second = float(np.square(centred).sum(dtype=np.float64))
    third = float((centred * (centred @ centred)).sum(dtype=np.float64))
    return max(float(np.sqrt(8) * third / second**1.5), 0.01) if second else 0.01


def _skewness(draws: Draws) -> float:
    deviation = float(draws.std())
    return float(((draws - draws.mean()) ** 3).mean() / deviation**3) if deviation else 0.0
