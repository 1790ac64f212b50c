"""The end of a run: test the best checkpoint once, and write everything that says how good it is."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from mlops_cls.models.classifier import CARD_KEY, ImageClassifier
from mlops_cls.models.weights import read_checkpoint
from mlops_cls.run import BEST, CARD, EVALUATION, LAST, METRICS, PREDICTIONS, Run
from mlops_cls.runtime import Runtime
from mlops_cls.tracking import Tracker

log = logging.getLogger(__name__)
Rows = Mapping[int, Mapping[str, float]]
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1")


def conclude(
    folder: Path, data: ImageDataModule, runtime: Runtime, rows: Rows, tracker: Tracker, *, monitor: Monitor
) -> Run:
    """Score the best checkpoint on val and test, and write scores, predictions and plots into the run folder.

    This is the only place of a run that reads the test split.
    """
    best = ImageClassifier.from_checkpoint(folder / BEST)
    epoch = int(read_checkpoint(folder / BEST)["epoch"])
    outputs = {split: evaluate_split(best, data, split, runtime) for split in ("val", "test")}
    calibration = calibrate(outputs["val"])
    evaluation = assess(outputs["test"], calibration=calibration, train_counts=data.manifest.counts["train"])

    scores = {name: value for name, value in rows[epoch].items() if name.startswith("train/")}
    scores |= {
        f"{split}/{name}": value for split, out in outputs.items() for name, value in training_scores(out).items()
    }
    scores |= evaluation.scores()
    card = replace(best.card, scores=scores, intervals=evaluation.intervals(), calibration=calibration)
    run = Run(folder, card, {"epoch": epoch, **scores})
    _write(run, outputs, evaluation)
    pictures = {"curves": folder / "curves.png", "confusion": folder / "confusion.png"}
    draw_curves(pictures["curves"], list(rows.values()), monitor=monitor.value, best=epoch)
    accuracy = f"test, {len(outputs['test'].labels)} pictures, accuracy {run.metrics['test/accuracy']:.3f}"
    draw_confusion(pictures["confusion"], outputs["test"].confusion, run.card.classes, title=accuracy)
    tracker.summarise(run.metrics, pictures)
    tracker.keep_model(run.card, {Upload.best: [run.checkpoint], Upload.last: [folder / LAST]})
    # Last, for by this file a run is known to be finished.
    write_text(folder / METRICS, json.dumps(run.metrics, indent=2) + "\n")
    _say(run, len(outputs["test"].labels), f"epoch {epoch + 1} of {len(rows)}, by val/{monitor.value}")
    return run


def evaluate_split(classifier: ImageClassifier, data: ImageDataModule, split: str, runtime: Runtime) -> Outputs:
    """Return the classifier's outputs on a split, after checking that its classes are the data's.

    Raises:
        ArtifactError: the classes differ; the message says how.
    """
    classifier.card.check_classes(data.manifest.classes, whose=f"the data set {data.manifest.source}")
    return collect(classifier, data.dataset(split), runtime.torch_device)


def _write(run: Run, outputs: Mapping[str, Outputs], evaluation: Evaluation) -> None:
    run.card.save(run.folder / CARD)
    evaluation.save(run.folder / EVALUATION)
    for split, of_split in outputs.items():
        of_split.save(run.outputs(split))
    write_per_class(run.folder / "per_class.csv", outputs["test"])
    write_predictions(run.folder / PREDICTIONS, outputs["test"], run.card.calibration.temperature)
    _replace_card(run.checkpoint, run.card)


def _replace_card(checkpoint: Path, card: ModelCard) -> None:
    """Let the checkpoint carry its own scores too."""
    content = read_checkpoint(checkpoint)
    content[CARD_KEY] = card.to_dict()
    with replacing(checkpoint) as aside:
        torch.save(content, aside)


def _say(run: Run, pictures: int, chosen: str) -> None:
    log.info("test  %s  (%d pictures, used once; 95 %% intervals)", "  ".join(_told(run, SHOWN)), pictures)
    log.info("best  %s  (%s)", run.checkpoint, chosen)
    log.info("next  python -m mlops_cls.predict %s PICTURES --top 3", run.folder)


def _told(run: Run, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        interval = run.card.intervals.get(f"test/{name}")
        ends = "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
        yield f"{name.replace('_', ' ')} {run.metrics[f'test/{name}']:.4f}{ends}"
