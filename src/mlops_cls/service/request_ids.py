"""Each request has an id, of the client's choosing if it is a decent one; every answer and log line carries it."""

import re
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
DECENT = re.compile(r"[A-Za-z0-9._-]{1,64}")
current: ContextVar[str] = ContextVar("request_id", default="")


class RequestIds:
    """Outermost middleware: sets `current` and the header of the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = _chosen(Headers(scope=scope).get(HEADER, ""))
        current.set(request_id)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self.app(scope, receive, marked)


def _chosen(given: str) -> str:
    return given if DECENT.fullmatch(given) else uuid4().hex
