"""Pictures per second of training batches: ours, torchvision's, timm's, and a raw memory map as the bound.

    python benchmarks/loader.py [--workers 0 1]

The pictures are JPEGs in a temporary folder; every side crops at random, resizes, and mirrors half of them. Ours and
the bound crop from pictures prepared at ``--pixels``; the seconds of preparing them are told too, with the number of
epochs after which they have paid off. Batches are what each side's network takes: float32 and normalised by the
peers, uint8 by us, whose network normalises; with ``--normalise`` that is counted too.
"""

import math
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pairs
import peers
from check_speed import write_pictures

import mlops_cls as mc
from mlops_cls.card import Preprocess
from mlops_cls.data.manifest import Plan
from mlops_cls.models.classifier import Normalise

UINT8_SIDES = ("ours", "raw memmap")
TARGETS = {"torchvision": 10, "timm": 8, "raw memmap": 0.7}


def write_folder(root: Path, number: int, size: tuple[int, int], held_out: int = 16) -> Path:
    """Write `number` training pictures and a few others, as ``split/class/picture``."""
    for split, count in {"train": number, "val": held_out, "test": held_out}.items():
        write_pictures(root / split, count, size)
    return root


def make_data(root: Path, store: Path, options: Namespace, workers: int) -> mc.FolderDataModule:
    """Return our data module over the written pictures."""
    return mc.FolderDataModule(
        root,
        plan=Plan(size=options.pixels),
        store=store,
        # The written pictures resemble one another, which the doctor would refuse; it looks and counts all the same.
        check="warn",
        augment=peers.crop_and_flip(options.pixels),
        batch_size=options.batch,
        workers=workers,
    )


def make_sides(data: mc.FolderDataModule, root: Path, options: Namespace, workers: int) -> dict[str, Any]:
    """Return what each side iterates over for an epoch."""
    arguments = {"size": options.pixels, "batch": options.batch, "workers": workers}
    prepared = data.prepared
    raw = peers.RawPictures(prepared.folder / "train.npy", prepared.labels("train"), size=options.pixels)
    return {
        "ours": data.train_dataloader(),
        "torchvision": peers.torchvision_loader(root / "train", **arguments),
        "timm": peers.timm_loader(root / "train", **arguments),
        "raw memmap": peers.BareLoop(raw, batch=options.batch, workers=workers),
    }


def rate(batches: Iterable[peers.Batch], seconds: float, skipped: int, normalise: Normalise | None) -> float:
    """Return pictures per second over as many epochs as fill `seconds`, without each one's first batches."""
    pictures, spent = 0, 0.0
    while spent < seconds:
        epoch = iter(batches)
        for _ in range(skipped):
            next(epoch)
        start = time.perf_counter()
        for images, _ in epoch:
            pictures += len(images if normalise is None else normalise(images))
        spent += time.perf_counter() - start
    return pictures / spent


def compare(data: mc.FolderDataModule, root: Path, options: Namespace, workers: int) -> list[pairs.Round]:
    """Return the pictures per second of all sides, round by round."""
    normalise = Normalise(Preprocess(size=options.pixels, mean=peers.MEAN, std=peers.STD))
    sides = {
        name: partial(
            rate,
            batches,
            options.seconds,
            max(1, workers),
            normalise if options.normalise and name in UINT8_SIDES else None,
        )
        for name, batches in make_sides(data, root, options, workers).items()
    }
    for side in sides.values():
        side()  # to warm up
    return pairs.in_turn(sides, options.rounds)


def break_even(preparing: float, pictures: int, rates: Mapping[str, float]) -> float:
    """Return after how many epochs preparing has cost less than torchvision's slower epochs; infinite if never."""
    gained = pictures / rates["torchvision"] - pictures / rates["ours"]
    return math.ceil(preparing / gained) if gained > 0 else math.inf


def rows_of(workers: int, rounds: list[pairs.Round]) -> list[list[object]]:
    """Return the table's lines for one number of workers."""
    ours = pairs.ratios(rounds, "ours")
    return [
        [workers, name, rate, ours.get(name, 1.0), TARGETS.get(name, "")]
        for name, rate in pairs.medians(rounds).items()
    ]


def main(arguments: list[str] | None = None) -> None:
    """Write, prepare, compare, report."""
    parser = pairs.parser_of(__file__, __doc__, rounds=5)
    parser.add_argument("--pictures", type=int, default=1024)
    parser.add_argument("--size", type=int, nargs=2, default=(600, 450), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--pixels", type=int, default=224, help="side of the squares in a batch (224)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seconds", type=float, default=2, help="how long a side is taken in a round (2)")
    parser.add_argument("--normalise", action="store_true", help="count our normalisation, which is the network's")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = write_folder(Path(folder) / "raw", options.pictures, tuple(options.size))
        start = time.perf_counter()
        make_data(root, Path(folder) / "store", options, 0).prepare_data()
        preparing = time.perf_counter() - start
        rounds = {
            workers: compare(make_data(root, Path(folder) / "store", options, workers), root, options, workers)
            for workers in options.workers
        }
    epochs = {
        workers: break_even(preparing, options.pictures, pairs.medians(taken)) for workers, taken in rounds.items()
    }
    heads = ["workers", "side", "pictures/s", "ours is times as fast", "target"]
    table = pairs.markdown(heads, [row for workers, taken in rounds.items() for row in rows_of(workers, taken)])
    after = ", ".join(f"{number} with {workers} workers" for workers, number in epochs.items())
    paid = f"Preparing {options.pictures} pictures: {preparing:.1f} s, paid off against torchvision in epochs: {after}"
    pairs.report(options, f"{table}\n\n{paid}", preparing=preparing, break_even=epochs, rounds=rounds)


if __name__ == "__main__":
    main()
