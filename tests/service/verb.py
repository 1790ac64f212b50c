"""The service as its users start it: in a process of its own."""

import os
import socket
import subprocess
import sys
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
        pipe, environment = subprocess.PIPE, os.environ | variables
        self.process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def __enter__(self) -> Self:
        wait_until(self._ready)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def end(self, number: int) -> str:
        """Send a signal, and return all that the service said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[0]

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0]
        try:
            return self.client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False
