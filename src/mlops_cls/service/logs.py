"""What a service says, a line each: JSON as Google's Cloud Logging reads it, or text for a person at a terminal.

Fields: https://cloud.google.com/logging/docs/structured-logging, and of errors that Error Reporting is to find,
https://cloud.google.com/error-reporting/docs/formatting-error-messages. No line has a file's name, a picture or a key.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_cls.service import request_ids
from mlops_cls.service.exchanges import Exchange

QUIET = {"/health", "/ready", "/metrics"}
"""Asked every few seconds by who watches a service; they are in the log only when they fail."""
HARMLESS = {"top", "threshold"}
"""Parameters of a query that are logged; a key might be among others."""
CHATTY = ("PIL", "python_multipart")
"""Libraries that log what is wrong with a client's bytes, partly as errors: anybody could wake who watches those."""
LONGEST = 500
ERROR_EVENT = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_CLOUD = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(?:/(?P<span>\d{1,20}))?(?:;o=(?P<flags>\d))?")

access = logging.getLogger(f"{__name__}.access")


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request belongs in a distributed trace, as its headers told: 32 and 16 hexadecimal digits."""

    trace: str
    span: str | None
    sampled: bool

    @classmethod
    def of(cls, headers: Headers) -> Self | None:
        """Read W3C's ``traceparent``, or Google's older ``X-Cloud-Trace-Context``; None if there is neither."""
        if found := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
            return cls(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))
        if found := _CLOUD.fullmatch(headers.get("x-cloud-trace-context", "")):
            span = f"{int(found['span']) % 2**64:016x}" if found["span"] else None
            return cls(found["trace"].lower(), span, found["flags"] == "1")
        return None


current_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


class Traces:
    """Middleware that has every line of a request know its trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            current_trace.set(Trace.of(Headers(scope=scope)))
        await self._app(scope, receive, send)


def log_exchange(exchange: Exchange) -> None:
    """Say a line for a request that has ended."""
    path = _path(exchange.scope)
    words = f"{exchange.method} {path} {exchange.status} {1000 * exchange.seconds:.0f} ms"
    if exchange.problem:
        words += f" {exchange.problem}"
    access.log(_level(exchange), "%s", words, extra={"exchange": exchange})


def _level(exchange: Exchange) -> int:
    if exchange.scope["path"] in QUIET and (exchange.status < 400 or exchange.problem == "not_ready"):
        return logging.DEBUG
    if exchange.problem in ("busy", "not_ready", "too_many_requests"):
        return logging.WARNING
    return logging.ERROR if exchange.status >= 500 else logging.INFO


class CloudLogging(logging.Formatter):
    """One JSON object a line.

    Args:
        project: that traces belong to; without it they are not named.
        service: and its version, by which Error Reporting groups errors.
    """

    def __init__(self, *, project: str = "", service: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._project, self._service = project, dict(service or {})

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            **self._of_request(),
            **self._of_error(record),
        }
        if isinstance(exchange := getattr(record, "exchange", None), Exchange):
            line["httpRequest"] = http_request(exchange)
        return json.dumps(line, ensure_ascii=False, default=str)

    def _of_request(self) -> dict[str, Any]:
        request_id, trace, found = request_ids.current.get(), current_trace.get(), dict[str, Any]()
        if request_id:
            found["logging.googleapis.com/labels"] = {"request_id": request_id}
        if trace and self._project:
            found["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace.trace}"
            found["logging.googleapis.com/trace_sampled"] = trace.sampled
            if trace.span:
                found["logging.googleapis.com/spanId"] = trace.span
        return found

    def _of_error(self, record: logging.LogRecord) -> dict[str, Any]:
        if not record.exc_info or record.exc_info[0] is None:
            return {}
        stack = "".join(traceback.format_exception(*record.exc_info))
        return {"@type": ERROR_EVENT, "stack_trace": stack, "serviceContext": self._service}


class Text(logging.Formatter):
    """A line for a person: no more than a terminal shows."""

    def format(self, record: logging.LogRecord) -> str:
        request_id = request_ids.current.get()
        level = "" if record.levelno == logging.INFO else f"{record.levelname}: "
        about = f"  ({request_id})" if request_id else ""
        error = f"\n{self.formatException(record.exc_info)}" if record.exc_info and record.exc_info[0] else ""
        return f"{datetime.fromtimestamp(record.created):%H:%M:%S} {level}{record.getMessage()}{about}{error}"


def http_request(exchange: Exchange) -> dict[str, Any]:
    """Return Cloud Logging's HttpRequest; sizes are those of bodies, and of type int64: strings in JSON."""
    scope, headers = exchange.scope, Headers(scope=exchange.scope)
    found = {
        "requestMethod": exchange.scope["method"][:LONGEST],
        "requestUrl": f"{scope['scheme']}://{headers.get('host', '')[:LONGEST]}{_path(scope)}{_query(scope)}",
        "requestSize": str(exchange.received),
        "status": exchange.status,
        "responseSize": str(exchange.sent),
        "latency": f"{exchange.seconds:.6f}s",
        "protocol": f"HTTP/{scope['http_version']}",
        "userAgent": headers.get("user-agent", "")[:LONGEST],
        "remoteIp": scope["client"][0] if scope.get("client") else "",
    }
    return {name: value for name, value in found.items() if value != ""}


def _path(scope: Scope) -> str:
    # Quoted, so that a line stays a line.
    return quote(scope["path"])[:LONGEST]


def _query(scope: Scope) -> str:
    given = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
    kept = [(name, value[:LONGEST]) for name, value in given if name in HARMLESS]
    return f"?{urlencode(kept)}" if kept else ""


@contextmanager
def saying(wish: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Send all log lines of the process to standard error.

    Args:
        wish: text, json, or auto: text if a person watches.
        environment: may name Google's project, and Cloud Run's service and revision.
    """
    handler = logging.StreamHandler()
    text = wish == "text" or (wish == "auto" and sys.stderr.isatty())
    service = {"service": environment.get("K_SERVICE", "mlops_cls"), "version": environment.get("K_REVISION", "")}
    project = environment.get("GOOGLE_CLOUD_PROJECT", "")
    handler.setFormatter(Text() if text else CloudLogging(project=project, service=service))
    levels = dict.fromkeys(("mlops_cls", "uvicorn"), logging.INFO) | dict.fromkeys(CHATTY, logging.CRITICAL)
    talkers = [logging.getLogger(name) for name in levels]
    before = [logger.level for logger in talkers]
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    for logger, level in zip(talkers, levels.values(), strict=True):
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in zip(talkers, before, strict=True):
            logger.setLevel(level)
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
