"""The charts of a drift page: before and now beside each other, and how it went over time."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mlops_cls.monitoring.words import number
from mlops_cls.report.numbers import percent
from mlops_cls.report.svg import PERCENT, WIDTH, Axes, Scale, picture, tag

BINS, MOST_DOTS, MOST_CLASSES = 24, 300, 20
ROW, NAME = 30, 120
"""Units of a row of the classes' chart, and of the names at its left."""
Values = NDArray[np.floating]


def histogram(name: str, known: Values, now: Values, *, share: bool = False) -> Markup:
    """Return how often each value occurs: as an area in the reference, as a line now."""
    low, high = (float(np.quantile(np.concatenate([known, now]), end)) for end in (0.002, 0.998))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    before, after = (_shares(values, edges) for values in (known, now))
    x = Scale(low, high, Scale.around([low, high], most=4).ticks) if not share else PERCENT
    x = Scale(low, high, tuple(tick for tick in x.ticks if low <= tick <= high), x.form)
    axes = Axes(x, Scale.of_shares([0.0, float(max(before.max(), after.max()))]), "", "")
    said = f"{name}: median {number(float(np.median(now)))} now, {number(float(np.median(known)))} in training"
    return axes.chart(said, _area(axes, edges, before), axes.line(_steps(edges, after), "val"))


def _shares(values: Values, edges: Values) -> Values:
    counted, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counted / max(1, len(values))


def _steps(edges: Values, shares: Values) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for left, right, y in zip(edges, edges[1:], shares, strict=False) for x in (left, right)
    ]


def _area(axes: Axes, edges: Values, shares: Values) -> Markup:
    corners = [(float(edges[0]), 0.0), *_steps(edges, shares), (float(edges[-1]), 0.0)]
    places = [axes.at(*corner) for corner in corners]
    return tag("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), kind="before")


def over_time(
    name: str, ends: Sequence[datetime], medians: Sequence[float], marked: Sequence[bool], before: Mapping[str, float]
) -> Markup:
    """Return the median of each window, over the middle 80 % of the reference; windows that had changed are marked."""
    y = Scale.around([*medians, before["low"], before["high"]])
    axes = Axes(Scale.counting(len(medians)), y, "window", "")
    points = [(number + 1.0, value) for number, value in enumerate(medians)]
    drawn = [
        axes.box((axes.x.low, before["low"]), (axes.x.high, before["high"]), "before"),
        axes.line([(axes.x.low, before["median"]), (axes.x.high, before["median"])], "ideal"),
        axes.line(points, "val"),
    ]
    for point, end, drifted in zip(points, ends, marked, strict=True):
        said = f"window {point[0]:.0f}, until {end:%Y-%m-%d %H:%M}: {number(point[1])}{', changed' if drifted else ''}"
        drawn.append(axes.dot(point, "chosen" if drifted else "val", said, 4.5 if drifted else 3.0))
    return axes.chart(f"Median {name} in {len(medians)} windows", *drawn)


def classes(before: Mapping[str, float], now: Mapping[str, float]) -> Markup:
    """Return how often each class is the answer, before and now; of many, those that have changed most."""
    names = sorted(before, key=lambda name: -abs(now[name] - before[name]))[:MOST_CLASSES]
    most = max(*(before[name] for name in names), *(now[name] for name in names)) or 1.0
    room = WIDTH - NAME - 84
    drawn = []
    for row, name in enumerate(sorted(names, key=list(before).index)):
        y = row * ROW
        short = name if len(name) <= 18 else name[:17] + "…"
        drawn += [
            tag("text", tag("title", name), short, x=NAME - 8, y=y + 18, text_anchor="end", kind="name"),
            tag("rect", x=NAME, y=y + 5, width=max(room * before[name] / most, 0.5), height=8, kind="before"),
            tag("rect", x=NAME, y=y + 14, width=max(room * now[name] / most, 0.5), height=8, kind="now"),
            tag("text", f"{percent(before[name], 0)} → {percent(now[name], 0)}", x=NAME + room + 8, y=y + 18),
        ]
    which = "each class" if len(names) == len(before) else f"each of the {len(names)} most changed classes"
    title = f"How often {which} is the answer, in training and now"
    return picture(title, *drawn, width=WIDTH, height=ROW * len(names) + 4, kind="chart forest")


def scatter(known: Values, now: Values) -> Markup:
    """Return pictures on the first two axes of the embeddings."""
    known, now = (rows[:: -(-len(rows) // MOST_DOTS)] for rows in (known, now))
    both = np.concatenate([known, now])[:, :2]
    x, y = (Scale.around(both[:, column].tolist()) for column in range(2))
    axes = Axes(x, y, "first axis of the embeddings", "")
    drawn = [axes.dot((float(row[0]), float(row[1])), "before", radius=3.0) for row in known]
    drawn += [axes.dot((float(row[0]), float(row[1])), "now", radius=2.4) for row in now]
    return axes.chart(f"{len(known)} pictures of the reference and {len(now)} now, as the network sees them", *drawn)
