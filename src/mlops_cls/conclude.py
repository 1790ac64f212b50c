"""The end of a run: test the best checkpoint once, and write everything that says how good it is."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from mlops_cls.atomic import replacing, write_text
from mlops_cls.card import ModelCard
from mlops_cls.choices import Monitor, Upload
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.evaluation.assess import Evaluation, assess
from mlops_cls.evaluation.calibration import calibrate
from mlops_cls.evaluation.collect import collect, training_scores
from mlops_cls.evaluation.outputs import Outputs
from mlops_cls.evaluation.plots import draw_confusion, draw_curves
from mlops_cls.evaluation.tables import write_per_class, write_predictions
from mlops_cls.kept import sign
from mlops_cls.models.classifier import CARD_KEY, ImageClassifier
from mlops_cls.models.evidence import find_evidence
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.report.model_card import FILE as MODEL_CARD
from mlops_cls.report.model_card import model_card
from mlops_cls.report.page import FILE as REPORT
from mlops_cls.report.page import Subject, write_report
from mlops_cls.run import BEST, CARD, EVALUATION, LAST, METRICS, PREDICTIONS, Run
from mlops_cls.runtime import Runtime
from mlops_cls.tracking import Tracker

log = logging.getLogger(__name__)
Row = Mapping[str, float]
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1")


def conclude(
    folder: Path,
    data: ImageDataModule,
    runtime: Runtime,
    rows: Mapping[int, Row],
    tracker: Tracker,
    *,
    monitor: Monitor,
    report: bool,
) -> Run:
    """Score the best checkpoint on val and test, and write scores, predictions, plots and pages into the run folder.

    This is the only place of a run that reads the test split.
    """
    best = ImageClassifier.from_checkpoint(folder / BEST)
    epoch = int(read_checkpoint(folder / BEST)["epoch"])
    outputs = {split: evaluate_split(best, data, split, runtime) for split in ("val", "test")}
    calibration = calibrate(outputs["val"])
    evaluation = assess(outputs["test"], calibration=calibration)

    scores = _scores(rows[epoch], outputs) | evaluation.scores()
    card = replace(best.card, scores=scores, intervals=evaluation.intervals(), calibration=calibration)
    run = Run(folder, card, {"epoch": epoch, **scores})
    _write(run, outputs, evaluation)
    tracker.summarise(run.metrics, _draw(run, outputs["test"], list(rows.values()), monitor))
    tracker.keep_model(run.card, {Upload.best: [run.checkpoint], Upload.last: [folder / LAST]})
    write_text(folder / MODEL_CARD, model_card(run.card, run.evaluation, data.manifest))
    if report:
        _write_report(run, outputs["test"], data, list(rows.values()), best)
    # Last, for by this file a run is known to be finished.
    write_text(folder / METRICS, json.dumps(run.metrics, indent=2) + "\n")
    _say(run, evaluation.pictures, f"epoch {epoch + 1} of {len(rows)}, by val/{monitor.value}", report=report)
    return run


def evaluate_split(classifier: ImageClassifier, data: ImageDataModule, split: str, runtime: Runtime) -> Outputs:
    """Return the classifier's outputs on a split, after checking that its classes are the data's.

    Raises:
        ArtifactError: the classes differ; the message says how.
    """
    classifier.card.check_classes(data.manifest.classes, whose=f"the data set {data.manifest.source}")
    return collect(classifier, data.dataset(split), runtime.torch_device)


def _scores(row: Row, outputs: Mapping[str, Outputs]) -> dict[str, float]:
    """Return the scores that training logs, of train as they were then, of val and test as they are now."""
    train = {name: value for name, value in row.items() if name.startswith("train/")}
    now = {split: training_scores(of_split) for split, of_split in outputs.items()}
    return train | {f"{split}/{name}": value for split, scores in now.items() for name, value in scores.items()}


def _write(run: Run, outputs: Mapping[str, Outputs], evaluation: Evaluation) -> None:
    run.card.save(run.folder / CARD)
    evaluation.save(run.folder / EVALUATION)
    for split, of_split in outputs.items():
        of_split.save(run.outputs(split))
    write_per_class(run.folder / "per_class.csv", outputs["test"])
    write_predictions(run.folder / PREDICTIONS, outputs["test"], run.card.calibration.temperature)
    _replace_card(run.checkpoint, run.card)
    sign(run)


def _draw(run: Run, test: Outputs, rows: Sequence[Row], monitor: Monitor) -> dict[str, Path]:
    curves, confusion = run.folder / "curves.png", run.folder / "confusion.png"
    draw_curves(curves, rows, monitor=monitor.value, best=int(run.metrics["epoch"]))
    title = f"test, {len(test.labels)} pictures, accuracy {run.metrics['test/accuracy']:.3f}"
    draw_confusion(confusion, test.confusion, run.card.classes, title=title)
    return {"curves": curves, "confusion": confusion}


def _write_report(
    run: Run, test: Outputs, data: ImageDataModule, rows: Sequence[Row], classifier: ImageClassifier
) -> None:
    """Write the page that shows what the run came to."""
    subject = Subject(
        card=run.card,
        evaluation=run.evaluation,
        outputs=test,
        prepared=data.prepared,
        place=str(run.folder),
        rows=rows,
        best=int(run.metrics["epoch"]),
        explain=partial(find_evidence, classifier),
    )
    write_report(run.folder / REPORT, subject)


def _replace_card(checkpoint: Path, card: ModelCard) -> None:
    """Let the checkpoint carry its own scores too."""
    content = read_checkpoint(checkpoint)
    content[CARD_KEY] = card.to_dict()
    with replacing(checkpoint) as aside:
        torch.save(content, aside)


def _say(run: Run, pictures: int, chosen: str, *, report: bool) -> None:
    log.info("test  %s  (%d pictures, used once; 95 %% intervals)", "  ".join(_told(run, SHOWN)), pictures)
    log.info("best  %s  (%s)", run.checkpoint, chosen)
    if report:
        log.info("look  %s", run.folder / REPORT)
    log.info("next  python -m mlops_cls.predict %s PICTURES --top 3", run.folder)


def _told(run: Run, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        interval = run.card.intervals.get(f"test/{name}")
        ends = "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
        yield f"{name.replace('_', ' ')} {run.metrics[f'test/{name}']:.4f}{ends}"
