"""95 % intervals from resamples, by the kind of score; `docs/evaluation.md` has their coverage in simulations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from mlops_cls.evaluation.resampling import CONFIDENCE, Resampling
from mlops_cls.models.rates import Floats

TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
FARTHEST = 5.0
"""Standard errors that a studentised interval reaches at most: where two or three pictures make all of the loss, many
resamples have none of them and hardly any spread."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score of the pictures there are, and the 95 % interval of what it would be on all pictures of their kind.

    NaN where there is nothing to tell it from; None then in `to_dict`.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        return {"value": plain(self.value), "low": plain(self.low), "high": plain(self.high)}


def plain(value: Any) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None


def share_interval(
    value: Floats, variance: Floats, *, most: Floats, groups: Floats, reach: Floats
) -> tuple[Floats, Floats]:
    """Return the ends of score intervals for shares (0 to 1) with a bootstrap variance.

    Wilson 1927 (doi:10.1080/01621459.1927.10502953) with the effective number of pictures ``value (1 - value) /
    variance`` in place of their number, as surveys do for clustered samples: Korn and Graubard 1998; Dean and Pagano
    2015 (doi:10.1093/jssam/smv024). Near 0 and 1 resamples hardly differ and their quantiles would promise too much.

    Args:
        value: the shares, of any shape; NaN gives NaN.
        variance: their bootstrap variance.
        most: the most pictures that the effective number may be.
        groups: taken as effective number where the variance is 0, for all resamples agree.
        reach: how many standard errors the interval reaches, see `deviations`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        number = np.where(variance > 0, np.minimum(value * (1 - value) / variance, most), groups)
        weight = reach**2 / number
        middle = (value + weight / 2) / (1 + weight)
        half = np.sqrt(value * (1 - value) * weight + weight**2 / 4) / (1 + weight)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def mean_interval(values: Floats, resampling: Resampling) -> Estimate:
    """Return the mean of losses float64[N], at least 0, with its studentised bootstrap interval.

    Losses are skewed: few pictures make most of them. The studentised bootstrap allows for it, plain quantiles cover
    too little: Hall 1992, The Bootstrap and Edgeworth Expansion; Davison and Hinkley 1997, 5.2.1.
    """
    mean = float(values.mean())
    if resampling.groups < 2:
        return Estimate(mean, np.nan, np.nan)
    sums, sizes = resampling.group_sums(np.stack([values, np.ones_like(values)], axis=1)).T
    products = np.stack([sums, sizes, sums**2, sums * sizes, sizes**2], axis=1)
    counts = resampling.counts.astype(np.float64)
    means, errors = _mean_and_error(counts @ products)
    centre, error = _mean_and_error(products.sum(0))
    known = errors > 0
    if not known.any():
        return Estimate(mean, mean, mean)
    low, high = np.quantile((means[known] - centre) / errors[known], TAILS).clip(-FARTHEST, FARTHEST)
    return Estimate(mean, float(max(mean - high * error, 0)), float(mean - low * error))


def gap_interval(value: float, resampled: Floats, by_chance: Floats) -> Estimate:
    """Return a sum of absolute gaps, which is too large by chance and the more so in resamples, with its interval.

    The lower end takes that off: twice the score less the upper quantile of the resamples (the basic bootstrap, Davison
    and Hinkley 1997, 5.2); it is 0 if gaps that are chance alone, `by_chance`, come near the score. The upper end needs
    to reach up less than other intervals do, for the score is too large already.

    Args:
        value: the score.
        resampled: float64[B], the score of the resamples.
        by_chance: float64[B], the score of the resamples less the gaps that the pictures have.
    """
    upper = float(np.quantile(resampled, TAILS[1]))
    significant = value > np.quantile(by_chance, TAILS[1])
    low = max(2 * value - upper, 0.0) if significant else 0.0
    return Estimate(value, min(low, value), value + float(ndtri(CONFIDENCE) * resampled.std()))


def variance(resampled: Floats, resampling: Resampling) -> Floats:
    """Return the variance over the first axis of the resamples in which the score is known; 0 if there are none."""
    known = np.isfinite(resampled)
    number = np.maximum(known.sum(0), 1)
    mean = np.where(known, resampled, 0).sum(0) / number
    squares = np.where(known, resampled - mean, 0) ** 2
    return np.asarray(squares.sum(0) / number * resampling.correction)


def _mean_and_error(totals: Floats) -> tuple[Floats, Floats]:
    """Return the mean of pictures, a ratio of sums over groups, and its standard error by linearisation."""
    total, size, squares, products, sizes = np.moveaxis(totals, -1, 0)
    mean = total / size
    residuals = squares - 2 * mean * products + mean**2 * sizes
    # What is left of equal numbers after rounding is no spread.
    return mean, np.sqrt(np.where(residuals > 1e-12 * squares, residuals, 0)) / size
