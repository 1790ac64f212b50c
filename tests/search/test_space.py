"""W&B's distributions, against scipy's and against what W&B's own engine draws."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
from scipy import stats

from mlops_cls.errors import ConfigError
from mlops_cls.search.space import make_parameter

DRAWS = 400
BELL = {"mu": 1.0, "sigma": 0.5}
CONTINUOUS = {
    "uniform": ({"min": -1.0, "max": 3.0}, stats.uniform(-1, 4)),
    "log_uniform_values": ({"min": 1e-4, "max": 1e-1}, stats.loguniform(1e-4, 1e-1)),
    "log_uniform": ({"min": math.log(1e-4), "max": math.log(1e-1)}, stats.loguniform(1e-4, 1e-1)),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 1e-1}, stats.loguniform(1e-4, 1e-1)),
    "inv_log_uniform": ({"min": -math.log(1e-1), "max": -math.log(1e-4)}, stats.loguniform(1e-4, 1e-1)),
    "normal": (BELL, stats.norm(1.0, 0.5)),
    "log_normal": (BELL, stats.lognorm(s=0.5, scale=math.e)),
    "beta": ({"a": 2.0, "b": 5.0}, stats.beta(2, 5)),
}
ROUNDED = {
    "q_uniform": {"min": 10, "max": 50, "q": 10},
    "q_log_uniform_values": {"min": 16, "max": 256, "q": 16},
    "q_log_uniform": {"min": math.log(16), "max": math.log(256), "q": 16},
    "q_normal": {"mu": 0.5, "sigma": 0.1, "q": 0.05},
    "q_log_normal": {"mu": 0.0, "sigma": 1.0, "q": 0.25},
    "q_beta": {"a": 2.0, "b": 5.0, "q": 0.1},
}


def draw(given: dict[str, Any], number: int = DRAWS) -> list[Any]:
    parameter = make_parameter("key", given)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [parameter.settle(study.ask({"key": parameter.distribution}).params["key"]) for _ in range(number)]


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_distribution_draws_other_numbers_than_its_name_says(name: str) -> None:
    numbers, reference = CONTINUOUS[name]
    drawn = draw({"distribution": name, **numbers})
    assert stats.kstest(drawn, reference.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", ROUNDED)
def test_a_rounded_distribution_draws_what_is_no_multiple(name: str) -> None:
    drawn = draw({"distribution": name, **ROUNDED[name]}, 60)
    q = ROUNDED[name]["q"]
    assert np.allclose(np.array(drawn) / q, np.round(np.array(drawn) / q), atol=1e-9)
    assert len(set(drawn)) > 3
    # A setting of whole numbers takes no 32.0, and a person no 0.30000000000000004.
    assert all(isinstance(value, int) for value in drawn) == isinstance(q, int)
    assert all(len(str(value)) < 8 for value in drawn)


def test_values_without_a_distribution_are_taken_otherwise_than_by_wandb() -> None:
    assert set(draw({"min": 1, "max": 3}, 60)) == {1, 2, 3}
    assert all(isinstance(value, float) for value in draw({"min": 1.0, "max": 3}, 5))
    assert set(draw({"values": ["a", None, True, 2, [1, 2]]}, 80).__repr__()) >= set("aNoneTrue2[1, 2]")
    assert set(draw({"value": 7}, 3)) == {7}


def test_choices_come_as_often_as_their_probabilities_say() -> None:
    drawn = draw({"values": ["a", "b", "c"], "probabilities": [0.1, 0.2, 0.7]})
    counts = [drawn.count(name) for name in "abc"]
    assert stats.chisquare(counts, [DRAWS * 0.1, DRAWS * 0.2, DRAWS * 0.7]).pvalue > 0.01


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distribution": "loguniform", "min": 1, "max": 2}, "did you mean 'log_uniform'"),
        ({"distribution": "uniform", "min": 1}, "needs max"),
        ({"distribution": "uniform", "min": 2, "max": 1}, "min=2 must be below max=1"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "above 0"),
        ({"distribution": "uniform", "min": "1e-4", "max": 1}, "write a point: 1.0e-04"),
        ({"distribution": "uniform", "min": "low", "max": 1}, "no number"),
        ({"distribution": "normal", "sigma": 0}, "above 0"),
        ({"distribution": "uniform", "min": 1, "max": 2, "q": 1}, "q would not be used"),
        ({"values": [1, 2], "probabilities": [0.5, 0.4]}, "add up to 1"),
        ({"values": []}, "at least one"),
        ({"values": "adam"}, "must be a list"),
        ({"low": 1}, "give value, values, or min and max"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "whole numbers"),
    ],
)
def test_an_impossible_range_is_refused_with_its_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        make_parameter("optim.lr", given)
    assert str(refused.value).startswith("optim.lr: ")
