"""Resident memory of going through the store, for a data set and one ten times as large, in fresh processes.

    python benchmarks/memory.py [--workers 0 1]

A child process opens the prepared store and takes training batches for whole epochs. Its memory, and that of its
worker, is read after every few batches: all of it (RSS), its share of what several processes have mapped (PSS), and
what belongs to no file (anonymous). Peak is the highest reading, steady the median of the last epoch's.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pairs

from mlops_cls.data.augment import Augment
from mlops_cls.data.loader import StoreDataset, make_loader
from mlops_cls.data.manifest import Plan
from mlops_cls.data.prepare import prepare
from mlops_cls.data.source import Sample
from mlops_cls.data.store import Prepared
from mlops_cls.pictures import Pixels

KINDS = ("Rss", "Pss", "Anonymous")
SPLITS = {"train": 1.0, "val": 0.02, "test": 0.02}


class NoiseSource:
    """Pictures of noise made when they are asked for, so that a large store needs no large folder of files."""

    name = "noise"
    classes = None
    attributes: Mapping[str, Mapping[str, Any]] = {}

    def __init__(self, number: int, pixels: int) -> None:
        self.number, self.pixels = number, pixels
        self._noise = np.random.default_rng(0).integers(0, 256, (2 * pixels, 2 * pixels, 3), dtype=np.uint8)

    def fingerprint(self) -> str:
        return f"{self.number}-{self.pixels}"

    def samples(self) -> list[Sample]:
        sizes = {split: max(int(share * self.number), 4) for split, share in SPLITS.items()}
        return [
            Sample(f"{split}/{i}", ("even", "odd")[i % 2], split) for split, size in sizes.items() for i in range(size)
        ]

    def picture(self, sample: Sample) -> Pixels:
        """Return a part of the noise, cut at a place of its own."""
        top, left = np.random.default_rng(list(sample.id.encode())).integers(0, self.pixels, 2)
        return self._noise[top : top + self.pixels, left : left + self.pixels].copy()


def make_store(number: int, pixels: int, store: Path) -> Path:
    """Prepare `number` training pictures, and return the folder they were prepared in."""
    return prepare(NoiseSource(number, pixels), Plan(size=pixels), store).folder


def megabytes(process: int) -> dict[str, float]:
    """Return the memory of a process by kind, in MB."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return {kind: int(re.search(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE)[1]) / 1e3 for kind in KINDS}  # type: ignore[index]


def measure(prepared: Path, workers: int, epochs: int) -> dict[str, float]:
    """Go through epochs of training batches, and return peak and steady memory of this process and its worker."""
    pictures = StoreDataset(Prepared(prepared), "train", Augment([{"name": "HorizontalFlip", "p": 0.5}]))
    loader = make_loader(pictures, batch_size=32, shuffle=True, workers=workers)
    every = max(len(loader) // 10, 1)
    readings: dict[str, list[dict[str, float]]] = {}
    for epoch in range(epochs):
        for i, _ in enumerate(loader):
            if i % every == 0:
                for name, process in processes().items():
                    readings.setdefault(name, []).append({"epoch": epoch, **megabytes(process)})
    return {
        f"{name} {what} {kind}": value
        for name, taken in readings.items()
        for kind in KINDS
        for what, value in peak_and_steady(taken, kind, epochs - 1).items()
    }


def processes() -> dict[str, int]:
    """Return the ids of this process and of its first loader process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    workers = [int(child) for child in children if "resource_tracker" not in Path(f"/proc/{child}/cmdline").read_text()]
    return {"main": os.getpid()} | ({"worker": workers[0]} if workers else {})


def peak_and_steady(taken: list[dict[str, float]], kind: str, last: int) -> dict[str, float]:
    """Return the highest reading, and the median of the last epoch's."""
    return {
        "peak": max(reading[kind] for reading in taken),
        "steady": median(reading[kind] for reading in taken if reading["epoch"] == last),
    }


def in_fresh_process(prepared: Path, workers: int, epochs: int) -> dict[str, float]:
    """Return what `measure` finds in a process of its own, which loads no more than it needs."""
    command = [sys.executable, __file__, "--child", str(prepared), str(workers), str(epochs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def rows_of(workers: int, small: list[pairs.Round], large: list[pairs.Round]) -> list[list[object]]:
    """Return the table's lines: memory with the small and the large data set, and the median of their ratios."""
    return [
        [
            workers,
            name,
            pairs.medians(small)[name],
            pairs.medians(large)[name],
            median(b[name] / a[name] for a, b in zip(small, large, strict=True)),
            "" if "Anonymous" in name else 1.1,
        ]
        for name in small[0]
    ]


def main(arguments: list[str] | None = None) -> None:
    """Prepare both data sets, measure them in turn, report."""
    parser = pairs.parser_of(__file__, __doc__, rounds=3)
    parser.add_argument("--pictures", type=int, default=1000, help="training pictures of the small data set (1000)")
    parser.add_argument("--times", type=int, default=10, help="how many times as large the large one is (10)")
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args(arguments)
    sizes = (options.pictures, options.pictures * options.times)
    rows, rounds = [], {}
    with tempfile.TemporaryDirectory() as folder:
        stores = [make_store(number, options.pixels, Path(folder)) for number in sizes]
        for workers in options.workers:
            taken = [
                [in_fresh_process(store, workers, options.epochs) for store in stores] for _ in range(options.rounds)
            ]
            small, large = map(list, zip(*taken, strict=True))
            rows += rows_of(workers, small, large)
            rounds[workers] = {"small": small, "large": large}
    heads = ["workers", "memory", f"{sizes[0]} pictures, MB", f"{sizes[1]} pictures, MB", "ratio", "at most"]
    pairs.report(options, pairs.markdown(heads, rows), rounds=rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        prepared, workers, epochs = sys.argv[2:]
        print(json.dumps(measure(Path(prepared), int(workers), int(epochs))))
    else:
        main()
