"""What clients saw of a service under load, and what it used meanwhile."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from clients import Answered, Question, recall
from served import Served, Watched, watching

HERE = Path(__file__).parent
HEADS = [
    "answers/s",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "statuses",
    "wrong",
    "server ms",
    "server cores",
    "client cores",
    "MiB",
]
Ask = Callable[[int], list[Answered]]
"""Takes the port of a service, asks it for a while, and returns what came."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What clients saw in so many seconds, what the service used meanwhile, and the cores that the client took."""

    answered: Sequence[Answered]
    seconds: float
    watched: Watched
    client_cores: float

    @property
    def right(self) -> list[Answered]:
        return [each for each in self.answered if each.right]

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return len(self.right) / self.seconds

    @property
    def statuses(self) -> Counter[int]:
        return Counter(each.status for each in self.answered)

    @property
    def wrong(self) -> int:
        """Answers with status 200 and another label."""
        return sum(each.status == 200 and not each.right for each in self.answered)

    @property
    def failures(self) -> int:
        """All but right answers; there must have been some."""
        return len(self.answered) - len(self.right) if self.answered else 1

    def quantile(self, q: float) -> float:
        """Return seconds until an answer of status 200."""
        return float(np.quantile([each.seconds for each in self.answered if each.status == 200] or [np.nan], q))

    def cells(self) -> list[object]:
        quantiles = [1e3 * self.quantile(q) for q in (0.50, 0.95, 0.99)]
        statuses = ", ".join(f"{status or 'none'}: {number}" for status, number in sorted(self.statuses.items()))
        memory = f"{self.watched.mib[0]:.0f} to {self.watched.mib[-1]:.0f}" if self.watched.mib else ""
        cost = 1e3 * self.watched.processor_seconds / max(1, len(self.right))
        return [self.rate, *quantiles, statuses, self.wrong, cost, self.watched.cores, self.client_cores, memory]

    def told(self) -> dict[str, Any]:
        errors = Counter(each.error for each in self.answered if each.error)
        return {
            **dict(zip(HEADS, self.cells(), strict=True)),
            "service": self.watched.told(),
            "errors": dict(errors),
            "retry_after": dict(Counter(each.retry_after for each in self.answered if each.status == 503)),
        }


def take(served: Served, ask: Ask, seconds: float) -> Taken:
    """Return what became of `ask`, which takes a port and asks for so many seconds in this process."""
    processor = time.process_time()
    start = time.perf_counter()
    with watching(served.process.pid) as watched:
        answered = ask(served.port)
    wall = time.perf_counter() - start
    return Taken(answered, seconds, watched, (time.process_time() - processor) / wall)


def with_locust(served: Served, questions: Sequence[Question], *, users: int, wait: str, seconds: float) -> Taken:
    """Return what Locust's users saw, in a process of its own; `wait` is the least and the most seconds in between."""
    with tempfile.TemporaryDirectory() as folder:
        for number, asked in enumerate(questions):
            (Path(folder) / f"{number:03d}.jpg").write_bytes(asked.picture)
        labels = {f"{number:03d}.jpg": asked.label for number, asked in enumerate(questions)}
        (Path(folder) / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
        out = Path(folder) / "answered.json"
        told = {"LOAD_QUESTIONS": folder, "LOAD_WAIT": wait, "LOAD_OUT": str(out)}
        options = ["--headless", "--only-summary", "--exit-code-on-error=0", "--loglevel=ERROR"]
        command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), *options]
        command += [f"--users={users}", f"--spawn-rate={users}", f"--run-time={seconds:.0f}s"]
        command += [f"--host=http://127.0.0.1:{served.port}"]
        before = _children()
        with watching(served.process.pid) as watched:
            subprocess.run(command, env=os.environ | told, stdout=subprocess.DEVNULL, check=True)
        return Taken(recall(out), seconds, watched, (_children() - before) / seconds)


def merged(rounds: Sequence[Taken]) -> Taken:
    """Return several rounds of the same as one."""
    watched = Watched(
        seconds=[second for each in rounds for second in each.watched.seconds],
        mib=[mib for each in rounds for mib in each.watched.mib],
        processor_seconds=sum(each.watched.processor_seconds for each in rounds),
        wall_seconds=sum(each.watched.wall_seconds for each in rounds),
    )
    answered = [one for each in rounds for one in each.answered]
    client = sum(each.client_cores for each in rounds) / len(rounds)
    return Taken(answered, sum(each.seconds for each in rounds), watched, client)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
