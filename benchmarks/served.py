"""A service in a process of its own: started, waited for, watched, and told to stop."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

HERE = Path(__file__).parent
PLAIN = "plain"
START_WITHIN = 120.0
EVERY = 0.25
MIB = 2**20


@dataclass
class Served:
    """Where a service listens, the process that serves, and the seconds it took from its start to ready."""

    port: int
    process: subprocess.Popen[bytes]
    seconds_to_ready: float

    def stop(self, within: float = 60.0) -> int:
        """Send SIGTERM and return how the process ended; one that does not end is killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def command_of(side: str, model: Path, port: int, flags: Sequence[str]) -> list[str]:
    """Return how a side is started: ``plain:THREADS``, or the service by its back end."""
    name, _, threads = side.partition(":")
    if name == PLAIN:
        return [
            sys.executable,
            str(HERE / "plain_service.py"),
            str(model),
            f"--port={port}",
            f"--threads={threads or 1}",
        ]
    own = [f"--threads={threads}"] if threads else []
    return [sys.executable, "-m", "mlops_cls.serve", str(model), f"--port={port}", f"--backend={name}", *own, *flags]


@contextmanager
def serving(side: str, model: Path, *flags: str) -> Iterator[Served]:
    """Start a side on a free port and give it once it is ready; it is stopped at the end.

    Raises:
        SystemExit: it ended, or was not ready within `START_WITHIN` seconds.
    """
    port = _free_port()
    start = time.perf_counter()
    # The log of every request goes to a file, as it would to a collector.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command_of(side, model, port, flags), stdout=log, stderr=log, env=_environment())
        served = Served(port, process, 0.0)
        try:
            _wait(served, start, log)
            served.seconds_to_ready = time.perf_counter() - start
            yield served
        finally:
            if process.poll() is None:
                served.stop()


def _environment() -> dict[str, str]:
    # A variable of the caller's must not change what is measured.
    return {name: value for name, value in os.environ.items() if not name.startswith("SERVE_") and name != "PORT"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait(served: Served, start: float, log: IO[bytes]) -> None:
    while served.process.poll() is None and time.perf_counter() < start + START_WITHIN:
        if status_of(served.port, "/ready") == 200:
            return
        time.sleep(0.01)
    log.seek(0)
    sys.exit(f"not ready within {START_WITHIN:.0f} s:\n{log.read().decode(errors='replace')[-4000:]}")


def status_of(port: int, path: str) -> int | None:
    """Return the status of a GET, or None where nothing answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


@dataclass
class Watched:
    """Resident memory over time, and the processor seconds of a process and of those it has started."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    processor_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def cores(self) -> float:
        """How many cores it kept busy."""
        return self.processor_seconds / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def growth(self) -> float:
        """MiB that memory grew from the second quarter of the time to the last, by their medians."""
        quarters = np.array_split(self.mib, 4)
        return float(np.median(quarters[3]) - np.median(quarters[1])) if len(self.mib) >= 4 else 0.0

    def told(self) -> dict[str, Any]:
        """Return first, last and largest memory in MiB, the slope of its second half in MiB a minute, and cores."""
        half = len(self.mib) // 2
        slope = float(np.polyfit(self.seconds[half:], self.mib[half:], 1)[0]) * 60 if half > 2 else 0.0
        ends: dict[str, Any] = (
            {"first_mib": self.mib[0], "last_mib": self.mib[-1], "most_mib": max(self.mib)} if self.mib else {}
        )
        return {**ends, "slope_mib_per_minute": slope, "growth_mib": self.growth, "cores": self.cores}


@contextmanager
def watching(process: int) -> Iterator[Watched]:
    """Watch a process while the context lasts."""
    watched, over, subject = Watched(), threading.Event(), psutil.Process(process)
    start, before = time.perf_counter(), _processor_seconds(subject)

    def look() -> None:
        while not over.wait(EVERY):
            try:
                watched.mib.append(subject.memory_info().rss / MIB)
                watched.processor_seconds = _processor_seconds(subject) - before
            except psutil.NoSuchProcess:
                return
            watched.seconds.append(time.perf_counter() - start)
            watched.wall_seconds = watched.seconds[-1]

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
