"""What every benchmark does: take its sides in turn within one run, say on what machine, and write a table and a JSON.

A shared machine is slow one minute and fast the next, so sides are taken in rounds, A B C, A B C, and compared within
each round: the ratio of two sides is the median of the rounds' ratios, not the ratio of two medians.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from mlops_cls.provenance import git_state

PACKAGES = ("torch", "timm", "torchvision", "pytorch-lightning", "albumentations", "numpy", "pillow")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")
RESULTS = Path(tempfile.gettempdir()) / "mlops_cls_benchmarks"

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


def markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; floats are shown with three digits."""
    lines = [heads, ["---"] * len(heads), *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"


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
    import torch

    return {
        **_processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "git": git_state(Path(__file__).parent),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> dict[str, Any]:
    facts = Path("/proc/cpuinfo")
    text = facts.read_text() if facts.is_file() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    return {
        "processor": model[1] if model else platform.processor(),
        "flags": [name for name in FLAGS if name in present],
    }
