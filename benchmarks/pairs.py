"""What every benchmark does: take its sides in turn within one run, say on what machine, and write a table and a JSON.

A shared machine is slow one minute and fast the next, so sides are taken in rounds, A B C, A B C, and compared within
each round: the ratio of two sides is the median of the rounds' ratios, not the ratio of two medians.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from mlops_cls.benchmarking import machine

PACKAGES = ("torch", "timm", "torchvision", "pytorch-lightning", "albumentations", "numpy", "pillow")
RESULTS = Path(tempfile.gettempdir()) / "mlops_cls_benchmarks"

markdown = machine.markdown
Round = dict[str, float]


def parser_of(script: str, doc: str, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with what all benchmarks take: ``--rounds`` and ``--out``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each side is taken ({rounds})")
    out = RESULTS / f"{Path(script).stem}.json"
    parser.add_argument("--out", type=Path, default=out, help=f"where the JSON goes ({out})")
    return parser


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> list[Round]:
    """Return what each side measured, round by round; every side must be a finite positive number."""
    measured: list[Round] = []
    for number in range(rounds):
        measured.append({})
        for name, side in sides.items():
            measured[-1][name] = side()
            say(f"round {number + 1} of {rounds}: {name} {measured[-1][name]:.4g}")
    return measured


def medians(rounds: Sequence[Round]) -> Round:
    """Return each side's median over the rounds."""
    return {name: median(taken[name] for taken in rounds) for name in rounds[0]}


def ratios(rounds: Sequence[Round], side: str) -> Round:
    """Return for every other side the median over the rounds of `side` divided by it."""
    return {name: median(taken[side] / taken[name] for taken in rounds) for name in rounds[0] if name != side}


def report(options: argparse.Namespace, text: str, **results: Any) -> None:
    """Print the table and write everything that was measured, with settings and machine, to ``--out``."""
    print(text, flush=True)
    keep(options, **results)
    say(f"written to {options.out}")


def keep(options: argparse.Namespace, **results: Any) -> None:
    """Write everything that was measured so far, with settings and machine, to ``--out``."""
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    content = {"machine": fingerprint(), "settings": settings, **results}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    aside = options.out.with_suffix(".partial")
    aside.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    aside.replace(options.out)


def say(line: str) -> None:
    """Tell how far a benchmark is, beside the table on standard output."""
    print(line, file=sys.stderr, flush=True)


def fingerprint() -> dict[str, Any]:
    """Return what a number of this machine must be quoted with: processor, memory, GPU, versions, commit, date."""
    return machine.fingerprint(PACKAGES, Path(__file__).parent)
