"""Time several sides within one run: in turn, round by round, since a shared machine is slow now and then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
from tqdm import tqdm

from mlops_cls.benchmarking.sides import Side
from mlops_cls.pictures import Pixels

WARM_UP = 2
Rounds = list[dict[str, list[float]]]
"""Seconds of each call, by round and side."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Of batches of one size: milliseconds of a call, pictures per second, and times as fast as another side."""

    p50: float
    p95: float
    pictures_per_second: float
    times_as_fast: float


def time_in_turn(sides: Sequence[Side], images: Pixels, *, rounds: int, calls: int) -> Rounds:
    """Call each side on the batch so many times a round, after calls that are not timed: others were there before."""
    shown = tqdm(range(rounds), desc=f"batch {len(images)}", unit=" rounds", disable=None)
    return [{side.name: _time(side.forward, images, calls) for side in sides} for _ in shown]


def summarise(rounds: Rounds, name: str, *, batch: int, against: str) -> Speed:
    """Return the speed of a side; against another it is the median of the rounds' ratios, not a ratio of medians."""
    taken = np.concatenate([each[name] for each in rounds])
    ratios = [median(each[against]) / median(each[name]) for each in rounds]
    p50, p95 = np.quantile(taken, (0.5, 0.95))
    return Speed(float(1e3 * p50), float(1e3 * p95), float(batch / p50), float(median(ratios)))


def _time(forward: Callable[[Pixels], object], images: Pixels, calls: int) -> list[float]:
    for _ in range(WARM_UP):
        forward(images)
    taken = []
    for _ in range(calls):
        start = perf_counter()
        forward(images)
        taken.append(perf_counter() - start)
    return taken
