"""backend=auto: the fastest installed back end that answers as onnxruntime does, measured once per machine."""

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from mlops_cls.backends.base import Backend, cores
from mlops_cls.backends.kinds import DEFAULT, KINDS, open_kind
from mlops_cls.bundle import INT8, MODEL, Bundle
from mlops_cls.errors import ArtifactError
from mlops_cls.pictures import Pixels

FORMAT = 1
TOLERANCE = 0.02
"""By which a probability may differ from onnxruntime's in float32; for 8-bit numbers, beyond what it did at export."""
ROUNDS = 15
PICTURES = 8

log = logging.getLogger(__name__)


def find_fastest(bundle: Bundle, *, threads: int | None = None) -> str:
    """Return the name of the back end that answers one picture in the least time here, of those that answer alike."""
    place = _place(bundle, threads or cores())
    known = _recall(place)
    if known is not None:
        return known
    measured = measure(bundle, threads=threads)
    fastest = min(
        (name for name, each in measured.items() if each["agrees"]), key=lambda n: measured[n]["milliseconds"]
    )
    log.info("backend=auto takes %s: %s", fastest, _told(measured))
    _keep(place, fastest, measured)
    return fastest


def measure(bundle: Bundle, *, threads: int | None = None) -> dict[str, dict[str, Any]]:
    """Return for each usable back end its milliseconds for one picture, its difference, and whether it agrees."""
    pictures = example_pictures(bundle.card.preprocess.size, bundle.card.preprocess.channels)
    candidates = {name: _opened(bundle, name, threads) for name, kind in KINDS.items() if kind.installed}
    backends = {name: backend for name, backend in candidates.items() if backend is not None}
    expected = backends[DEFAULT](pictures)
    measured = {}
    for name, backend in backends.items():
        difference = float(np.abs(backend(pictures) - expected).max())
        measured[name] = {"difference": difference, "agrees": bool(difference <= _allowed(bundle, name))}
    for name, milliseconds in _times(backends, pictures[:1]).items():
        measured[name]["milliseconds"] = milliseconds
    return measured


def example_pictures(size: int, channels: int, count: int = PICTURES) -> Pixels:
    """Return the same smooth random pictures everywhere, uint8[N,C,H,W]: a bundle has no real ones to ask about."""
    generator = np.random.Generator(np.random.PCG64(0))
    pictures = np.zeros((count, channels, size, size))
    for cells in (2, 5, 11):
        coarse = generator.random((count, channels, cells, cells))
        rows = np.arange(size) * cells // size
        pictures += coarse[:, :, rows][:, :, :, rows]
    pictures += 0.2 * generator.random(pictures.shape)
    return (pictures / 3.2 * 255).astype(np.uint8)


def _opened(bundle: Bundle, name: str, threads: int | None) -> Backend | None:
    if KINDS[name].int8 and bundle.int8 is None:
        return None
    try:
        return open_kind(bundle, name, threads=threads)
    except ArtifactError as error:
        log.info("backend=auto leaves out %s: %s", name, error)
        return None


def _allowed(bundle: Bundle, name: str) -> float:
    # A CPU without instructions for 8-bit products computes them with saturation, and answers worse than was measured.
    known = bundle.card.export["int8"]["difference_on_examples"] if KINDS[name].int8 else 0.0
    return float(known) + TOLERANCE


def _times(backends: Mapping[str, Backend], picture: Pixels) -> dict[str, float]:
    """Return each back end's median milliseconds, taken in turn, since a shared machine is slow now and then."""
    taken: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(ROUNDS):
        for name, backend in backends.items():
            start = perf_counter()
            backend(picture)
            taken[name].append(1e3 * (perf_counter() - start))
    return {name: median(each) for name, each in taken.items()}


def _told(measured: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{name} {each['milliseconds']:.1f} ms{'' if each['agrees'] else ' (answers otherwise)'}"
        for name, each in measured.items()
    )


def _place(bundle: Bundle, threads: int) -> Path:
    files = bundle.card.export["files"]
    facts = {
        "format": FORMAT,
        "processor": _processor(),
        "threads": threads,
        "libraries": {kind.library: version(kind.library) for kind in KINDS.values() if kind.installed},
        "models": [files[MODEL], files.get(INT8)],
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return user_cache_path("mlops_cls") / "backends" / f"{key[:24]}.json"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    facts = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return " ".join(facts) or f"{platform.processor()} {platform.machine()}"


def _recall(place: Path) -> str | None:
    """Return what was taken before, unless nothing readable was kept."""
    try:
        taken = json.loads(place.read_text(encoding="utf-8"))["taken"]
        return taken if taken in KINDS else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(place: Path, taken: str, measured: Mapping[str, Mapping[str, Any]]) -> None:
    aside = place.with_suffix(f".{os.getpid()}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps({"taken": taken, "measured": measured}, indent=2) + "\n", encoding="utf-8")
        aside.replace(place)
    except OSError as error:
        log.info("which back end is fastest could not be kept in %s (%s)", place.parent, error.strerror)
