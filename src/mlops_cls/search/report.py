"""What a sweep says and leaves: a line per trial, a table, pictures, and the best trial's command."""

import csv
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops_cls.run import Run
from mlops_cls.search.definition import Definition, Metric
from mlops_cls.search.study import Row

log = logging.getLogger(__name__)
TABLE = "trials.csv"
SHOWN = 10
COLUMNS = ("number", "state", "value", "epochs", "seconds", "host", "folder", "error")


def describe(row: Row, metric: Metric) -> str:
    """Return how a trial ended, in one line."""
    words = {
        "done": f"{metric.name} {_number(row.value)}",
        "pruned": f"pruned after epoch {row.epochs} at {metric.name} {_number(row.value)}",
        "failed": f"failed: {' '.join(row.error.split())}",
    }
    seconds = "" if row.seconds is None else f"  {row.seconds:.1f} s"
    return f"trial {row.number:>3}  {words.get(row.state, row.state)}{seconds}  {settings(row.values)}"


def settings(values: Mapping[str, Any]) -> str:
    """Return the values in one line, numbers short."""
    return " ".join(f"{name}={_short(value)}" for name, value in values.items())


def best_of(rows: Sequence[Row], metric: Metric) -> Row | None:
    """Return the best of the trials that were not ended early."""
    done = [row for row in rows if row.state == "done"]
    sign = 1 if metric.maximize else -1
    return max(done, key=lambda row: sign * (row.value or 0.0), default=None)


def write_table(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Write a row per trial: how it ended, the values of the settings, and all scores on train and val."""
    scores = list(dict.fromkeys(name for row in rows for name in row.scores))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *names, *scores])
        for row in rows:
            own = [getattr(row, column) for column in COLUMNS]
            writer.writerow([*own, *map(row.values.get, names), *map(row.scores.get, scores)])


def say(definition: Definition, rows: Sequence[Row]) -> None:
    """Log the best trials, what became of the others, and how to repeat the best one."""
    metric, best = definition.metric, best_of(rows, definition.metric)
    counts = ", ".join(f"{number} {state}" for state, number in _counts(rows).items())
    log.info("sweep %s: %d trials, %s", definition.name, len(rows), counts or "none")
    for line in _lines(definition, rows):
        log.info("%s", line)
    if best is None:
        log.warning("no trial came to its end")
        return
    log.info("best  trial %d, %s %s%s", best.number, metric.name, _number(best.value), _tested(best, metric))
    log.info("run   %s", best.folder if Path(best.folder).is_dir() else f"{best.folder} on {best.host}")
    log.info("again %s", definition.command.line(definition.overrides(best.values)))


def _tested(best: Row, metric: Metric) -> str:
    """Say the same score on test: of this one trial, now that it is chosen."""
    if not Path(best.folder).is_dir():
        return ""
    name = f"test/{metric.name.partition('/')[2]}"
    return f"; {name} {Run.open(best.folder).metrics[name]:.4f} (looked at only now, and only of this one)"


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    states = [row.state for row in rows]
    return {state: states.count(state) for state in dict.fromkeys(states)}


def _lines(definition: Definition, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the best trials as a table."""
    sign = -1 if definition.metric.maximize else 1
    ranked = sorted((row for row in rows if row.state == "done"), key=lambda row: sign * (row.value or 0.0))
    names = list(definition.parameters)
    body = [[str(row.number), _number(row.value), *(_short(row.values.get(name)) for name in names)] for row in ranked]
    cells = [["trial", definition.metric.name, *names], *body[:SHOWN]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells if body else []:
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
    if len(body) > SHOWN:
        yield f"and {len(body) - SHOWN} more in {TABLE}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else shlex.quote(str(value))
