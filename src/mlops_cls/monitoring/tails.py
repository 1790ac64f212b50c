"""How probable more than a value is, of two distributions: SciPy would be a third of all that a service needs."""

from math import exp, lgamma, log, pi, sqrt

ENOUGH = 1e-14
"""Of the result: a term that changes less is the last."""


def kolmogorov_tail(x: float) -> float:
    """Return P(K > x) of the limit of the Kolmogorov-Smirnov statistic.

    Two series for the same, each where it converges within a few terms (Marsaglia, Tsang and Wang 2003, J. Stat.
    Softw. 8, 18).
    """
    if x <= 0:
        return 1.0
    if x < 1:
        terms = (exp(-((2 * k - 1) ** 2) * pi**2 / (8 * x**2)) for k in range(1, 5))
        return 1 - sqrt(2 * pi) / x * sum(terms)
    return 2 * sum((-1.0) ** (k - 1) * exp(-2 * k**2 * x**2) for k in range(1, 6))


def gamma_tail(shape: float, x: float) -> float:
    """Return P(G > x) of a gamma distribution of scale 1: the regularised upper incomplete gamma function.

    A series below the mean, a continued fraction beyond it, by Lentz's method, which keeps the digits of small tails
    (Press et al., Numerical Recipes, 3rd edition, section 6.2).
    """
    if x <= 0:
        return 1.0
    front = exp(shape * log(x) - x - lgamma(shape))
    return 1 - front * _series(shape, x) if x < shape + 1 else front * _fraction(shape, x)


def _series(shape: float, x: float) -> float:
    term = total = 1 / shape
    n = shape
    while term > total * ENOUGH:
        n += 1
        term *= x / n
        total += term
    return total


def _fraction(shape: float, x: float) -> float:
    b = x + 1 - shape
    c, d, step, k = 1e300, 1 / b, 0.0, 0
    value = d
    while abs(step - 1) > ENOUGH:
        k += 1
        a = -k * (k - shape)
        b += 2
        d = 1 / (a * d + b)
        c = b + a / c
        step = c * d
        value *= step
    return value
