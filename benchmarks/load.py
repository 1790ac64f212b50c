"""Load on a service that really classifies, with limits: the exit code is 1 where one is not kept.

    uv run --group load python benchmarks/load.py RUN/bundle                         # all but soak: about 15 minutes
    uv run --group load python benchmarks/load.py RUN/bundle --scenario saturation   # one alone

The service runs in a process of its own on the same machine, so that client and server share its cores; the table says
how many each kept busy. Pictures are the bundle's samples, enlarged to JPEGs of 600x450, or those of --pictures. Every
answer's label must be the predictor's own, so that nothing but answers is measured. Clients are `clients.py`, or
Locust's FastHttpUser where it says so. Scenarios:

    start       From the command to the first 200 of /ready, 5 times; half a minute. Median below 3 s.
    earlier     10 users of Locust, each waiting 1 to 4 s; 2 minutes. No failure, p95 below 100 ms.
    saturation  16 users who never wait; the plain design (torch in FastAPI, from a bundle with --weights) and ours with
                each back end in turn, 5 rounds of 8 s, all started before; about 7 minutes. At least 3 times plain.
    overload    Requests at twice the rate of saturation, whatever becomes of them; 2.5 minutes. Nothing but 200 and
                503 with Retry-After, p99 of the answered below 2 s, no growth of memory.
    term        SIGTERM amid requests, 5 times; 1 minute. All that were taken are answered, exit code 0.
    soak        16 users with good and bad pictures, some of whom leave; 10 minutes. No growth of memory.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pairs
from clients import Question, closed_loop, open_loop
from questions import odd, pictures_of, questions_of
from served import PLAIN, Served, serving
from taken import HEADS, Taken, merged, take, with_locust

from mlops_cls.backends.kinds import DEFAULT

SIDES = [f"{PLAIN}:1", f"{PLAIN}:2", "onnxruntime", "onnxruntime-int8", "openvino", "openvino-bf16", "auto"]
WARM_UP = 2.0
NOBODY = ConnectionRefusedError.__name__
READY, P95, TIMES, P99 = 3.0, 0.100, 3.0, 2.0
GROWTH = 10.0
"""MiB that memory may grow in the second half of a run."""


@dataclass
class Outcome:
    """Rows of the table, whether each limit was kept, what else to say, and everything that was measured."""

    rows: list[list[object]] = field(default_factory=list)
    limits: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, taken: "Taken") -> None:
        """Add a row."""
        self.rows.append([name, *taken.cells()])
        self.measured[name] = taken.told()


def start(options: argparse.Namespace) -> Outcome:
    """How long a new process takes; files have been read before, as those of an image are not."""
    outcome = Outcome()
    for side in options.sides or [DEFAULT]:
        taken = []
        for _ in range(options.rounds):
            with serving(side, options.model) as served:
                taken.append(served.seconds_to_ready)
        outcome.measured[side] = taken
        outcome.notes.append(f"{side}: ready after {median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f})")
        outcome.limits[f"{side}: ready within {READY:g} s"] = median(taken) < READY
    return outcome


def earlier(options: argparse.Namespace) -> Outcome:
    """Ten users who look at what they see."""
    outcome = Outcome()
    for side in options.sides or [DEFAULT, "auto"]:
        questions = questions_of(options.model, options.asked, side)
        with serving(side, options.model) as served:
            closed_loop(served.port, questions, users=2, seconds=WARM_UP)
            taken = with_locust(served, questions, users=10, wait="1 4", seconds=options.seconds or 120)
        outcome.add(f"earlier, {side}", taken)
        outcome.limits[f"{side}: no failure"] = not taken.failures
        outcome.limits[f"{side}: p95 below {1e3 * P95:.0f} ms"] = taken.quantile(0.95) < P95
    return outcome


def saturation(options: argparse.Namespace) -> Outcome:
    """Every side in turn, round by round, as fast as it can."""
    sides, outcome = options.sides or SIDES, Outcome()
    asked = {side: questions_of(options.model, options.asked, side) for side in sides}
    taken: dict[str, list[Taken]] = {side: [] for side in sides}
    with ExitStack() as stack:
        services = {side: stack.enter_context(serving(side, options.model)) for side in sides}

        def rate(side: str) -> float:
            ask = partial(closed_loop, questions=asked[side], users=options.users, seconds=WARM_UP)
            ask(services[side].port)
            seconds = options.seconds or 8
            ask = partial(closed_loop, questions=asked[side], users=options.users, seconds=seconds)
            taken[side].append(
                with_locust(services[side], asked[side], users=options.users, wait="0 0", seconds=seconds)
                if options.locust
                else take(services[side], ask, seconds)
            )
            return taken[side][-1].rate

        rounds = pairs.in_turn({side: partial(rate, side) for side in sides}, options.rounds)
    for side in sides:
        outcome.add(f"saturation, {side}", merged(taken[side]))
    _compare(outcome, rounds)
    return outcome


def _compare(outcome: Outcome, rounds: list[pairs.Round]) -> None:
    """Add how many times as fast as the plain design, with its better number of threads, each side of ours is."""
    rates = pairs.medians(rounds)
    plain = max((side for side in rates if side.startswith(PLAIN)), key=rates.__getitem__, default=None)
    outcome.measured["rounds"] = rounds
    if plain is None:
        return
    ratios = {side: median(each[side] / each[plain] for each in rounds) for side in rates if PLAIN not in side}
    outcome.measured["times_plain"] = {"plain": plain, **ratios}
    outcome.notes += [f"{side}: {ratio:.2f} times {plain}" for side, ratio in ratios.items()]
    if DEFAULT in ratios:
        outcome.limits[f"{DEFAULT}: at least {TIMES:g} times {plain}"] = ratios[DEFAULT] >= TIMES


def overload(options: argparse.Namespace) -> Outcome:
    """Twice as much as it can do."""
    outcome = Outcome()
    for side in options.sides or [DEFAULT]:
        questions = questions_of(options.model, options.asked, side)
        with serving(side, options.model) as served:
            closed_loop(served.port, questions, users=options.users, seconds=WARM_UP)
            most = take(served, partial(closed_loop, questions=questions, users=options.users, seconds=10), 10)
            seconds = options.seconds or 120
            ask = partial(open_loop, questions=questions, rate=2 * most.rate, seconds=seconds)
            taken = take(served, ask, seconds)
            alive = served.process.poll() is None
        outcome.add(f"saturation, {side}", most)
        outcome.add(f"overload, {side}", taken)
        silent = [each for each in taken.answered if each.status == 503 and not each.retry_after]
        outcome.limits[f"{side}: no crash"] = alive
        outcome.limits[f"{side}: nothing but 200 and 503"] = set(taken.statuses) <= {200, 503} and not taken.wrong
        outcome.limits[f"{side}: every 503 has Retry-After"] = not silent
        outcome.limits[f"{side}: p99 of the answered below {P99:g} s"] = taken.quantile(0.99) < P99
        outcome.limits[f"{side}: memory grew less than {GROWTH:g} MiB"] = taken.watched.growth < GROWTH
    return outcome


def term(options: argparse.Namespace) -> Outcome:
    """Told to stop amid requests."""
    outcome = Outcome()
    for side in options.sides or [DEFAULT]:
        questions = questions_of(options.model, options.asked, side)
        for number in range(options.rounds):
            with serving(side, options.model) as served:
                closed_loop(served.port, questions, users=options.users, seconds=1.0)
                taken, code = _terminated(served, questions)
            lost = [each for each in taken.answered if each.error and each.error != NOBODY]
            outcome.add(f"term {number + 1}, {side}", taken)
            outcome.limits[f"{side} {number + 1}: all that were taken are answered"] = not lost and not taken.wrong
            outcome.limits[f"{side} {number + 1}: exit code 0"] = code == 0
    return outcome


def _terminated(served: Served, questions: Sequence[Question]) -> tuple[Taken, int]:
    stop = partial(served.process.send_signal, signal.SIGTERM)
    ask = partial(open_loop, questions=questions, rate=40, seconds=6, at=(2.0, stop))
    taken = take(served, ask, 6)
    return taken, served.process.wait(60)


def soak(options: argparse.Namespace) -> Outcome:
    """What a service meets in a day, in minutes."""
    outcome = Outcome()
    for side in options.sides or [DEFAULT]:
        questions = odd(questions_of(options.model, options.asked, side))
        seconds = options.seconds or 600
        with serving(side, options.model) as served:
            ask = partial(closed_loop, questions=questions, users=options.users, seconds=seconds, leave=0.05)
            taken = take(served, ask, seconds)
        outcome.add(f"soak, {side}", taken)
        expected = {question.status for question in questions} | {503, 0}
        outcome.limits[f"{side}: every answer as expected"] = set(taken.statuses) <= expected and not taken.wrong
        outcome.limits[f"{side}: memory grew less than {GROWTH:g} MiB"] = taken.watched.growth < GROWTH
    return outcome


SCENARIOS = {each.__name__: each for each in (start, earlier, saturation, overload, term, soak)}


def main(arguments: list[str] | None = None) -> None:
    """Run the scenarios, report, and exit with 1 where a limit was not kept."""
    parser = pairs.parser_of(__file__, __doc__, rounds=5)
    parser.add_argument("model", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--scenario", nargs="+", choices=SCENARIOS, default=["start", "earlier", "saturation", "overload", "term"]
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="JPEGs to send, instead of the bundle's samples"
    )
    parser.add_argument("--sides", nargs="+", metavar="SIDE", help=f"plain:THREADS or a back end ({' '.join(SIDES)})")
    parser.add_argument("--users", type=int, default=16, help="of saturation and soak (16)")
    parser.add_argument("--locust", action="store_true", help="saturate with Locust instead, to see what it costs")
    parser.add_argument("--seconds", type=float, help="of a scenario, or of a round of saturation")
    options = parser.parse_args(arguments)
    options.asked = pictures_of(options.model, options.pictures)
    outcomes = {name: SCENARIOS[name](options) for name in options.scenario}
    options.asked = len(options.asked)
    limits = {f"{name}, {limit}": kept for name, each in outcomes.items() for limit, kept in each.limits.items()}
    told = [f"- {'kept' if kept else 'NOT KEPT'}: {limit}" for limit, kept in limits.items()]
    rows = [row for each in outcomes.values() for row in each.rows]
    notes = [f"- {note}" for each in outcomes.values() for note in each.notes]
    text = "\n".join([pairs.markdown(["what", *HEADS], rows), "", *notes, *told])
    pairs.report(options, text, limits=limits, **{name: each.measured for name, each in outcomes.items()})
    sys.exit(not all(limits.values()))


if __name__ == "__main__":
    main()
