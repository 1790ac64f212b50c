"""Compare finished runs, two by two, on the test pictures they share: ``python benchmarks/compare_runs.py OLD NEW …``.

Prints a Markdown table with the accuracy of each run, its 95 % interval (Wilson 1927, JASA 22:209), and the difference
with the 95 % interval of a bootstrap over pictures (Efron and Tibshirani 1993, chapter 13), which keeps the pairs
together: both runs answered the same pictures.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

import mlops_cls as mc

RESAMPLES = 10_000
Hits = NDArray[np.bool_]


def hits_of(run: mc.Run) -> dict[str, bool]:
    """Return for each test picture's id whether its class was told."""
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["true"] == row["predicted"] for row in csv.DictReader(file)}


def accuracy(hits: Hits) -> str:
    """Return the accuracy in per cent with its interval."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return f"{100 * hits.mean():.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def gain(old: Hits, new: Hits) -> str:
    """Return the difference in points with its interval."""
    apart = new.astype(int) - old.astype(int)
    rows = np.random.default_rng(0).integers(len(apart), size=(RESAMPLES, len(apart)), dtype=np.int32)
    low, high = np.quantile(apart[rows].mean(axis=1), [0.025, 0.975])
    return f"{100 * apart.mean():+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def line(old: mc.Run, new: mc.Run) -> str:
    """Return the table's line for two runs."""
    first, second = hits_of(old), hits_of(new)
    if first.keys() != second.keys():
        sys.exit(f"{old.folder} and {new.folder} were not tested on the same pictures")
    a, b = (np.array([hits[name] for name in first]) for hits in (first, second))
    names = [run.card.provenance["config"]["run"]["name"] for run in (old, new)]
    balanced = [f"{100 * run.metrics['test/balanced_accuracy']:.1f}" for run in (old, new)]
    cells = [
        f"`{names[0]}`",
        accuracy(a),
        balanced[0],
        f"`{names[1]}`",
        accuracy(b),
        balanced[1],
        gain(a, b),
        str(len(a)),
    ]
    return f"| {' | '.join(cells)} |"


def main(folders: list[str]) -> None:
    """Print the table."""
    if not folders or len(folders) % 2:
        sys.exit(__doc__)
    runs = [mc.Run.open(Path(folder)) for folder in folders]
    heads = ["original", "accuracy %", "balanced %", "ours", "accuracy %", "balanced %", "difference", "pictures"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for old, new in zip(runs[::2], runs[1::2], strict=True):
        print(line(old, new))


if __name__ == "__main__":
    main(sys.argv[1:])
