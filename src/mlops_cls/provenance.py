"""Where a model comes from: code, versions, settings, data and machine, as plain JSON values."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

COMMIT = "MLOPS_CLS_COMMIT"
"""Variable with the commit of the code where there is no git, as in an image; with -dirty if it differs from it."""
PACKAGES = ("mlops-cls", "torch", "torchvision", "timm", "pytorch-lightning", "albumentations", "numpy", "pillow")


def capture(settings: dict[str, Any], *, data: dict[str, Any], runtime: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a run that starts now; `data` names the prepared data set and its hashes."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *map(_public, sys.argv[1:])],
        "config": settings,
        "data": data,
        "runtime": runtime,
        **environment(),
    }


def environment() -> dict[str, Any]:
    """Return what is around a run that starts now: commit, versions and machine."""
    return {
        "git": git_state(Path.cwd()),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "processor": platform.machine()},
    }


def continued(before: Mapping[str, Any], now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a run that goes on now: those of its beginning, what holds now, and a list of what was new.

    `changes` are the settings that differ, as pairs of before and now.
    """
    facts = ("created", "command", "git", "versions", "machine")
    resumed = {key: now[key] for key in facts} | {"changes": {key: list(pair) for key, pair in changes.items()}}
    current = {key: now[key] for key in ("config", "data", "runtime")}
    return {**before, **current, "resumed": [*before.get("resumed", []), resumed]}


def _public(argument: str) -> str:
    """Return the argument without the query of a URL, which can hold a signature that opens it for anybody."""
    return argument.partition("?")[0] if argument.startswith("data.url=") else argument


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and whether files differ from it: as an image says, else as git does, or None without either."""
    told = os.environ.get(COMMIT)
    if told:
        return {"commit": told.removesuffix("-dirty"), "dirty": told.endswith("-dirty")}
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
