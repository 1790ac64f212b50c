"""What a number must be quoted with: the machine, the versions, and a table to read."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mlops_cls.provenance import git_state

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


def fingerprint(packages: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return processor, memory, GPU, load, versions of `packages`, the commit of `folder`, and the date."""
    import torch

    return {
        **_processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {name: _version(name) for name in packages} | {"python": platform.python_version()},
        "git": git_state(folder),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table that can be read as it is; floats are shown with three digits."""
    cells = [[*heads], *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in cells)


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
