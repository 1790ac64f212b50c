"""What is read of a request that brings no pictures: little, and not for long."""

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import Any

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_cls.service.problems import Refusal
from mlops_cls.service.uploads import MEDIA, announced, too_slow

MOST = 64 * 1024  # bytes


class Bodies:
    """Reads the small bodies, and refuses what is larger or slower; forms are left to `uploads`, which counts them.

    Args:
        app: what is guarded.
        described: returns the app's OpenAPI, which tells the routes that take a form.
        seconds: in which a body must have arrived.
    """

    def __init__(self, app: ASGIApp, *, described: Callable[[], dict[str, Any]], seconds: float) -> None:
        self._app, self._described, self._seconds = app, described, seconds

    @cached_property
    def _forms(self) -> frozenset[str]:
        paths = self._described()["paths"].items()
        return frozenset(path for path, route in paths if MEDIA in _content(route.get("post", {})))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] == "POST" and get_route_path(scope) in self._forms):
            return await self._app(scope, receive, send)
        try:
            body = await self._read(scope, receive)
        except Refusal as refusal:
            return await refusal.response()(scope, receive, send)
        await self._app(scope, _again(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        if announced(Headers(scope=scope)) > MOST:
            raise _too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    if len(body) > MOST:
                        raise _too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise too_slow(self._seconds) from None
        raise Refusal("wrong_form", "The request ended before its body did.")


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _content(operation: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return content


def _too_large() -> Refusal:
    return Refusal("too_large", f"A request without pictures may have {MOST} bytes.")
