"""The promise of the intervals and of the paired test, kept in simulated draws whose truth is known.

Thousands of draws share their resamples, so that a simulation takes a second; `docs/evaluation.md` has larger ones.
"""

import numpy as np
import pytest

from mlops_cls.evaluation.intervals import mean_interval, share_interval, variance
from mlops_cls.evaluation.resampling import Resampling, deviations
from mlops_cls.models.rates import Floats

DRAWS = 2000


def covered(hits: Floats, sizes: Floats, truth: float, *, grouped: bool) -> float:
    """Return the share of draws whose interval holds the truth; `hits` float64[G,D] per group and draw."""
    number = len(sizes)
    resampling = Resampling.draw(number, None, repeats=400)
    resampled = resampling.totals(hits) / resampling.totals(sizes[:, None])
    low, high = share_interval(
        hits.sum(0) / sizes.sum(),
        variance(resampled, resampling),
        most=sizes.sum(),
        groups=np.array(float(number)),
        reach=deviations(np.array(float(number)), grouped=grouped),
    )
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize(("pictures", "truth"), [(100, 0.7), (100, 0.9), (400, 0.6), (400, 0.95), (1500, 0.98)])
def test_interval_of_accuracy_covers_the_truth_in_95_percent_of_draws(pictures: int, truth: float) -> None:
    right = np.random.default_rng(0).random((pictures, DRAWS)) < truth
    assert 0.93 <= covered(right.astype(float), np.ones(pictures), truth, grouped=False) <= 0.97


# Lesions with one to four pictures, mostly alike; strips of the seabed with dozens of tiles, somewhat alike.
GROUPS = {"lesions": (400, 1, 5, 0.6), "strips": (40, 20, 60, 0.08), "few strips": (15, 20, 60, 0.08)}


def in_groups(generator: np.random.Generator, kind: str, truth: float) -> tuple[Floats, Floats]:
    """Return how many pictures are right per group and draw, beta-binomial, and how many there are."""
    number, least, most, alike = GROUPS[kind]
    sizes = generator.integers(least, most, number)
    scale = (1 - alike) / alike
    chance = generator.beta(truth * scale, (1 - truth) * scale, (number, DRAWS))
    return generator.binomial(sizes[:, None], chance).astype(float), sizes.astype(float)


@pytest.mark.parametrize("truth", [0.7, 0.85])
@pytest.mark.parametrize("kind", GROUPS)
def test_interval_of_grouped_accuracy_covers_the_truth_in_95_percent_of_draws(kind: str, truth: float) -> None:
    hits, sizes = in_groups(np.random.default_rng(0), kind, truth)
    assert 0.93 <= covered(hits, sizes, truth, grouped=True) <= 0.97


def test_interval_that_does_not_know_of_the_groups_covers_too_little() -> None:
    hits, sizes = in_groups(np.random.default_rng(0), "strips", 0.8)
    accuracy, pictures = hits.sum(0) / sizes.sum(), sizes.sum()
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / pictures)
    assert (np.abs(accuracy - 0.8) <= half).mean() < 0.8


def test_interval_of_log_loss_covers_the_truth_in_95_percent_of_draws_although_losses_are_skewed() -> None:
    generator = np.random.default_rng(0)
    truth = np.logaddexp(0, -generator.normal(3, 2.5, 2_000_000)).mean()
    resampling = Resampling.draw(200, None, repeats=400)
    draws = [mean_interval(np.logaddexp(0, -generator.normal(3, 2.5, 200)), resampling) for _ in range(600)]
    assert 0.93 <= np.mean([e.low <= truth <= e.high for e in draws]) <= 0.97
