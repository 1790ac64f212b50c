"""Each test against scipy's, against a plain one by hand, and against what chance does."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import gammaincc, kolmogorov
from scipy.stats import chi2_contingency, ks_2samp, permutation_test

from mlops_cls.monitoring import comparing
from mlops_cls.monitoring.comparing import compare_classes, compare_embeddings, compare_numbers, holm, probability
from mlops_cls.monitoring.statistics import Numbers
from mlops_cls.monitoring.tails import gamma_tail, kolmogorov_tail


def normal(*shape: int, seed: int = 0, shift: float = 0.0) -> Numbers:
    return np.random.default_rng(seed).normal(shift, 1, shape).astype(np.float32)


def plain_mmd(x: Numbers, y: Numbers) -> float:
    """Return Gretton et al. 2012, equation 3, term by term."""
    z = np.concatenate([x, y]).astype(float)
    distances = cdist(z, z)
    width = np.median(distances[np.triu_indices(len(z), 1)])
    kernel = np.exp(-(distances**2) / width**2)
    n, m = len(x), len(y)
    within = sum(kernel[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    others = sum(kernel[i, j] for i in range(n, n + m) for j in range(n, n + m) if i != j) / (m * (m - 1))
    return float(within + others - 2 * kernel[:n, n:].mean())


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
def test_numbers_are_compared_otherwise_than_by_scipys_exact_test(shift: float) -> None:
    known, now = normal(300), normal(120, seed=1, shift=shift)
    found, most = compare_numbers(known, now)
    exact = ks_2samp(known, now, method="exact")
    assert found.statistic == found.effect == pytest.approx(exact.statistic)
    assert np.log10(found.p) == pytest.approx(np.log10(exact.pvalue), rel=0.02, abs=0.01)
    assert abs((known <= most).mean() - (now <= most).mean()) == pytest.approx(exact.statistic)


def test_ties_make_a_false_alarm_likelier() -> None:
    generator = np.random.default_rng(0)
    draws = [generator.choice([28.0, 32.0, 64.0], (2, 200)).astype(np.float32) for _ in range(200)]
    assert np.mean([compare_numbers(*pair)[0].p < 0.05 for pair in draws]) <= 0.05
    assert compare_numbers(draws[0][0] * 0 + 28, draws[0][1] * 0 + 28)[0] == (0, 1, 0)
    assert compare_numbers(draws[0][0] * 0 + 28, draws[0][1] * 0 + 32)[0].p < 1e-50


@pytest.mark.parametrize("now", [[30, 30, 40], [50, 25, 25], [20, 20, 60]])
def test_classes_are_compared_otherwise_than_by_scipys_chi_square(now: list[int]) -> None:
    known = np.array([300, 300, 400])
    found = compare_classes(known, np.array(now), np.random.default_rng(0))
    expected = chi2_contingency([known, now], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=0.4, abs=0.02)


def test_rare_classes_give_false_alarms_or_hide_a_change() -> None:
    generator = np.random.default_rng(0)
    shares = np.r_[[0.5], np.full(200, 0.5 / 200)]
    known = generator.multinomial(300, shares)
    same = [compare_classes(known, generator.multinomial(80, shares), generator) for _ in range(40)]
    assert np.mean([found.p <= 0.05 for found in same]) <= 0.12
    assert np.median([found.effect for found in same]) < 0.02  # though a third of the answers are other classes
    moved = np.r_[[0.2, 0.3], np.full(199, 0.5 / 199)]
    found = compare_classes(known, generator.multinomial(80, moved), generator)
    assert found.p < 1e-6
    assert found.effect > 0.15


def test_a_class_that_never_was_the_answer_goes_unnoticed() -> None:
    found = compare_classes(np.array([100, 0, 0]), np.array([60, 40, 0]), np.random.default_rng(0))
    assert found.p < 1e-6
    assert found.effect == pytest.approx(0.4, abs=0.03)
    assert compare_classes(np.array([100, 0]), np.array([60, 0]), np.random.default_rng(0)) == (0, 1, 0)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_embeddings_are_compared_otherwise_than_by_a_plain_kernel_test(shift: float) -> None:
    known, now = normal(40, 5), normal(30, 5, seed=1, shift=shift)
    found = compare_embeddings(known, now, np.random.default_rng(0))
    assert found.statistic == pytest.approx(plain_mmd(known, now), abs=1e-6)
    rows = np.arange(70)
    both = np.concatenate([known, now])

    def statistic(first: np.ndarray, second: np.ndarray) -> float:
        return compare_embeddings(both[first.astype(int)], both[second.astype(int)], np.random.default_rng(0)).statistic

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "DRAWS", 12)
        expected = permutation_test(
            (rows[:40], rows[40:]), statistic, n_resamples=300, alternative="greater", rng=np.random.default_rng(0)
        )
    assert found.p == pytest.approx(expected.pvalue, rel=0.4, abs=0.03)


def test_embeddings_give_false_alarms_or_a_small_shift_goes_unnoticed() -> None:
    def p(seed: int, shift: float) -> float:
        now = normal(200, 17, seed=1000 + seed)
        now[:, 0] += shift
        return compare_embeddings(normal(300, 17, seed=seed), now, np.random.default_rng(seed)).p

    same = [p(seed, 0.0) for seed in range(60)]
    assert np.mean(np.array(same) <= 0.05) <= 0.12  # 5 % expected
    assert all(p(seed, 1.0) < 0.001 for seed in range(5))


def test_a_tail_is_guessed_where_it_can_be_counted() -> None:
    # The tail of 1000 draws against the same counted among a million, at one in 100, 1,000 and 10,000.
    generator = np.random.default_rng(0)
    weights = np.geomspace(1, 0.05, 12)  # a sum of squares, as the statistic of the kernel test is
    draws = (generator.normal(size=(1_000_000, 12)) ** 2) @ weights
    skewness = np.sqrt(8) * (weights**3).sum() / (weights**2).sum() ** 1.5
    for wanted in (1e-2, 1e-3, 1e-4):
        statistic = float(np.quantile(draws, 1 - wanted))
        found = [probability(statistic, draws[1000 * i : 1000 * i + 1000], skewness=skewness) for i in range(20)]
        assert np.exp(np.mean(np.log(found))) == pytest.approx(wanted, rel=0.35)
    assert probability(1e6, draws[:1000], skewness=skewness) < 1e-300
    assert probability(0.0, np.zeros(99), skewness=1.0) == 1.0


def test_tails_are_not_scipys() -> None:
    for x in np.r_[np.linspace(-1, 5, 301), 20]:
        assert kolmogorov_tail(float(x)) == pytest.approx(kolmogorov(max(x, 0)), rel=1e-12)
    for shape in np.geomspace(0.01, 40_000, 30):
        for deviations in (-50, -2, -0.1, 0, 0.1, 2, 10, 100):
            x = float(shape + deviations * np.sqrt(shape))
            assert gamma_tail(float(shape), x) == pytest.approx(gammaincc(shape, max(x, 0)), rel=1e-9, abs=1e-290)


def test_holm_is_not_what_it_is_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_a_large_sample_takes_long_or_is_compared_otherwise_each_time() -> None:
    known, now = normal(5000, 17), normal(100_000, 17, seed=1, shift=0.2)
    found = [compare_embeddings(known, now, np.random.default_rng(3)) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].p < 1e-6
