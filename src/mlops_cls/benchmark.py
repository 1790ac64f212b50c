"""Compare how fast a model answers by all that can compute it: ``python -m mlops_cls.benchmark runs/latest``."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_cls.atomic import write_text
from mlops_cls.cli import positive, run_verb
from mlops_cls.errors import DataError
from mlops_cls.publishing.fetch import local

if TYPE_CHECKING:
    from mlops_cls.bundle import Bundle
    from mlops_cls.models.classifier import ImageClassifier

EXAMPLE = """examples:
  python -m mlops_cls.benchmark runs/latest
  python -m mlops_cls.benchmark models/skin data.root=where_the_data_are_now --out speed.json
  python -m mlops_cls.benchmark models/skin --no-accuracy --no-compile
  python -m mlops_cls.benchmark wandb:skin:candidate --no-accuracy --no-compile --most-ms 50

A bundle that holds samples is asked for them first: exit code 2 if the answers are not those of its export.
exit code 3: no back end of the bundle answers one picture within --most-ms"""
EXIT_SLOW = 3
PACKAGES = ("mlops-cls", "torch", "timm", "onnxruntime", "openvino", "numpy")
PICTURES = 1000


def main(arguments: list[str]) -> None:
    """Time all sides in turn, ask them about the test pictures, print the table."""
    options = _parser().parse_intermixed_args(arguments)
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise DataError(f"--out {options.out}: the folder {options.out.parent} does not exist")
    from mlops_cls.benchmarking.sides import find_model, on_all_cores

    bundle, classifier = find_model(local(options.model))
    if classifier is None:
        print("no times of torch, whose weights are not there: export with --weights, or give the run folder")
    with on_all_cores():
        text, measured = _measure(bundle, classifier, options)
    print(text)
    if options.out is not None:
        write_text(options.out, json.dumps(measured, indent=2) + "\n")
        print(f"written to {options.out}")
    if options.most_ms is not None and not _in_time(measured["sides"], options.most_ms):
        sys.exit(EXIT_SLOW)


def _in_time(sides: dict[str, Any], most: float) -> bool:
    """Tell, with the numbers, whether 95 of 100 single pictures are answered in time by what needs no torch."""
    from mlops_cls.backends.kinds import KINDS

    slowest = {name: side["speed"]["1"]["p95"] for name, side in sides.items() if name in KINDS}
    best = min(slowest, key=lambda name: slowest[name])
    fast = bool(slowest[best] <= most)
    print(f"{'in time' if fast else 'too slow'}: {best} takes {slowest[best]:.3g} ms (p95), allowed are {most:g}")
    return fast


def _measure(
    bundle: "Bundle", classifier: "ImageClassifier | None", options: argparse.Namespace
) -> tuple[str, dict[str, Any]]:
    from mlops_cls.benchmarking.compare import costs, examples, speeds, table
    from mlops_cls.benchmarking.machine import fingerprint
    from mlops_cls.benchmarking.samples import ask_samples
    from mlops_cls.benchmarking.sides import sides_of, usable
    from mlops_cls.exporting.pictures import open_data

    data = open_data(bundle.card, options.overrides, otherwise="--no-accuracy") if options.accuracy else None
    images = examples(bundle.card.preprocess, data)
    sides = usable(sides_of(bundle, classifier, compiled=options.compile), images)
    print(ask_samples(bundle, sides))
    exact = costs(sides, data, options.pictures) if data else None
    text, values = table(sides, speeds(sides, images, rounds=options.rounds), exact)
    settings = {"model": str(options.model), "rounds": options.rounds, "size": bundle.card.preprocess.size}
    network = bundle.card.architecture.name
    machine = fingerprint(PACKAGES, Path.cwd())
    return text, {"machine": machine, "settings": settings, "network": network, "sides": values}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.benchmark",
        description="Compare size, speed and accuracy of a model in torch, onnxruntime and OpenVINO, on this machine.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a bundle, the folder of a run that was exported, or a published one: dvc:NAME")
    parser.add_argument("overrides", nargs="*", help="where the data are now, such as data.root=FOLDER_OR_ZIP")
    parser.add_argument("--rounds", type=positive, default=7, metavar="N", help="how often each is timed (7)")
    parser.add_argument(
        "--pictures", type=positive, default=PICTURES, metavar="N", help=f"test pictures for the accuracy ({PICTURES})"
    )
    parser.add_argument(
        "--accuracy", action=argparse.BooleanOptionalAction, default=True, help="needs the data set (yes)"
    )
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True, help="time torch.compile too (yes)"
    )
    parser.add_argument(
        "--most-ms", type=_milliseconds, metavar="MS", help="exit with 3 if one picture takes longer (p95)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all numbers and the machine as JSON")
    return parser


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of milliseconds above 0")
    return value


if __name__ == "__main__":
    run_verb(main)
