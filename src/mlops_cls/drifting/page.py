"""drift.html: what has changed, how much, since when, and what such pictures look like; one file, no script."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mlops_cls.atomic import write_text
from mlops_cls.card import ModelCard
from mlops_cls.drifting import charts
from mlops_cls.drifting.items import Item
from mlops_cls.drifting.unusual import Floats
from mlops_cls.errors import ArtifactError
from mlops_cls.monitoring import words
from mlops_cls.monitoring.drift import CLASSES, CONFIDENCE, EMBEDDING, Sample
from mlops_cls.monitoring.findings import Findings
from mlops_cls.monitoring.reference import Reference
from mlops_cls.monitoring.windows import History
from mlops_cls.pictures import PictureError, load_picture
from mlops_cls.report.pictures import data_uri, is_small
from mlops_cls.report.templating import render_page

UNUSUAL, TYPICAL = 12, 6
OUTLYING = (0.01, 0.99)
"""Quantiles of the reference beyond which a picture's number is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a page is about; `commands` are what to type next: what for, and the line."""

    card: ModelCard
    reference: Reference
    findings: Findings
    items: Sequence[Item]
    unusual: Floats
    history: History
    place: str
    notes: Sequence[str]
    commands: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as the network saw it, and what is said below it."""

    uri: str
    small: bool
    label: str
    confidence: float
    truth: str | None
    name: str
    odd: str

    @property
    def alt(self) -> str:
        return f"{self.name}, answered {self.label}"


def write_page(path: Path, subject: Subject) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render(subject))


def render(subject: Subject) -> str:
    """Return the page."""
    findings, order = subject.findings, np.argsort(-subject.unusual, kind="stable").tolist()
    middle = sorted(order, key=lambda row: abs(float(subject.unusual[row]) - 0.5))
    return render_page(
        "drift.html",
        f=findings,
        said=findings.say(),
        changes=findings.changes,
        numbers=list(_numbers(subject)) if findings.enough else [],
        classes=_classes(findings),
        scatter=_scatter(subject),
        times=list(_times(subject)),
        unusual=list(_shown(subject, order, UNUSUAL)),
        typical=list(_shown(subject, middle, TYPICAL)) if len(order) > 2 * UNUSUAL else [],
        far=float((subject.unusual > OUTLYING[1]).mean()),
        place=subject.place,
        notes=subject.notes,
        commands=subject.commands,
        trained=subject.card.scores.get("test/accuracy"),
        interval=subject.card.intervals.get("test/accuracy"),
        what=words.of_change,
        in_short=words.in_short,
        number=words.number,
    )


def _numbers(subject: Subject) -> Iterator[tuple[Any, Markup]]:
    """Yield each test of numbers that can differ at all, with its histogram."""
    for change in subject.findings.changes:
        known, now = _of(subject.reference, change.name), _of(subject.history.sample, change.name)
        if known is not None and now is not None and len({*known.tolist(), *now.tolist()}) > 1:
            yield change, charts.histogram(change.name, known, now, share=change.name == CONFIDENCE)


def _of(sample: Reference | Sample, name: str) -> Any:
    return sample.confidence if name == CONFIDENCE else sample.statistics.get(name)


def _classes(findings: Findings) -> Markup | None:
    change = next((change for change in findings.changes if change.name == CLASSES), None)
    return charts.classes(change.reference, change.now) if change else None


def _scatter(subject: Subject) -> Markup | None:
    known, now = subject.reference.projected, subject.history.sample.projected
    tested = any(change.name == EMBEDDING for change in subject.findings.changes)
    return charts.scatter(known, now) if tested and now is not None and min(known.shape[1], now.shape[1]) > 1 else None


def _times(subject: Subject) -> Iterator[tuple[str, Markup]]:
    """Yield how the numbers that have changed went over the windows; of brightness and confidence if none has."""
    windows = subject.findings.windows
    if len(windows) < 2:
        return
    edges = np.cumsum([0, *(window.pictures for window in windows)]).tolist()
    numeric = [change for change in subject.findings.changes if change.test == "KS"]
    moved = [change for change in numeric if change.drift]
    for change in moved or [change for change in numeric if change.name in ("brightness", CONFIDENCE)]:
        values = _of(subject.history.sample, change.name)
        medians = [float(np.median(values[i:j])) for i, j in pairwise(edges)]
        marked = [window.drift for window in windows]
        yield change.name, charts.over_time(change.name, [w.until for w in windows], medians, marked, change.reference)


def _shown(subject: Subject, rows: Sequence[int], most: int) -> Iterator[Shown]:
    """Yield pictures that were kept, one of each group."""
    seen: set[str] = set()
    for row in rows:
        item = subject.items[row]
        request = item.record.request_id
        if item.content is None or (request and request in seen):
            continue
        seen.add(request)
        try:
            pixels = load_picture(item.content(), **subject.card.preprocess.geometry).pixels
        except (PictureError, ArtifactError, OSError):
            continue  # gone meanwhile, by retention or by hand
        yield Shown(
            uri=data_uri(pixels),
            small=is_small(pixels),
            label=subject.card.classes[item.record.index],
            confidence=item.record.confidence,
            truth=item.truth,
            name=item.source.rpartition("/")[2],
            odd=_odd(subject.reference, item.record.statistics),
        )
        if (most := most - 1) == 0:
            return


def _odd(reference: Reference, statistics: Mapping[str, float]) -> str:
    """Return which numbers of a picture hardly any picture of the reference has."""
    told = []
    for name, value in statistics.items():
        low, high = np.quantile(reference.statistics[name], OUTLYING).tolist()
        if not low <= value <= high:
            told.append(f"{name} {words.number(value)} ({words.number(low)} to {words.number(high)})")
    return ", ".join(told)
