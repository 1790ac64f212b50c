"""Confusion matrix and training curves as PNG, drawn without a display."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

MOST_WRITTEN = 25
LONGEST_NAME = 24
DPI = 120
TRAIN, VAL = "#8a8a8a", "#1f5fa8"


def draw_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str], *, title: str) -> None:
    """Draw the matrix; colour is the share of the true class, the numbers are pictures (left out for many classes)."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [label_of(name) for name in classes]
    side = min(max(4.0, 1.8 + 0.42 * len(names)), 24)
    room = 0.12 * max(len(name) for name in names)
    figure = Figure(figsize=(side + room, side - 0.5 + 0.7 * room), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    # A $ in a class name is no formula.
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(classes) <= MOST_WRITTEN:
        _write_counts(axes, counts, shares)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    save(figure, path)


def draw_curves(path: Path, rows: Sequence[Mapping[str, float]], *, monitor: str, best: int) -> None:
    """Draw loss, accuracy and balanced accuracy over epochs, with the epoch of the best checkpoint marked."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, score in zip(panels, ("loss", "accuracy", "balanced_accuracy"), strict=True):
        for split, colour in (("train", TRAIN), ("val", VAL)):
            points = [(row["epoch"] + 1, row[f"{split}/{score}"]) for row in rows if f"{split}/{score}" in row]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=split)
        axes.axvline(best + 1, color="#c44e52", linewidth=1, linestyle="--", label=f"best {monitor}")
        axes.set(xlabel="epoch", title=score.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    save(figure, path)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), number in np.ndenumerate(counts):
        if number:
            colour = "white" if shares[row, column] > 0.5 else "#202020"
            axes.text(column, row, str(number), ha="center", va="center", color=colour, fontsize=8)


def label_of(name: str) -> str:
    """Return the name in one line, cut where it would push the matrix out of the picture."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    with warnings.catch_warnings():
        # matplotlib's own font lacks many scripts; boxes are drawn, and the names are in per_class.csv.
        warnings.filterwarnings("ignore", message="Glyph .* missing from|Matplotlib currently does not support")
        FigureCanvasAgg(figure).print_figure(str(path), dpi=DPI)
