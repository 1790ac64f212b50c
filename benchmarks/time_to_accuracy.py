"""Seconds until a target accuracy on held-out pictures, preparation included: ours, timm's and plain Lightning's way.

    python benchmarks/time_to_accuracy.py fmnist --data FOLDER
    python benchmarks/time_to_accuracy.py skin_lesion --data ZIP --targets 0.45

The same network, the one that ``--ours`` names, is trained on all sides. Held out are the official 10,000 of
Fashion-MNIST, or the test part of our split by lesion; the peers train on all other pictures, ours sets some of them
apart to validate. Every training's result is kept as soon as it is there: ``--resume FILE`` goes on after an
interruption. A side that misses a target within ``--limit`` seconds or its epochs enters the ratio with the seconds it
spent, which makes that a lower bound (≥).
"""

import gzip
import json
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import pairs
from torchvision import datasets
from trainings import TRAININGS, Pictures, Race, Settings

import mlops_cls as mc
from mlops_cls.build import make_plan, make_source
from mlops_cls.data.manifest import Plan
from mlops_cls.data.partition import partition
from mlops_cls.data.source import Source

Record = dict[str, Any]
OURS = {
    "fmnist": ["experiment=fmnist_fast"],
    "skin_lesion": [
        "experiment=resnet18",
        "data=skin_lesion",
        "augment=skin_lesion",
        "data.size=96",
        "data.batch_size=32",
        "trainer.max_epochs=12",
        "trainer.monitor=balanced_accuracy",
    ],
}
METRICS = {"fmnist": "accuracy", "skin_lesion": "balanced_accuracy"}
TARGETS = {"fmnist": [0.90, 0.93], "skin_lesion": [0.45]}


def unpack_fmnist(data: Path, folder: Path, size: int) -> Pictures:
    """Return Fashion-MNIST as torchvision reads it, its files unpacked where torchvision looks for them."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(gzip.decompress((data / f"{name}-ubyte.gz").read_bytes()))
    return Pictures(
        training=lambda transform: datasets.FashionMNIST(str(folder), train=True, transform=transform),
        held_out=lambda transform: datasets.FashionMNIST(str(folder), train=False, transform=transform),
        classes=10,
        channels=1,
        size=size,
        mean=(0.2860,),
        std=(0.3530,),
    )


def unpack_folders(source: Source, plan: Plan, folder: Path, size: int) -> Pictures:
    """Return pictures as ImageFolder reads them, written as ``training or held_out/class/id.jpg`` by our split."""
    chosen, _ = partition(source.samples(), plan)
    for sample in chosen:
        place = folder / ("held_out" if sample.split == "test" else "training") / sample.label
        place.mkdir(parents=True, exist_ok=True)
        picture = source.picture(sample)
        assert isinstance(picture, bytes)
        (place / f"{sample.id}.jpg").write_bytes(picture)
    return Pictures(
        training=lambda transform: datasets.ImageFolder(folder / "training", transform),
        held_out=lambda transform: datasets.ImageFolder(folder / "held_out", transform),
        classes=len({sample.label for sample in chosen}),
        channels=3,
        size=size,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def unpack(options: Namespace, ours: Sequence[str], folder: Path) -> Pictures:
    """Return the data set as the peers read it."""
    config = mc.load_config(*ours)
    size = config.data.size or 224
    if options.name == "fmnist":
        return unpack_fmnist(options.data, folder, size)
    return unpack_folders(make_source(config.data), make_plan(config.data, None), folder, size)


def train(side: str, seed: int, pictures: Pictures, settings: Settings, options: Namespace) -> Record:
    """Return what one training reached, and when."""
    race = Race(METRICS[options.name], options.targets, options.limit)
    TRAININGS[side](pictures, settings, seed, race)
    reached = {str(target): race.reached(target) for target in options.targets}
    return {"side": side, "seed": seed, "reached": reached, "spent": race.epochs[-1][0], "epochs": race.epochs}


def summarise(records: Sequence[Record], sides: Sequence[str], target: float) -> list[list[object]]:
    """Return the table's lines for one target."""
    rows: list[list[object]] = []
    for side in sides:
        taken = [record for record in records if record["side"] == side]
        if not taken:
            continue
        seconds = [record["reached"][str(target)] for record in taken]
        rows.append([target, side, spread(taken, seconds), f"{best(taken):.4f}", versus(records, taken, target)])
    return rows


def spread(taken: Sequence[Record], seconds: Sequence[float | None]) -> str:
    """Return mean and range over seeds, or how many of them missed the target within how long."""
    there = [value for value in seconds if value is not None]
    missed = [record["spent"] for record, value in zip(taken, seconds, strict=True) if value is None]
    parts = [f"{mean(there):.0f} ({min(there):.0f} to {max(there):.0f})"] if there else []
    if missed:
        parts.append(f"{len(missed)} of {len(seconds)} not within {min(missed):.0f} s")
    return "; ".join(parts)


def best(taken: Sequence[Record]) -> float:
    """Return the highest score at any epoch's end."""
    return max(score for record in taken for _, score in record["epochs"])


def versus(records: Sequence[Record], taken: Sequence[Record], target: float) -> str:
    """Return the median over seeds of the side's seconds divided by ours; ≥ where it missed the target."""
    ours = {r["seed"]: r["reached"][str(target)] for r in records if r["side"] == "ours"}
    both = [record for record in taken if ours.get(record["seed"])]
    if not both:
        return "unknown: ours missed it"
    quotients = [(record["reached"][str(target)] or record["spent"]) / ours[record["seed"]] for record in both]
    bound = "≥ " if any(record["reached"][str(target)] is None for record in both) else ""
    return f"{bound}{median(quotients):.2f}"


def table_of(records: Sequence[Record], options: Namespace) -> str:
    """Return the Markdown table of all targets."""
    heads = ["target", "side", "seconds, mean (range)", f"best {METRICS[options.name]}", "seconds of ours' (ratio)"]
    return pairs.markdown(
        heads, [row for target in options.targets for row in summarise(records, options.sides, target)]
    )


def options_of(arguments: list[str] | None) -> Namespace:
    """Return the options, with the data set's own defaults filled in."""
    parser = pairs.parser_of(__file__, __doc__, rounds=3)
    parser.add_argument("name", choices=list(OURS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", dest="rounds", type=int, help="trainings of each side, the same as --rounds (3)")
    parser.add_argument("--targets", type=float, nargs="+")
    parser.add_argument("--sides", nargs="+", choices=list(TRAININGS), default=list(TRAININGS))
    parser.add_argument("--ours", nargs="+", metavar="OVERRIDE", help="our experiment and its changes")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of the peers; timm's 300 would be absurd (20)")
    parser.add_argument("--batch", type=int, default=128, help="pictures per batch of the peers, timm's default (128)")
    parser.add_argument("--workers", type=int, default=0, help="loader processes of the peers (0)")
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which a training stops (3600)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on with the results of this JSON")
    options = parser.parse_args(arguments)
    options.targets = sorted(options.targets or TARGETS[options.name])
    options.ours = options.ours or OURS[options.name]
    options.out = options.resume or options.out
    return options


def main(arguments: list[str] | None = None) -> None:
    """Train side after side for each seed, keep every result, report."""
    options = options_of(arguments)
    records: list[Record] = json.loads(options.resume.read_text())["records"] if options.resume else []
    ours = [*options.ours, f"data.root={options.data}"]
    settings = Settings(ours, options.batch, options.epochs, options.workers)
    with tempfile.TemporaryDirectory() as folder:
        pictures = unpack(options, ours, Path(folder))
        for seed in range(options.rounds):
            for side in options.sides:
                if not any((record["side"], record["seed"]) == (side, seed) for record in records):
                    records.append(train(side, seed, pictures, settings, options))
                    pairs.keep(options, records=records)
                    pairs.say(f"seed {seed}: {side} {records[-1]['reached']} after {records[-1]['spent']} s")
    pairs.report(options, table_of(records, options), records=records)


if __name__ == "__main__":
    main()
