"""Which precision, memory format and compilation train soonest: measured on this network, batch and machine.

No table could tell: on one CPU bfloat16 makes resnet18 1.7 times as fast and convnext_atto 16 times as slow.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from mlops_cls.config import RuntimeConfig
from mlops_cls.runtime import Runtime
from mlops_cls.tuning.workload import Workload

log = logging.getLogger(__name__)

WORTH_MEASURING = 60.0
"""Seconds: a run expected to be shorter takes the rule's runtime."""
WORTH_COMPILING = 1200.0
"""Seconds: compiling takes up to a minute here, and gains a tenth or two."""
LONGEST = 10.0
"""Seconds after which no further round of measurements begins."""
ROUNDS, STEPS, MOST_STEPS = 3, 2, 50
QUICK, LONG_ENOUGH = 0.5, 0.2
"""Seconds that a step may take, with fewer pictures if need be, so that every runtime gets its rounds; and seconds over
which fast steps are measured, so that the clock is no part of them."""
HOPELESS = 1.4
"""Times as slow as the best of the first round: not measured again."""
CLEARLY = 0.97
"""Share of the rule's time that another runtime must stay under to be taken instead; clocks here are noisy."""
TOLERANCE = 0.05
"""Largest mean difference of the losses of the first steps from those in fp32, as a share of these."""


@dataclass(slots=True)
class Trial:
    """What was measured of a runtime: seconds per picture, one for each round, and the losses of the first steps."""

    runtime: Runtime
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    problem: str | None = None

    @property
    def best(self) -> float:
        """Fewest seconds per picture, since other work can only slow a step down; infinite if it cannot be used."""
        return math.inf if self.problem or not self.seconds else min(self.seconds)

    def describe(self) -> dict[str, Any]:
        """Return plain values for the provenance."""
        rate = {"problem": self.problem} if self.problem else {"pictures_per_second": round(1 / self.best, 2)}
        return {"runtime": str(self.runtime), **rate}


def probe(
    workload: Workload, rule: Runtime, config: RuntimeConfig, *, expected: Callable[[float], float]
) -> tuple[Runtime, list[dict[str, Any]]]:
    """Return the fastest runtime that computes the losses of fp32, and what was measured; nothing if it cannot pay.

    Args:
        workload: the run's training step.
        rule: what is taken without measuring.
        config: what may be chosen; settings that are given are kept.
        expected: from the seconds that a picture takes to those of the run.
    """
    runtimes = rule.alternatives(config)
    may_compile = config.compile is None
    if len(runtimes) == 1 and not may_compile:
        return rule, []
    first = measured(Trial(runtimes[0]), workload)
    if expected(first.best) < WORTH_MEASURING:
        return rule, []
    workload.shorten(QUICK / first.best)
    steps = steps_of(first.best * workload.pictures)
    trials = [Trial(runtime) for runtime in runtimes]
    race(trials, workload, steps)
    winner = fastest(trials)
    if may_compile and expected(winner.best) > WORTH_COMPILING:
        compiled = warmed_up(Trial(replace(winner.runtime, compile=True)), workload)
        trials.append(compiled)
        race([winner, compiled], workload, steps)
        check(trials)
        winner = fastest([winner, compiled])
    taken = replace(winner.runtime, compile=True) if config.compile else winner.runtime
    return taken, [trial.describe() for trial in trials]


def steps_of(seconds: float) -> int:
    """Return how many steps of so many seconds are measured at once."""
    return max(STEPS, min(MOST_STEPS, int(LONG_ENOUGH / seconds)))


def race(trials: list[Trial], workload: Workload, steps: int = STEPS) -> None:
    """Measure in alternation, since clocks drift: every runtime, then those that can still win."""
    began = time.perf_counter()
    running = trials
    for _ in range(ROUNDS):
        for trial in running:
            measured(trial, workload, steps)
        check(trials)
        limit = HOPELESS * min(trial.best for trial in trials)
        running = [trial for trial in trials if trial.best <= limit]
        if len(running) < 2 or time.perf_counter() - began > LONGEST:
            break


def warmed_up(trial: Trial, workload: Workload) -> Trial:
    """Return the trial after steps that do not count; torch compiles in the first, and at times again in the second."""
    measured(trial, workload).seconds.clear()
    return trial


def measured(trial: Trial, workload: Workload, steps: int = STEPS) -> Trial:
    """Add one measurement to a trial; whatever a runtime raises speaks against it alone."""
    try:
        seconds, losses = workload.timed(trial.runtime, steps)
    except Exception as error:
        # torch.compile and odd precisions fail in many ways of their own; training without them goes on.
        trial.problem = (str(error) or type(error).__name__).splitlines()[0]
    else:
        # Many steps on one batch would lead apart what differs in the last digit alone.
        trial.losses = losses[: STEPS + 1]
        trial.seconds.append(seconds / workload.pictures)
    return trial


def check(trials: Iterable[Trial]) -> None:
    """Rule out runtimes whose losses are not those of fp32 (or of the first, where precision is not left open)."""
    usable = [trial for trial in trials if trial.losses]
    exact = [trial for trial in usable if trial.runtime.precision == "fp32"] or usable
    for trial in usable:
        off = difference(trial.losses, exact[0].losses)
        if not off <= TOLERANCE:
            trial.problem = f"losses differ by {off:.0%}"


def difference(losses: list[float], reference: list[float]) -> float:
    """Return the mean absolute difference as a share of the reference's mean."""
    apart = sum(abs(loss - other) for loss, other in zip(losses, reference, strict=True))
    return apart / max(sum(map(abs, reference)), 1e-12)


def fastest(trials: list[Trial]) -> Trial:
    """Return the fastest; the first, which is the rule's, unless another is clearly faster."""
    winner = min(trials, key=lambda trial: trial.best)
    return winner if winner.best < CLEARLY * trials[0].best else trials[0]


def say(measurements: list[dict[str, Any]], chosen: str) -> None:
    """Log the table of what trials described, the fastest first; nothing if nothing was measured."""
    if not measurements:
        return
    log.info("training speed measured on this machine, in pictures per second:")
    for entry in sorted(measurements, key=lambda entry: -entry.get("pictures_per_second", 0)):
        rate = entry.get("problem") or f"{entry['pictures_per_second']:10.1f}"
        log.info("  %-32s %s%s", entry["runtime"], rate, "   <- taken" if entry["runtime"] == chosen else "")
