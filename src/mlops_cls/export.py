"""Make a trained classifier a folder that needs no torch: ``python -m mlops_cls.export runs/latest``."""

import argparse
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_cls.bundle import FOLDER
from mlops_cls.cli import run_verb
from mlops_cls.errors import ArtifactError

if TYPE_CHECKING:
    from mlops_cls.bundle import Bundle

EXAMPLE = """examples:
  python -m mlops_cls.export runs/latest
  python -m mlops_cls.export runs/latest --int8
  python -m mlops_cls.export runs/latest --weights --samples 24 --out models/skin
  python -m mlops_cls.export runs/latest data.root=where_the_data_are_now"""


def main(arguments: list[str]) -> None:
    """Write the bundle, compare it with the checkpoint on real pictures, and say what is in it."""
    options = _parser().parse_intermixed_args(arguments)
    from mlops_cls.console import say_to
    from mlops_cls.exporting.write import Wishes, export_checkpoint
    from mlops_cls.run import find_checkpoint, home_of

    checkpoint = find_checkpoint(options.model)
    wishes = Wishes(weights=options.weights, samples=options.samples, int8=options.int8, most_lost=options.most_lost)
    out = options.out or home_of(checkpoint) / FOLDER
    with say_to(None):
        bundle = export_checkpoint(checkpoint, out, wishes, overrides=options.overrides, pictures=options.pictures)
    _print(bundle)


def _print(bundle: "Bundle") -> None:
    from mlops_cls.exporting.cost import Cost

    for file in sorted(bundle.folder.iterdir()):
        inside = f"{file.name}/  {len(bundle.samples)} pictures with answers" if file.is_dir() else file.name
        size = sum(part.stat().st_size for part in (file.iterdir() if file.is_dir() else [file]))
        print(f"{size / 1e6:9.2f} MB  {inside}")
    parity = bundle.card.export["parity"]
    largest = max(parity["largest_difference"].values())
    print(f"same answers as the checkpoint on {parity['pictures']} pictures, probabilities within {largest:.1g}")
    int8 = bundle.card.export.get("int8")
    if int8:
        print(f"in 8 bits: {Cost(**int8['cost'])}")
    print(f"written to {bundle.folder}")
    if int8 and not int8["kept"]:
        raise ArtifactError(
            f"the 8-bit model was left out, for it may lose {-int8['cost']['low']:.4f} of accuracy, more than "
            f"--most-lost {int8['most_lost']:g}; the rest of the bundle is whole. Try backend=openvino-bf16, or "
            f"accept it: --int8 --most-lost {ceil(-100 * int8['cost']['low']) / 100:g}"
        )


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give a number from 0 to 1, such as 0.01")
    return value


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
    parser.add_argument("--int8", action="store_true", help="add the model in 8-bit numbers if it loses little")
    parser.add_argument(
        "--most-lost", type=_share, default=0.01, metavar="SHARE", help="accuracy that it may lose (default 0.01)"
    )
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
