"""Put finished runs beside one another: ``python -m mlops_cls.compare runs``."""

import argparse
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from mlops_cls.cli import run_verb

if TYPE_CHECKING:
    from mlops_cls.report.comparison import Compared, Comparison

EXAMPLE = """examples:
  python -m mlops_cls.compare runs/2026-11-20_10-00-00_a runs/2026-11-21_09-30-00_b
  python -m mlops_cls.compare runs                           # every finished run in it
  python -m mlops_cls.compare 'runs/*resnet*' --best --out comparison"""
HEADER = ("run", "accuracy", "95 % interval", "balanced", "log loss", "weights", "epochs", "time", "against", "p")
MOST_COLUMNS, WIDEST = 6, 160


def main(arguments: list[str]) -> None:
    """Print scores with intervals, what differs, and paired differences; with --out, write a page and tables too."""
    options = _parser().parse_args(arguments)
    from mlops_cls.comparing import compare, find_runs

    runs, skipped = find_runs(options.runs)
    comparison = compare(runs, skipped, best=options.best)
    _print(comparison)
    if options.out:
        _write(options.out, comparison)


def _print(comparison: "Comparison") -> None:
    from mlops_cls.report.text import aligned

    for folder, reason in comparison.skipped.items():
        print(f"skipped {folder}: {reason}")
    print(*aligned(HEADER, [_line(*numbered, comparison) for numbered in enumerate(comparison.rows, 1)]), sep="\n")
    print(f"against: accuracy in points less that of {comparison.against}, on the same pictures")
    for row in comparison.rows:
        if row.refused:
            print(f"not in pairs: {shorten(row.refused, WIDEST)}")
    _print_settings(comparison)


def _line(number: int, row: "Compared", comparison: "Comparison") -> list[str]:
    from mlops_cls.report.numbers import NONE, decimal, millions, percent, points, seconds, span

    paired = next((found for found in row.differences if found["score"] == "accuracy"), None)
    none = "" if row.folder == comparison.against else NONE
    return [
        f"{number}  {row.name}",
        percent(row.scores["accuracy"]["value"]),
        span(row.scores["accuracy"]),
        percent(row.scores["balanced_accuracy"]["value"]),
        decimal(row.scores["log_loss"]["value"]),
        millions(row.parameters),
        f"{row.epochs}",
        NONE if row.seconds is None else seconds(row.seconds),
        points(paired["difference"]) if paired else none,
        decimal(paired["p"], 4) if paired else none,
    ]


def _print_settings(comparison: "Comparison") -> None:
    """Print the settings that differ, a line each; of many runs only which."""
    from mlops_cls.report.text import aligned

    rows, keys = comparison.rows, comparison.differing
    if len(rows) > MOST_COLUMNS:
        print(f"settings that differ, which --out writes: {', '.join(keys)}")
    elif keys:
        lines = [[key, *(shorten(str(row.settings.get(key, "")), 22) for row in rows)] for key in keys]
        print("", *aligned(["setting", *(str(number) for number in range(1, len(rows) + 1))], lines), sep="\n")


def _write(folder: Path, comparison: "Comparison") -> None:
    from mlops_cls.errors import ArtifactError
    from mlops_cls.report.comparison import write_comparison

    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_comparison(folder, comparison)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written ({error.strerror}): give another --out FOLDER") from error
    print(f"written to {folder}: comparison.html, comparison.csv and comparison.json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_cls.compare",
        description="Put finished runs beside one another: test scores with 95 %% intervals, what they took, the "
        "settings that differ, and the paired difference of each to the first one given.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run folder, a folder of them, or a pattern of either")
    parser.add_argument("--best", action="store_true", help="compare with the most accurate run, not the first")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write a page, a CSV and a JSON file there")
    return parser


if __name__ == "__main__":
    run_verb(main)
