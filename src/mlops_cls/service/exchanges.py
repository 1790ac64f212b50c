"""Requests with their answers, as the log and the metrics are told of them; bodies are counted and not kept."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_cls.service.problems import KINDS, MEDIA

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
OTHER = "other"
"""A method or a route of which there are too many to name."""
GONE = 499
"""The status, nginx's own, of a request that ended without an answer: its client had left."""


@dataclass(slots=True)
class Exchange:
    """A request and its answer.

    `route` is a template such as ``/samples/{id}/predict``, or `OTHER`; `received` and `sent` count bytes of bodies;
    `seconds` lasts until the answer has been sent; `problem` is its code, if it is one.
    """

    scope: Scope
    route: str = OTHER
    status: int = GONE
    seconds: float = 0.0
    received: int = 0
    sent: int = 0
    problem: str | None = None
    _is_problem: bool = False

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method if method in METHODS else OTHER

    def arrived(self, message: Message) -> None:
        """Count a part of the request."""
        self.received += len(message.get("body", b""))

    def left(self, message: Message) -> None:
        """Take note of a part of the answer."""
        body = message.get("body", b"")
        self.sent += len(body)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_problem = Headers(raw=message["headers"]).get("content-type", "").startswith(MEDIA)
        elif self._is_problem and body:
            code = json.loads(body).get("code")
            self.problem = code if code in KINDS else OTHER


@dataclass(slots=True)
class Traffic:
    """What is on its way, and who is told of it once it has ended."""

    listeners: list[Callable[[Exchange], None]] = field(default_factory=list)
    in_flight: int = 0


class Exchanges:
    """Middleware around all but the request ids.

    Args:
        app: what answers.
        traffic: is kept up to date.
        described: returns the app's OpenAPI, by which a request is known that was refused before it reached a route.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic, described: Callable[[], dict[str, Any]]) -> None:
        self._app, self._traffic, self._described = app, traffic, described

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        exchange, began = Exchange(scope), time.perf_counter()

        async def receiving() -> Message:
            message = await receive()
            exchange.arrived(message)
            return message

        async def sending(message: Message) -> None:
            exchange.left(message)
            await send(message)

        self._traffic.in_flight += 1
        try:
            await self._app(scope, receiving, sending)
        finally:
            self._traffic.in_flight -= 1
            exchange.seconds = time.perf_counter() - began
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        path = exchange.scope["path"]
        found: str | None = getattr(exchange.scope.get("route"), "path", None)
        exchange.route = found or (path if path in self._described()["paths"] else OTHER)
        for listener in self._traffic.listeners:
            listener(exchange)
