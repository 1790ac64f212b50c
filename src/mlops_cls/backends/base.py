"""What every back end is, and how many threads it takes."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlops_cls.pictures import Pixels

Floats = NDArray[np.float32]
_CGROUP, _CPUS = Path("/sys/fs/cgroup"), Path("/sys/devices/system/cpu")


class Backend(Protocol):
    """Pictures uint8[B,C,H,W] to answers; any B, and any number of threads may call it at once."""

    @property
    def name(self) -> str: ...

    def __call__(self, images: Pixels) -> Floats:
        """Return calibrated probabilities float32[B,K]."""

    def embed(self, images: Pixels) -> tuple[Floats, Floats]:
        """Return probabilities float32[B,K] and the embedding float32[B,F], which the last layer is given."""


def cores() -> int:
    """Return how many cores this process can keep busy: whole ones, by its affinity and its container's quota.

    A second thread on a core makes a network slower, and so do more threads than the quota allows.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    whole = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(whole), _quota(_CGROUP) or len(whole)))


def _siblings(cpu: int) -> str:
    listed = _CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    return listed.read_text().strip() if listed.is_file() else str(cpu)


def _quota(cgroup: Path) -> int | None:
    """Return the cores that a container may use, rounded down, if it is limited (cgroup version 2, else 1)."""
    old = (cgroup / "cpu" / "cpu.cfs_quota_us", cgroup / "cpu" / "cpu.cfs_period_us")
    try:
        new = (cgroup / "cpu.max").read_text().split()
    except OSError:
        new = [file.read_text().strip() for file in old] if all(file.is_file() for file in old) else ["max"]
    if new[0] in ("max", "-1"):
        return None
    return max(1, int(new[0]) // int(new[1]))
