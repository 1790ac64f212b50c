"""What a sweep varies: W&B's distributions, as ranges that Optuna searches."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import beta

from mlops_cls.errors import ConfigError, unknown_name

# The ends of a quantile: those of a normal distribution lie at infinity.
LEAST = 1e-6


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting and the values it may take.

    `settle` turns what Optuna proposes within `distribution` into the setting's value; `probes` are values that show
    whether the setting can take them, and `points` all values, where there are finitely many.
    """

    distribution: BaseDistribution
    probes: tuple[Any, ...]
    points: tuple[Any, ...] | None = None
    settle: Callable[[Any], Any] = field(default=_as_it_is)


def make_parameter(name: str, given: Mapping[str, Any]) -> Parameter:
    """Return the parameter that W&B's description means.

    Raises:
        ConfigError: no such distribution, or its numbers are missing or impossible.
    """
    kind = str(given["distribution"]) if "distribution" in given else _usual(name, given)
    if kind not in _KINDS:
        raise unknown_name(f"{name}: distribution", kind, _KINDS)
    needed, optional, make = _KINDS[kind]
    if missing := [key for key in needed if key not in given]:
        raise ConfigError(f"{name}: distribution {kind} needs {' and '.join(missing)}")
    unused = [key for key in given if key not in {"distribution", *needed, *optional}]
    if unused:
        raise ConfigError(f"{name}: {unused[0]} would not be used: distribution {kind} has {', '.join(needed)}")
    numbers = {key: _number(name, key, given[key]) for key in given if key in _NUMBERS}
    rest = {key: value for key, value in given.items() if key != "distribution"}
    try:
        return make(**{**optional, **rest, **numbers})
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _usual(name: str, given: Mapping[str, Any]) -> str:
    """Return the distribution that W&B takes when none is named."""
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if {"min", "max"} <= set(given):
        whole = isinstance(given["min"], int) and isinstance(given["max"], int)
        return "int_uniform" if whole else "uniform"
    raise ConfigError(f"{name}: give value, values, or min and max (and a distribution), not {dict(given)}")


def _number(name: str, key: str, value: object) -> float:
    if isinstance(value, str) and value.lower().replace("e", "", 1).replace("-", "").replace(".", "").isdigit():
        raise ConfigError(f"{name}: {key}: {value} is a text in YAML; write a point: {float(value):.1e}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name}: {key}={value!r} is no number")
    return value


def _constant(value: Any) -> Parameter:
    return _categorical([value])


def _categorical(values: Sequence[Any]) -> Parameter:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"values={values!r} must be a list with at least one value")
    # Optuna keeps plain values; whatever else stands for itself as the text that will be on the command line.
    meant = {value if isinstance(value, str | int | float | None) else str(value): value for value in values}
    return Parameter(CategoricalDistribution(tuple(meant)), tuple(values), tuple(values), meant.__getitem__)


def _weighted(values: Sequence[Any], probabilities: Sequence[float]) -> Parameter:
    if len(values) != len(probabilities) or abs(sum(probabilities) - 1) > 1e-6 or min(probabilities) < 0:
        raise ConfigError(f"probabilities={probabilities} must be as many as values, not negative, and add up to 1")

    def settle(quantile: float) -> Any:
        reached = 0.0
        for value, probability in zip(values, probabilities, strict=True):
            reached += probability
            if quantile < reached:
                return value
        return values[-1]

    return Parameter(FloatDistribution(0, 1), tuple(values), None, settle)


def _int_uniform(min: int, max: int) -> Parameter:
    _ordered(min, max)
    if min != int(min) or max != int(max):
        raise ConfigError(f"min={min} and max={max} must be whole numbers")
    return Parameter(IntDistribution(int(min), int(max)), (int(min), int(max)), tuple(range(int(min), int(max) + 1)))


def _uniform(min: float, max: float) -> Parameter:
    _ordered(min, max)
    return Parameter(FloatDistribution(min, max), (min, min + 0.37 * (max - min), max))


def _q_uniform(min: float, max: float, q: float) -> Parameter:
    _ordered(min, max)
    low, high = round(min / _positive(q)), round(max / q)
    points = tuple(_multiple(number, q) for number in range(low, high + 1))
    return Parameter(IntDistribution(low, high), (points[0], points[-1]), points, lambda number: _multiple(number, q))


def _log_uniform_values(min: float, max: float) -> Parameter:
    _ordered(min, max)
    if min <= 0:
        raise ConfigError(f"min={min} must be above 0 where the logarithm is uniform")
    return Parameter(FloatDistribution(min, max, log=True), (min, min**0.63 * max**0.37, max))


def _log_uniform(min: float, max: float) -> Parameter:
    return _log_uniform_values(math.exp(min), math.exp(max))


def _inv_log_uniform(min: float, max: float) -> Parameter:
    # log(1/x) is uniform, so log(x) is too.
    return _log_uniform_values(math.exp(-max), math.exp(-min))


def _q_log_uniform_values(min: float, max: float, q: float) -> Parameter:
    return _rounded(_log_uniform_values(min, max), q)


def _q_log_uniform(min: float, max: float, q: float) -> Parameter:
    return _rounded(_log_uniform(min, max), q)


def _normal(mu: float, sigma: float) -> Parameter:
    return _by_quantile(NormalDist(mu, _positive(sigma)).inv_cdf)


def _log_normal(mu: float, sigma: float) -> Parameter:
    inverse = NormalDist(mu, _positive(sigma)).inv_cdf
    return _by_quantile(lambda quantile: math.exp(inverse(quantile)))


def _q_normal(mu: float, sigma: float, q: float) -> Parameter:
    return _rounded(_normal(mu, sigma), q)


def _q_log_normal(mu: float, sigma: float, q: float) -> Parameter:
    return _rounded(_log_normal(mu, sigma), q)


def _beta(a: float, b: float) -> Parameter:
    shape = beta(_positive(a), _positive(b))
    return _by_quantile(lambda quantile: float(shape.ppf(quantile)))


def _q_beta(a: float, b: float, q: float) -> Parameter:
    return _rounded(_beta(a, b), q)


def _by_quantile(inverse: Callable[[float], float]) -> Parameter:
    """Search the share of values below: whatever is uniform in it has the distribution that `inverse` belongs to."""
    probes = tuple(inverse(quantile) for quantile in (0.05, 0.37, 0.95))
    return Parameter(FloatDistribution(LEAST, 1 - LEAST), probes, None, inverse)


def _rounded(exact: Parameter, q: float) -> Parameter:
    def settle(value: Any) -> float:
        return _multiple(round(exact.settle(value) / q), q)

    _positive(q)
    probes = tuple(dict.fromkeys(_multiple(round(value / q), q) for value in exact.probes))
    return Parameter(exact.distribution, probes, None, settle)


def _multiple(number: int, q: float) -> float:
    # A whole q keeps settings whole; a broken one leaves no 0.30000000000000004.
    return number * q if isinstance(q, int) else round(number * q, 12)


def _ordered(low: float, high: float) -> None:
    if not low < high:
        raise ConfigError(f"min={low} must be below max={high}")


def _positive(value: float) -> float:
    if not value > 0:
        raise ConfigError(f"q, sigma, a and b must be above 0, not {value}")
    return value


_NUMBERS = ("min", "max", "q", "mu", "sigma", "a", "b")
_RANGE, _BELL = ("min", "max"), {"mu": 0.0, "sigma": 1.0}
# Name: what must be given, what may be given with its default, and the maker.
# https://docs.wandb.ai/models/sweeps/sweep-config-keys#distribution-options-for-random-and-bayesian-search
_KINDS: Mapping[str, tuple[Sequence[str], Mapping[str, Any], Callable[..., Parameter]]] = {
    "constant": (("value",), {}, _constant),
    "categorical": (("values",), {}, _categorical),
    "categorical_w_probabilities": (("values", "probabilities"), {}, _weighted),
    "int_uniform": (_RANGE, {}, _int_uniform),
    "uniform": (_RANGE, {}, _uniform),
    "q_uniform": (_RANGE, {"q": 1}, _q_uniform),
    "log_uniform": (_RANGE, {}, _log_uniform),
    "log_uniform_values": (_RANGE, {}, _log_uniform_values),
    "q_log_uniform": (_RANGE, {"q": 1}, _q_log_uniform),
    "q_log_uniform_values": (_RANGE, {"q": 1}, _q_log_uniform_values),
    "inv_log_uniform": (_RANGE, {}, _inv_log_uniform),
    "inv_log_uniform_values": (_RANGE, {}, _log_uniform_values),
    "normal": ((), _BELL, _normal),
    "q_normal": ((), {**_BELL, "q": 1}, _q_normal),
    "log_normal": ((), _BELL, _log_normal),
    "q_log_normal": ((), {**_BELL, "q": 1}, _q_log_normal),
    "beta": (("a", "b"), {}, _beta),
    "q_beta": (("a", "b"), {"q": 1}, _q_beta),
}
