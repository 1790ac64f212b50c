"""SIGTERM, Ctrl-C or a lost terminal: finish the step, keep it, and end so that the same command goes on from there."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from mlops_cls.errors import Interrupted

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
ECHO = 1.0
"""Seconds in which the same signal means the first: a scheduler tells each process of a job, and those tell theirs."""


class Interruption:
    """Listens to SIGTERM, SIGINT and SIGHUP within its context; it is the one place that knows whether to stop.

    Within `held` a first signal only sets `received`, for the training loop to end at a good moment; elsewhere it
    raises `Interrupted` at once. A second signal ends the process, unless it is the echo of the first. Signals that
    are ignored, as nohup has it, stay so. Other threads than the main one cannot listen.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._held = False
        self._process = os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
            self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals (again): Lightning puts handlers of its own in front, which wait for other processes."""
        for number in self._before:
            signal.signal(number, self._receive)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a first signal back within this context; one that nobody asked for raises at the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.received is not None:
            raise Interrupted(f"{self.received.name} received")

    def _receive(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # A forked process has inherited this; its parent decides.
        if self.received == number and time.monotonic() - self._at < ECHO:
            return
        if self.received is not None:
            os._exit(Interrupted.exit_code)
        self.received, self._at = signal.Signals(number), time.monotonic()
        if not self._held:
            raise Interrupted(f"{self.received.name} received")
        if os.environ.get("RANK", "0") == "0":
            # Past Python's own files, which may be in the middle of a line that must not be written into.
            os.write(
                2, f"{self.received.name}: this step is finished and kept; a second signal ends at once\n".encode()
            )
