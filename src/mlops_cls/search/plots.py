"""A sweep as pictures: how it went, which values went with which score, and which settings mattered."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlops_cls.evaluation.plots import label_of, save
from mlops_cls.search.definition import Definition
from mlops_cls.search.study import Row

BEST, OTHER, BAD = "#1f5fa8", "#8a8a8a", "#c44e52"
MOST_TICKS = 12


def draw_history(path: Path, rows: Sequence[Row], definition: Definition) -> None:
    """Draw each trial's score in the order of the sweep, and the best so far."""
    metric = definition.metric
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for state, colour, marker in (("done", BEST, "o"), ("pruned", OTHER, "x")):
        points = [(row.number, row.value) for row in rows if row.state == state and row.value is not None]
        if points:
            numbers, values = zip(*points, strict=True)
            axes.scatter(numbers, values, color=colour, marker=marker, s=26, label=state, zorder=3)
    done = [(row.number, row.value) for row in rows if row.state == "done"]
    best = np.maximum if metric.maximize else np.minimum
    numbers, values = zip(*done, strict=True)
    axes.step(numbers, best.accumulate(np.array(values)), where="post", color=BEST, linewidth=1, label="best so far")
    failed = [row.number for row in rows if row.state == "failed"]
    if failed:
        # At the lower edge, whatever the scores are.
        axes.scatter(
            failed,
            [0.02] * len(failed),
            color=BAD,
            marker="v",
            s=26,
            label="failed",
            transform=axes.get_xaxis_transform(),
        )
    axes.set(xlabel="trial", ylabel=metric.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(figure, path)


def draw_parallel(path: Path, rows: Sequence[Row], definition: Definition) -> None:
    """Draw a line per trial through the values of its settings; colour is the score, the best on top, pruned grey."""
    metric = definition.metric
    names = _varied(rows, definition)
    pruned = [row for row in rows if row.state == "pruned"]
    done = [row for row in rows if row.state == "done"]
    done.sort(key=lambda row: row.value or 0.0, reverse=not metric.maximize)
    scores = [row.value or 0.0 for row in done]
    norm, colours = Normalize(min(scores), max(scores)), mpl.colormaps["viridis_r" if metric.maximize else "viridis"]
    figure = Figure(figsize=(4.5 + 1.9 * len(names), 4.6), layout="constrained")
    axes = figure.add_subplot()
    heights = []
    for column, name in enumerate(names):
        log = getattr(definition.parameters[name].distribution, "log", False)
        heights.append(_draw_axis(axes, column, [row.values[name] for row in pruned + done], log=log))
    # The score last, so that a line shows where its settings led to, even if there is only one.
    heights.append(_draw_axis(axes, len(names), [row.value or 0.0 for row in pruned + done], log=False))
    for number, trial in enumerate(pruned + done):
        colour = OTHER if trial.state == "pruned" else colours(norm(trial.value or 0.0))
        width, alpha = (0.7, 0.35) if trial.state == "pruned" else (1.4, 0.9)
        axes.plot([height[number] for height in heights], color=colour, linewidth=width, alpha=alpha)
    labels = [label_of(name) for name in [*names, metric.name]]
    axes.set_xticks(range(len(labels)), labels, rotation=20, ha="right", parse_math=False)
    axes.set(xlim=(-0.1, len(labels) - 0.5), ylim=(-0.05, 1.05), yticks=[])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=axes, label=metric.name, shrink=0.8)
    save(figure, path)


def _varied(rows: Sequence[Row], definition: Definition) -> list[str]:
    ended = [row for row in rows if row.state in ("done", "pruned")]
    return [name for name in definition.parameters if len({str(row.values[name]) for row in ended}) > 1]


def _draw_axis(axes: Axes, column: int, values: Sequence[Any], *, log: bool) -> list[float]:
    """Draw a setting's axis with its ticks, and return the height from 0 to 1 at which each value lies."""
    axes.axvline(column, 0.05 / 1.1, 1.05 / 1.1, color="#404040", linewidth=0.8)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        heights, ticks = _on_scale(np.array(values, dtype=float), log=log)
    else:
        heights, ticks = _as_choices(values)
    for height, text in ticks.items():
        axes.annotate(
            text,
            (column, height),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
        )
    return heights


def _on_scale(values: np.ndarray, *, log: bool) -> tuple[list[float], dict[float, str]]:
    places = np.log(values) if log else values
    low, high = places.min(), places.max()
    width = (high - low) or 1.0
    given = np.unique(values)
    marks = given if len(given) <= 5 else np.exp(np.linspace(low, high, 5)) if log else np.linspace(low, high, 5)
    ticks = {float(((np.log(mark) if log else mark) - low) / width): f"{mark:.3g}" for mark in marks}
    return [float(place) for place in (places - low) / width], ticks


def _as_choices(values: Sequence[Any]) -> tuple[list[float], dict[float, str]]:
    texts = [str(value) for value in values]
    choices = sorted(set(texts))
    height = {text: number / max(1, len(choices) - 1) for number, text in enumerate(choices)}
    return [height[text] for text in texts], {height[text]: label_of(text) for text in choices[:MOST_TICKS]}


def draw_importance(path: Path, importances: Mapping[str, float], metric: str) -> None:
    """Draw each setting's share in how far the scores differ."""
    names = list(importances)[::-1]
    figure = Figure(figsize=(7, 1.3 + 0.4 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh([label_of(name) for name in names], [importances[name] for name in names], color=BEST)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set(xlabel=f"importance for {metric}", xlim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)
