"""The service as its users start it: in a process of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Self

import httpx


def wait_until(done: Callable[[], bool]) -> None:
    for _ in range(600):
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("it does not happen")


class Verb:
    """The service in a process of its own, from when it can be asked by `client` until the end of the block."""

    def __init__(self, *arguments: object, **variables: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "mlops_cls.serve", *map(str, arguments), "--port", str(self.port)]
        # Not a pipe: one that nobody reads would stop the service.
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - ends with the block
        environment = os.environ | variables
        self.process = subprocess.Popen(command, stdout=self._said, stderr=subprocess.STDOUT, env=environment)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def __enter__(self) -> Self:
        wait_until(self._ready)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        self._said.close()

    def end(self, number: int) -> str:
        """Send a signal, and return all that the service said."""
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        return self._text()

    def _ready(self) -> bool:
        assert self.process.poll() is None, self._text()
        try:
            return self.client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _text(self) -> str:
        self._said.seek(0)
        return self._said.read()
