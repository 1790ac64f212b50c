"""How the service ends while clients are asking, as a process."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest

from mlops_cls.bundle import Bundle
from mlops_cls.errors import Interrupted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a service on Windows is not told to end by signals")

SECONDS = 60
HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"


class Answer(NamedTuple):
    """Status, whether the connection ends with it, and the body."""

    status: int
    last: bool
    body: bytes


@contextmanager
def process(bundle: Bundle, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a service, and give it with its port once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlops_cls.serve", str(bundle.folder), "--port", str(port), *flags]
    # A pipe that nobody empties would stop the service at the 64 KiB of its log.
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stderr=log) as running:
        try:
            eventually(lambda: status_of(port, "/ready") == 200)
            yield running, port
        finally:
            running.kill()
        log.seek(0)
        assert b"Traceback" not in log.read()


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def status_of(port: int, path: str) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def ask(connection: HTTPConnection, picture: bytes) -> Answer | None:
    """Return the answer; None where nobody listens any more.

    A connection that the kernel has made and the process never saw is reset before anything came on it: at the end of
    a socket that cannot be told from nobody's listening. Any other that breaks is an error.
    """
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + picture + b"\r\n--b--\r\n"
    new = connection.sock is None
    try:
        connection.request("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=b"})
        response = connection.getresponse()
    except (ConnectionRefusedError, ConnectionResetError):
        assert new
        return None
    return Answer(response.status, response.will_close, response.read())


def ask_on(port: int, picture: bytes, told: Event) -> list[Answer]:
    """Ask without a pause until nobody listens any more, after the service was told to end."""
    answers = []
    with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        while answer := ask(connection, picture):
            answers.append(answer)
    assert told.is_set()
    return answers


def test_nobody_who_asks_while_the_service_ends_is_left_without_an_answer(tiny_bundle: Bundle, sample: Path) -> None:
    told, picture = Event(), sample.read_bytes()
    with ThreadPoolExecutor(6) as clients, process(tiny_bundle, "--drain-seconds=10") as (running, port):
        asking = [clients.submit(ask_on, port, picture, told) for _ in range(6)]
        with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
            assert ask(connection, picture)
        told.set()
        running.send_signal(signal.SIGTERM)
        answers = [answer for each in asking for answer in each.result()]
        assert running.wait(SECONDS) == 0
    assert {answer.status for answer in answers} == {200}
    assert all(json.loads(answer.body)["predictions"][0]["label"] for answer in answers)
    assert all(each.result()[-1].last for each in asking)


def test_a_client_that_dawdles_does_not_keep_the_service_alive_and_is_told(tiny_bundle: Bundle) -> None:
    with (
        process(tiny_bundle, "--drain-seconds=2") as (running, port),
        socket.create_connection(("127.0.0.1", port), SECONDS) as client,
    ):
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n--b\r\n")
        eventually(lambda: status_of(port, "/health") == 200)
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0
        assert client.recv(65536).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_service_at_once(tiny_bundle: Bundle, first: signal.Signals) -> None:
    with (
        process(tiny_bundle, "--drain-seconds=600") as (running, port),
        socket.create_connection(("127.0.0.1", port), SECONDS) as client,
    ):
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n--b\r\n")
        running.send_signal(first)
        eventually(lambda: status_of(port, "/ready") != 200)
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == Interrupted.exit_code


def test_a_service_that_is_about_to_end_says_so_and_goes_on_answering(serve: Callable[..., Any], sample: Path) -> None:
    with serve() as client:
        client.app.state.service.stopping = True
        refused = client.get("/ready")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
        assert refused.headers["retry-after"]
        assert client.get("/health").status_code == 200
        assert client.post("/predict", files={"file": sample.read_bytes()}).status_code == 200
