"""Make a trained classifier a folder that needs no torch: ``python -m mlops_cls.export runs/latest``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.bundle import FOLDER
from mlops_cls.cli import run_verb

if TYPE_CHECKING:
    from mlops_cls.bundle import Bundle

EXAMPLE = """examples:
  python -m mlops_cls.export runs/latest
  python -m mlops_cls.export runs/latest --weights --samples 24 --out models/skin
  python -m mlops_cls.export runs/latest data.root=where_the_data_are_now"""


def main(arguments: list[str]) -> None:
    """Write the bundle, compare it with the checkpoint on real pictures, and say what is in it."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.exporting.write import Wishes, export_checkpoint
    from mlops_cls.run import find_checkpoint

    checkpoint = find_checkpoint(options.model)
    wishes = Wishes(weights=options.weights, samples=options.samples)
    out = options.out or _home(checkpoint) / FOLDER
    bundle = export_checkpoint(checkpoint, out, wishes, overrides=options.overrides, pictures=options.pictures)
    _print(bundle)


def _home(checkpoint: Path) -> Path:
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def _print(bundle: "Bundle") -> None:
    for file in sorted(bundle.folder.iterdir()):
        inside = f"{file.name}/  {len(bundle.samples)} pictures with answers" if file.is_dir() else file.name
        size = sum(part.stat().st_size for part in (file.iterdir() if file.is_dir() else [file]))
        print(f"{size / 1e6:9.2f} MB  {inside}")
    parity = bundle.card.export["parity"]
    largest = max(parity["largest_difference"].values())
    print(f"same answers as the checkpoint on {parity['pictures']} pictures, probabilities within {largest:.1g}")
    print(f"written to {bundle.folder}")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.export",
        description="Write a bundle: an ONNX model with preprocessing and calibration inside, and its card.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a run folder or a .ckpt file")
    parser.add_argument("overrides", nargs="*", help="where the data are now, such as data.root=FOLDER_OR_ZIP")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"default: {FOLDER} in the run folder")
    parser.add_argument("--weights", action="store_true", help="add the weights as safetensors, for training and torch")
    parser.add_argument(
        "--samples", type=_whole, default=0, metavar="N", help="add N test pictures with the answers to them (none)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="compare with the checkpoint on these, not on the test pictures"
    )
    return parser


if __name__ == "__main__":
    run_verb(main)
