"""comparison.html: runs side by side, for people; and the same as CSV and JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlops_cls.atomic import write_text
from mlops_cls.report import charts
from mlops_cls.report.templating import render_page
from mlops_cls.report.text import write_rows

FILE = "comparison"
SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "log_loss", "ece")
DRAWN = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A run beside others.

    `scores` have value, low and high. `differences` are those of accuracy, balanced accuracy and log loss to the run
    that all are compared with, with interval and p; without any, `refused` says why.
    """

    folder: str
    name: str
    network: str
    parameters: int
    epochs: int
    best: int
    seconds: float | None
    pictures: int
    settings: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float | None]]
    differences: Sequence[Mapping[str, Any]]
    refused: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs by falling test accuracy; `against` is the folder of the one that the others are compared with."""

    rows: tuple[Compared, ...]
    against: str
    skipped: Mapping[str, str]

    @property
    def differing(self) -> list[str]:
        """The settings whose values differ between the runs."""
        keys = dict.fromkeys(key for row in self.rows for key in row.settings)
        return [key for key in keys if len({str(row.settings.get(key)) for row in self.rows}) > 1]


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write comparison.html, comparison.csv and comparison.json into a folder."""
    page = render_page("comparison.html", c=comparison, charts=[_chart(comparison, name) for name in DRAWN])
    write_text(folder / f"{FILE}.html", page)
    write_text(folder / f"{FILE}.json", json.dumps(asdict(comparison), indent=2, ensure_ascii=False) + "\n")
    rows = [dict(_cells(row, comparison)) for row in comparison.rows]
    write_rows(folder / f"{FILE}.csv", list(rows[0]), [list(row.values()) for row in rows])


def _chart(comparison: Comparison, score: str) -> tuple[str, Any]:
    """Return the runs' intervals one below the other, on a scale that they fill."""
    rows = [(row.name, row.scores[score], row.folder == comparison.against) for row in comparison.rows]
    return score, charts.forest(rows, f"{score.replace('_', ' ')} of {len(rows)} runs")


def _cells(row: Compared, comparison: Comparison) -> Iterator[tuple[str, object]]:
    """Yield the columns of the CSV file: one value each, so that a spreadsheet can sort them."""
    for name in ("name", "folder", "network", "parameters", "epochs", "best", "seconds", "pictures"):
        yield name, getattr(row, name)
    for score, found in row.scores.items():
        for part, value in found.items():
            yield (score if part == "value" else f"{score}_{part}"), value
    paired = {found["score"]: found for found in row.differences}
    for score in ("accuracy", "balanced_accuracy", "log_loss"):
        for part in ("difference", "low", "high", "p"):
            yield f"{score}_against_{part}", paired.get(score, {}).get(part)
    for key in comparison.differing:
        yield key, row.settings.get(key)
