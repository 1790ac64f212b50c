"""Log lines are what Cloud Logging reads, one for each event, and tell nothing that is nobody's business."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers
from verb import Verb

from mlops_cls.bundle import Bundle
from mlops_cls.service.logs import CloudLogging, Text, Trace

Lines = list[dict[str, Any]]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SPECIAL = "logging.googleapis.com/"


def check(line: dict[str, Any]) -> None:
    """Compare a line with the fields of LogEntry, by Google's own descriptions of them where they can be had."""
    types = pytest.importorskip("google.logging.type.http_request_pb2")
    severities = pytest.importorskip("google.logging.type.log_severity_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    assert line["severity"] in severities.LogSeverity.keys()  # noqa: SIM118 - it is no dictionary
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert isinstance(line["message"], str)
    assert "\n" not in line["message"]
    labels = line.get(f"{SPECIAL}labels", {})
    assert all(isinstance(value, str) for value in labels.values())
    if "httpRequest" in line:
        json_format.ParseDict(line["httpRequest"], types.HttpRequest())
    allowed = {"severity", "message", "time", "logger", "httpRequest", "@type", "stack_trace", "serviceContext"}
    assert line.keys() - allowed <= {SPECIAL + name for name in ("labels", "trace", "spanId", "trace_sampled")}


class Heard(logging.Handler):
    """Keeps what the package's loggers say, as one of our formatters writes it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    @property
    def lines(self) -> Lines:
        return [json.loads(text) for text in self.texts]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[logging.Formatter], Heard]]:
    logger, heard = logging.getLogger("mlops_cls"), list[Heard]()
    monkeypatch.setattr(logger, "level", logging.INFO)
    monkeypatch.setattr(logger, "propagate", False)
    logger.manager._clear_cache()  # type: ignore[attr-defined]

    def start(formatter: logging.Formatter) -> Heard:
        heard.append(Heard(formatter))
        logger.addHandler(heard[-1])
        return heard[-1]

    yield start
    for handler in heard:
        logger.removeHandler(handler)
    logger.manager._clear_cache()  # type: ignore[attr-defined]


def post(client: Any, data: bytes, query: str = "", **headers: str) -> Any:
    return client.post(f"/predict{query}", files=[("file", ("ada's mole.png", data, "image/png"))], headers=headers)


@pytest.mark.skipif(sys.platform == "win32", reason="a service on Windows is not told to end by signals")
def test_lines_of_a_service_are_not_cloud_loggings(tiny_bundle: Bundle, sample: Path) -> None:
    key = "0123456789abcdef"
    settings = {"SERVE_LOGS": "json", "SERVE_API_KEYS": key, "GOOGLE_CLOUD_PROJECT": "lab"}
    trace = {"traceparent": f"00-{TRACE}-{SPAN}-01", "X-Request-ID": "mine", "User-Agent": "curl/8"}
    allowed = {"X-API-Key": key, **trace}
    with Verb(tiny_bundle.folder, **settings) as service:
        assert (
            post(service.client, sample.read_bytes(), f"?top=1&key={key}&api_key={key}", **allowed).status_code == 422
        )
        assert post(service.client, sample.read_bytes(), "?top=1", **allowed).status_code == 200
        assert post(service.client, b"no picture", **allowed).status_code == 400
        assert post(service.client, b"no picture", **(trace | {"X-API-Key": "f" * 16})).status_code == 403
        assert service.client.get("/nothing%0a{}%22%20/", headers=allowed).status_code == 404
        assert service.client.get("/health").status_code == 200
        said = service.end(signal.SIGTERM)
    assert service.process.returncode == 0, said
    lines: Lines = [json.loads(line) for line in said.splitlines()]
    for line in lines:
        check(line)
    assert {line["logger"].partition(".")[0] for line in lines} == {"mlops_cls", "uvicorn"}
    asked = [line for line in lines if "httpRequest" in line]
    assert [line["httpRequest"]["status"] for line in asked if "/ready" not in line["message"]] == [
        422, 200, 400, 403, 404
    ]  # fmt: skip
    _, answered, refused, *_ = asked
    request = answered["httpRequest"]
    assert request["requestUrl"] == f"http://127.0.0.1:{service.port}/predict?top=1"
    assert (request["requestMethod"], request["protocol"]) == ("POST", "HTTP/1.1")
    assert (request["userAgent"], request["remoteIp"]) == ("curl/8", "127.0.0.1")
    assert int(request["requestSize"]) > len(sample.read_bytes())
    assert 0 < float(request["latency"].removesuffix("s")) < 60
    assert answered[f"{SPECIAL}trace"] == f"projects/lab/traces/{TRACE}"
    assert answered[f"{SPECIAL}spanId"] == SPAN
    assert answered[f"{SPECIAL}trace_sampled"] is True
    assert answered[f"{SPECIAL}labels"] == {"request_id": "mine"}
    assert refused["message"].startswith("POST /predict 400 ")
    assert refused["message"].endswith(" ms not_a_picture")
    assert (refused["severity"], lines[-1]["severity"]) == ("INFO", "INFO")
    assert key not in said
    assert "f" * 16 not in said
    assert "mole" not in said


def test_an_unexpected_error_is_told_to_the_client_or_to_nobody(
    serve: Callable[..., Any], sample: Path, listen: Callable[..., Heard]
) -> None:
    formatter = CloudLogging(project="lab", service={"service": "mlops_cls", "version": "7"})

    def fail(_: object) -> None:
        raise ZeroDivisionError("of the observer")

    with serve() as client:
        heard = listen(formatter)
        client.app.state.service.observers.append(fail)
        response = post(client, sample.read_bytes(), **{"X-Request-ID": "unlucky"})
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "ZeroDivision" not in response.text
    error, asked = heard.lines
    for line in heard.lines:
        check(line)
        assert line["severity"] == "ERROR"
        assert line[f"{SPECIAL}labels"] == {"request_id": "unlucky"}
        assert f"{SPECIAL}trace" not in line
    assert error["@type"].endswith("clouderrorreporting.v1beta1.ReportedErrorEvent")
    assert error["serviceContext"] == {"service": "mlops_cls", "version": "7"}
    assert error["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert error["stack_trace"].endswith("ZeroDivisionError: of the observer\n")
    assert "httpRequest" not in error
    assert "stack_trace" not in asked
    assert asked["httpRequest"]["status"] == 500


def test_probes_fill_the_log_or_failing_ones_are_not_in_it(
    serve: Callable[..., Any], listen: Callable[..., Heard]
) -> None:
    with serve() as client:
        heard = listen(Text())
        for path in ("/health", "/ready", "/metrics"):
            assert client.get(path).status_code == 200
        assert not heard.texts
        client.delete("/health")
    (line,) = heard.texts
    assert "DELETE /health 405" in line


def test_a_busy_service_is_no_more_urgent_than_a_wrong_request(
    serve: Callable[..., Any], sample: Path, listen: Callable[..., Heard]
) -> None:
    with serve(rate=1) as client:
        heard = listen(CloudLogging())
        for _ in range(2):
            post(client, sample.read_bytes())
        client.delete("/health")
    assert [(line["severity"], line["httpRequest"]["status"]) for line in heard.lines] == [
        ("INFO", 200),
        ("WARNING", 429),
        ("INFO", 405),
    ]


def test_text_for_a_person_is_more_than_a_line(
    serve: Callable[..., Any], sample: Path, listen: Callable[..., Heard]
) -> None:
    with serve() as client:
        heard = listen(Text())
        post(client, sample.read_bytes(), **{"X-Request-ID": "mine"})
        client.get("/a%0ab")
    first, second = heard.texts
    assert first[8:].startswith(" POST /predict 200 ")
    assert first.endswith(" ms  (mine)")
    assert "GET /a%0Ab 404" in second
    assert "\n" not in first + second


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, Trace(TRACE, SPAN, True)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, Trace(TRACE, SPAN, False)),
        ({"x-cloud-trace-context": f"{TRACE}/{0xB7AD6B7169203331};o=1"}, Trace(TRACE, SPAN, True)),
        ({"x-cloud-trace-context": f"{TRACE.upper()}/1"}, Trace(TRACE, "0000000000000001", False)),
        ({"x-cloud-trace-context": TRACE}, Trace(TRACE, None, False)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "x-cloud-trace-context": "0" * 32}, Trace(TRACE, SPAN, True)),
        ({"traceparent": f"00-{TRACE}-{SPAN}"}, None),
        ({"traceparent": f"00-{TRACE}/../..-{SPAN}-01"}, None),
        ({"x-cloud-trace-context": "x" * 32}, None),
        ({}, None),
    ],
)
def test_a_trace_is_another_or_made_up(headers: dict[str, str], expected: Trace | None) -> None:
    assert Trace.of(Headers(headers)) == expected


SAY = """
import logging, os, sys, warnings
from mlops_cls.service.logs import saying
with saying("auto", {}):
    logging.getLogger("mlops_cls.service").info("hello")
    logging.getLogger("gcsfs").info("hush")
    warnings.warn("take care")
logging.getLogger("mlops_cls.service").info("no more")
"""


def test_a_terminal_gets_json_or_a_pipe_gets_text() -> None:
    pty = pytest.importorskip("pty", reason="Windows has no terminals to open")
    piped = subprocess.run([sys.executable, "-c", SAY], stderr=subprocess.PIPE, text=True, check=True).stderr
    hello, care = map(json.loads, piped.splitlines())
    assert (hello["severity"], hello["message"]) == ("INFO", "hello")
    assert (care["severity"], care["logger"]) == ("WARNING", "py.warnings")
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", SAY], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown.splitlines()[0].endswith(" hello")
    assert "WARNING: " in shown
    assert "{" not in shown


def test_a_service_of_ones_own_takes_over_the_logging_of_a_program(client: TestClient, sample: Path) -> None:
    before = [*logging.getLogger().handlers]
    post(client, sample.read_bytes())
    assert logging.getLogger().handlers == before
    assert not logging.getLogger("mlops_cls").handlers
