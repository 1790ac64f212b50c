"""The speed table of a bundle: every side's size, latency, throughput, accuracy, and what it loses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mlops_cls.backends.fastest import example_pictures
from mlops_cls.benchmarking.machine import markdown
from mlops_cls.benchmarking.sides import Side
from mlops_cls.benchmarking.timing import Speed, summarise, time_in_turn
from mlops_cls.card import Preprocess
from mlops_cls.data.datamodules import ImageDataModule
from mlops_cls.exporting.cost import Cost, compare
from mlops_cls.exporting.parity import in_batches
from mlops_cls.exporting.pictures import pictures_of, spread
from mlops_cls.pictures import Pixels

BATCHES = {1: 10, 16: 3}
"""By the size: calls of a round."""
MOST_AT_ONCE = max(BATCHES)


def examples(preprocess: Preprocess, data: ImageDataModule | None) -> Pixels:
    """Return pictures for the largest batch, uint8[N,C,H,W]: real ones where there are."""
    if data is None:
        return example_pictures(preprocess.size, preprocess.channels, MOST_AT_ONCE)
    return spread(data, ("test", "val"), MOST_AT_ONCE)


def speeds(sides: Sequence[Side], images: Pixels, *, rounds: int) -> dict[str, dict[int, Speed]]:
    """Return for each side its speed on one picture and on sixteen, against the first side's."""
    found: dict[str, dict[int, Speed]] = {side.name: {} for side in sides}
    for batch, calls in BATCHES.items():
        taken = time_in_turn(sides, images[:batch], rounds=rounds, calls=calls)
        for name, each in found.items():
            each[batch] = summarise(taken, name, batch=batch, against=sides[0].name)
    return found


def costs(sides: Sequence[Side], data: ImageDataModule, most: int) -> dict[str, Cost]:
    """Return the accuracy of each side on at most so many test pictures, against the first side's."""
    split, number = "test", data.manifest.size_of("test")
    # Full batches only, for which all has been compiled.
    rows = np.linspace(0, number - 1, max(min(most, number) // MOST_AT_ONCE, 1) * MOST_AT_ONCE).astype(np.int64)
    groups = data.prepared.rows(split)["group"].take(rows).to_pylist()
    images, labels = pictures_of(data, split, rows), data.prepared.labels(split)[rows]
    answers = {side.name: in_batches(side.forward, images, MOST_AT_ONCE) for side in sides}
    first = answers[sides[0].name]
    together = None if None in groups else groups
    return {name: compare(first, each, labels, split=split, groups=together) for name, each in answers.items()}


def table(
    sides: Sequence[Side], fast: Mapping[str, Mapping[int, Speed]], exact: Mapping[str, Cost] | None
) -> tuple[str, dict[str, Any]]:
    """Return the table in Markdown, and the same as plain values by the side's name."""
    heads = ["", "MB"]
    for batch in BATCHES:
        heads += [f"batch {batch}: p50 ms", "p95 ms", "pictures/s", f"x {sides[0].name}"]
    heads += ["accuracy", "change (95 %)"] if exact else []
    rows = [_row(side, fast[side.name], exact[side.name] if exact else None) for side in sides]
    if exact:
        rows[0][-1] = ""
    values = {
        side.name: {
            "bytes": side.bytes,
            "speed": {str(batch): asdict(speed) for batch, speed in fast[side.name].items()},
            "cost": exact[side.name].to_dict() if exact else None,
        }
        for side in sides
    }
    return markdown(heads, rows), values


def _row(side: Side, fast: Mapping[int, Speed], cost: Cost | None) -> list[object]:
    cells: list[object] = [side.name, side.bytes / 1e6]
    for speed in fast.values():
        cells += [speed.p50, speed.p95, speed.pictures_per_second, speed.times_as_fast]
    if cost is not None:
        cells += [f"{cost.after:.4f}", f"{cost.change:+.4f} ({cost.low:+.4f} to {cost.high:+.4f})"]
    return cells
