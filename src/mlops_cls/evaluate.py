"""Score a trained classifier: ``python -m mlops_cls.evaluate runs/latest``."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.cli import run_verb

if TYPE_CHECKING:
    from mlops_cls.card import ModelCard
    from mlops_cls.evaluation.outputs import Outputs

EXAMPLE = """examples:
  python -m mlops_cls.evaluate runs/latest
  python -m mlops_cls.evaluate runs/latest --split val
  python -m mlops_cls.evaluate runs/latest --split all data=folder data.root=new_pictures"""
SPLITS = ("train", "val", "test", "all")


def main(arguments: list[str]) -> None:
    """Score on the data the classifier was trained for, or on other data of the same classes."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.run import find_checkpoint
    from mlops_cls.scoring import score_checkpoint

    checkpoint = find_checkpoint(options.model)
    card, outputs = score_checkpoint(checkpoint, options.split, options.overrides, device=options.device)
    folder = options.out or _default_folder(checkpoint) / options.split
    _write(folder, card, outputs, options.split)
    _print(card, outputs, folder)


def _default_folder(checkpoint: Path) -> Path:
    home = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    return home / "evaluation"


def _write(folder: Path, card: "ModelCard", outputs: "Outputs", split: str) -> None:
    from mlops_cls.evaluation.collect import training_scores
    from mlops_cls.evaluation.plots import draw_confusion
    from mlops_cls.evaluation.tables import write_per_class, write_predictions

    folder.mkdir(parents=True, exist_ok=True)
    scores = {f"{split}/{name}": value for name, value in training_scores(outputs).items()}
    (folder / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    write_predictions(folder / "predictions.csv", outputs, card.calibration.temperature)
    write_per_class(folder / "per_class.csv", outputs)
    title = f"{split}, {len(outputs.labels)} pictures, accuracy {scores[f'{split}/accuracy']:.3f}"
    draw_confusion(folder / "confusion.png", outputs.confusion, card.classes, title=title)


def _print(card: "ModelCard", outputs: "Outputs", folder: Path) -> None:
    import torch

    from mlops_cls.evaluation.collect import training_scores
    from mlops_cls.models.metrics import per_class

    each = per_class(torch.from_numpy(outputs.confusion))
    width = max(map(len, ("class", *card.classes)))
    print(f"{'class':<{width}}  precision  recall     f1  pictures")
    for i, name in enumerate(card.classes):
        precision, recall, f1, support = (float(each[key][i]) for key in ("precision", "recall", "f1", "support"))
        print(f"{name:<{width}}  {precision:9.4f}  {recall:6.4f}  {f1:5.3f}  {support:8.0f}")
    for score, value in training_scores(outputs).items():
        print(f"{score:<17}  {value:.4f}")
    print(f"written to {folder}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.evaluate",
        description="Score a trained classifier on a split, in float32, as training did at its end.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a run folder or a .ckpt file")
    parser.add_argument(
        "overrides", nargs="*", help="other data, such as data=folder data.root=FOLDER; other store: data.store=FOLDER"
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: evaluation/SPLIT in the run folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    return parser


if __name__ == "__main__":
    run_verb(main)
