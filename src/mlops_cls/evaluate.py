"""Score a trained classifier: ``python -m mlops_cls.evaluate runs/latest``."""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.bundle import Bundle
from mlops_cls.cli import positive, run_verb
from mlops_cls.publishing.address import parse

if TYPE_CHECKING:
    from mlops_cls.evaluation.assess import Evaluation
    from mlops_cls.evaluation.outputs import Outputs

EXAMPLE = """examples:
  python -m mlops_cls.evaluate runs/latest
  python -m mlops_cls.evaluate runs/latest --against runs/2026-11-20_09-30-00_resnet18
  python -m mlops_cls.evaluate runs/latest --split val --robustness --flips --probe --report
  python -m mlops_cls.evaluate gs://my-bucket/models/skin_lesion --against dvc:skin_lesion
  python -m mlops_cls.evaluate runs/latest --split all data=folder data.root=new_pictures"""
SPLITS = ("train", "val", "test", "all")


def main(arguments: list[str]) -> None:
    """Score on the data the classifier was trained for, or on other data of the same classes."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.evaluation.text import lines
    from mlops_cls.measuring import Extras, Measured

    model, split = options.model, options.split
    measured = Measured(model, split, options.overrides, device=options.device, backend=options.backend)
    extras = Extras(
        against=options.against,
        flips=options.flips,
        probe=options.probe,
        robustness=options.robustness_limit if options.robustness else 0,
    )
    evaluation = measured.evaluate(extras)
    folder = options.out or _default_folder(model) / split
    _write(folder, evaluation, measured.outputs)
    if options.report:
        measured.write_report(folder / "report.html", evaluation)
    print("\n".join(lines(evaluation.to_dict())))
    print(f"\nwritten to {folder}: {', '.join(sorted(file.name for file in folder.iterdir() if file.is_file()))}")


def _default_folder(named: str) -> Path:
    """Return evaluation/ of the run, or beside a bundle or checkpoint that lies elsewhere; of a published one, here."""
    if parse(named) is not None:
        return Path(re.sub(r"\W+", "_", f"{named}_evaluation"))
    model = Path(named)
    if model.is_dir():
        return model.with_name(f"{model.resolve().name}_evaluation") if Bundle.is_at(model) else model / "evaluation"
    home = model.parent.parent if model.parent.name == "checkpoints" else model.parent
    return home / "evaluation"


def _write(folder: Path, evaluation: "Evaluation", outputs: "Outputs") -> None:
    from mlops_cls.atomic import write_text
    from mlops_cls.evaluation.answers import Answers
    from mlops_cls.evaluation.plots import draw_confusion
    from mlops_cls.evaluation.tables import write_per_class, write_predictions
    from mlops_cls.run import EVALUATION, METRICS

    folder.mkdir(parents=True, exist_ok=True)
    split = evaluation.split
    # Of training, which knew no temperature.
    loss = float(Answers.of(outputs).log_losses.mean())
    scores = {f"{split}/loss": loss, **evaluation.scores()}
    write_text(folder / METRICS, json.dumps(scores, indent=2) + "\n")
    evaluation.save(folder / EVALUATION)
    write_predictions(folder / "predictions.csv", outputs, evaluation.calibration["temperature"])
    write_per_class(folder / "per_class.csv", outputs)
    title = f"{split}, {evaluation.pictures} pictures, accuracy {scores[f'{split}/accuracy']:.3f}"
    draw_confusion(folder / "confusion.png", outputs.confusion, outputs.classes, title=title)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.evaluate",
        description="Score a trained classifier on a split, with 95 % intervals (see docs/evaluation.md).",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a run folder, a .ckpt file, a bundle, or a published one such as dvc:NAME")
    parser.add_argument(
        "overrides", nargs="*", help="other data, such as data=folder data.root=FOLDER; other store: data.store=FOLDER"
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="RUN",
        help="another run or bundle, to be compared with on the same pictures; may be given several times",
    )
    parser.add_argument("--flips", action="store_true", help="try the mean over each picture and its mirror image")
    parser.add_argument("--robustness", action="store_true", help="score pictures that were made worse in 15 ways")
    parser.add_argument(
        "--robustness-limit", type=positive, default=1000, metavar="N", help="of so many pictures (default 1000)"
    )
    parser.add_argument("--probe", action="store_true", help="train a linear model on small pictures, as a baseline")
    parser.add_argument("--report", action="store_true", help="draw report.html too, with pictures")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: evaluation/SPLIT in the run folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    parser.add_argument("--backend", default=DEFAULT, help=f"what computes a bundle (default {DEFAULT})")
    return parser


if __name__ == "__main__":
    run_verb(main)
