"""report.html: one file that shows what a classifier is worth, where it fails, and where it comes from."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mlops_cls.atomic import write_text
from mlops_cls.card import ModelCard
from mlops_cls.data.doctor.findings import Report
from mlops_cls.data.split import SPLITS
from mlops_cls.data.store import Prepared
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.pictures import Pixels
from mlops_cls.report import charts
from mlops_cls.report.gallery import Explain, Gallery
from mlops_cls.report.numbers import decimal, percent, span
from mlops_cls.report.templating import render_page
from mlops_cls.report.words import how_measured, verdict

FILE = "report.html"
MOST_CLASSES = 25  # of which every number of the confusion matrix is written
MOST_FINDINGS = 12
HEADLINE = {
    "accuracy": "pictures classified rightly",
    "balanced_accuracy": "mean over classes, each counting the same",
    "macro_f1": "precision and recall in one, mean over classes",
    "auroc": "chance that a picture of a class ranks above one of another; 0.5 is guessing",
    "log_loss": "punishes confident mistakes; 0 is perfect",
    "ece": "mean gap between confidence and accuracy; 0 is perfect",
}
BARS = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a report is about.

    `evaluation` is what evaluation.json holds; `outputs` are of its split, in the order of the prepared store; `rows`
    are those of metrics.csv, of which `best` is the number of the epoch that was kept; without `explain` the report
    does not show where the network looked. `place` is what to type for the run.
    """

    card: ModelCard
    evaluation: Mapping[str, Any]
    outputs: Outputs
    prepared: Prepared
    place: str
    rows: Sequence[Mapping[str, Any]] = ()
    best: int | None = None
    explain: Explain | None = None


def write_report(path: Path, subject: Subject) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render(subject))


def render(subject: Subject) -> str:
    """Return the page."""
    evaluation, card = subject.evaluation, subject.card
    gallery = Gallery(subject.outputs, card.calibration.temperature, pictures_of(subject.prepared, evaluation["split"]))
    method, wrong, right = gallery.explained(subject.explain) if subject.explain else ("", [], [])
    return render_page(
        "report.html",
        card=card,
        e=evaluation,
        title=card.title,
        place=subject.place,
        verdict=list(verdict(evaluation)),
        how_measured=how_measured(evaluation),
        tiles=_tiles(evaluation),
        classes=_classes(evaluation["per_class"]),
        matrix=_matrix(evaluation),
        heat=_heat(evaluation),
        shade=charts.shade,
        bar=charts.interval_bar,
        worst=gallery.worst(),
        uncertain=gallery.uncertain(),
        pairs=gallery.pairs(evaluation["confused"]),
        method=method,
        explained={"mistakes": wrong, "hits": right},
        calibration=_calibration(evaluation),
        selective=charts.selective(evaluation["selective"]["curve"], evaluation["selective"]),
        slices=_slices(evaluation["slices"]),
        robustness=_robustness(evaluation.get("robustness") or []),
        curves=charts.training_curves(subject.rows, subject.best),
        took=sum(float(row["seconds"]) for row in subject.rows if row.get("seconds")),
        epochs=len(subject.rows),
        best=subject.best,
        manifest=subject.prepared.manifest,
        findings=Report.load(subject.prepared.folder),
        most_findings=MOST_FINDINGS,
        command=command_of(card.provenance),
    )


def pictures_of(prepared: Prepared, split: str) -> Callable[[int], Pixels]:
    """Return the function from a row of the outputs to its picture; the outputs of all splits lie one after another."""
    parts = [prepared.images(name) for name in (SPLITS if split == "all" else (split,))]

    def picture(row: int) -> Pixels:
        for part in parts:
            if row < len(part):
                break
            row -= len(part)
        pixels: Pixels = part[row]
        return pixels

    return picture


def _tiles(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    majority = evaluation["baselines"]["majority"]
    return [
        {
            "name": name,
            "value": percent(score["value"]) if name in (*BARS, "ece") else decimal(score["value"]),
            "span": span(score, share=name in (*BARS, "ece")),
            "bar": charts.interval_bar(score, mark=majority.get(name)) if name in BARS else Markup(""),
            "majority": majority.get(name),
            "means": means,
        }
        for name, means in HEADLINE.items()
        if (score := evaluation["scores"].get(name))
    ]


def _classes(per_class: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the classes in their order; of many the weakest first."""
    if len(per_class) <= MOST_CLASSES:
        return list(per_class)
    return sorted(per_class, key=lambda entry: (entry["recall"]["value"] is None, entry["recall"]["value"] or 0.0))


def _matrix(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the confusion matrix; of many classes those with the most mistakes, and the rest as one."""
    counts, classes = evaluation["confusion"], evaluation["classes"]
    numbers = range(len(classes))
    if len(classes) <= MOST_CLASSES:
        return {"names": classes, "columns": classes, "rows": counts, "totals": [sum(row) for row in counts]}
    wrong = [sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in numbers]
    chosen = sorted(sorted(numbers, key=lambda i: -wrong[i])[: MOST_CLASSES - 5])
    rows = [[counts[i][j] for j in chosen] for i in chosen]
    totals = [sum(counts[i]) for i in chosen]
    rows = [[*row, total - sum(row)] for row, total in zip(rows, totals, strict=True)]
    names = [classes[i] for i in chosen]
    return {"names": names, "columns": [*names, "others"], "rows": rows, "totals": totals}


def _heat(evaluation: Mapping[str, Any]) -> Markup:
    classes = evaluation["classes"]
    return charts.heat(evaluation["confusion"], classes) if len(classes) > MOST_CLASSES else Markup("")


def _calibration(evaluation: Mapping[str, Any]) -> list[tuple[str, float, Markup]]:
    found, scores = evaluation["calibration"], evaluation["scores"]
    return [
        (words, scores[score]["value"], charts.reliability(found[bins], words))
        for words, score, bins in (
            ("before", "ece_uncalibrated", "bins_uncalibrated"),
            ("after", "ece", "bins"),
        )
    ]


def _slices(slices: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    return {column: list(found) for column, found in groupby(slices, key=lambda entry: entry["column"])}


def _robustness(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    return {name: list(entries) for name, entries in groupby(found, key=lambda entry: entry["corruption"])}


def command_of(provenance: Mapping[str, Any]) -> str:
    """Return the command line of the run; nothing where it was not started by one of ours."""
    first, *rest = provenance.get("command") or [""]
    if first.startswith("mlops_cls."):
        return shlex.join(["python", "-m", first, *rest])
    return shlex.join([first, *rest]) if first == "mlops-cls" else ""
